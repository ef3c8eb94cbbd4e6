/** Our agent as an operator runs it: with its own broker, and as a client of a Mosquitto, where the peers are too. */
import { join } from 'node:path';
import { ROOT } from '../../test/needs.js';
import { freePort } from '../../test/rig.js';
import { mosquitto, withMosquitto } from './mosquitto.js';
import { configure, type Peer, type Site } from './peer.js';
import { versionOf } from './programs.js';
import { Service } from './service.js';

const AGENT = join(ROOT, 'build/agent/main.js');
const SUMMARY = {
  dialect: 'json',
  upstream: 'batch',
  tells: 'n, Σx and Σx² exact, min, max, first, last, quantiles',
} as const;

export const edgetally: Peer = {
  name: 'Edgetally, own broker',
  ...SUMMARY,
  find: ownVersion,
  async prepare(site) {
    const port = await freePort();
    const gateway = agent(site, 'edgetally/own-broker.yaml', port);
    return { port, services: [gateway], gateway };
  },
};

export const edgetallyBehindMosquitto: Peer = {
  name: 'Edgetally behind Mosquitto',
  ...SUMMARY,
  find: () => withMosquitto(ownVersion()),
  async prepare(site) {
    const { port, service } = await mosquitto(site);
    const gateway = agent(site, 'edgetally/behind-mosquitto.yaml', port);
    return { port, services: [service, gateway], gateway };
  },
};

function ownVersion() {
  return { version: versionOf(process.execPath, [AGENT, '--version']) };
}

function agent(site: Site, file: string, broker: number): Service {
  const path = configure(site, file, { broker });
  const args = [AGENT, 'run', '--config', path];
  return new Service({ name: 'edgetally-agent', file: process.execPath, args, cwd: site.dir, ready: /ready/ });
}
