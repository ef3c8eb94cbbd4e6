/** The broker that peers stand behind, and the bridge, which is one. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/mosquitto.js';
import { configure, type Peer, type Site } from './peer.js';
import { type Found, found, onPath } from './programs.js';
import { Service } from './service.js';

const HINT = 'apt install mosquitto';

export function findMosquitto() {
  return found('mosquitto', ['-h'], HINT);
}

/** The version of a peer that stands behind a Mosquitto, or what of both is missing. */
export function withMosquitto(found: Found): Found {
  const broker = findMosquitto();
  if ('missing' in broker || 'missing' in found) return 'missing' in found ? found : broker;
  return { version: `${found.version}, Mosquitto ${broker.version}` };
}

export interface LocalBroker {
  readonly port: number;
  readonly service: Service;
}

export async function mosquitto(site: Site, file = 'mosquitto/mosquitto.conf'): Promise<LocalBroker> {
  const port = await freePort();
  const data = join(site.dir, 'mosquitto-data');
  mkdirSync(data, { recursive: true });
  const user = process.getuid?.() === 0 ? 'user root' : '';
  const path = configure(site, file, { broker: port, data, user });
  const service = new Service({
    name: 'mosquitto',
    file: onPath('mosquitto')!,
    args: ['-c', path],
    cwd: site.dir,
    ready: / running$/,
  });
  return { port, service };
}

export const mosquittoBridge: Peer = {
  name: 'Mosquitto bridge',
  dialect: 'json',
  upstream: 'raw',
  tells: 'every reading as it came',
  find: findMosquitto,
  async prepare(site) {
    const { port, service } = await mosquitto(site, 'mosquitto-bridge/mosquitto.conf');
    return { port, services: [service], gateway: service };
  },
};
