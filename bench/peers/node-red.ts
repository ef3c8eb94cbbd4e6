/** Node-RED behind Mosquitto: an mqtt-in node, a function node that aggregates, an mqtt-out node. Installed on demand. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../test/needs.js';
import { freePort } from '../../test/rig.js';
import { mosquitto, withMosquitto } from './mosquitto.js';
import { configure, type Peer, peerFile, type Site } from './peer.js';
import type { Found } from './programs.js';
import { Service } from './service.js';

export const nodeRed: Peer = {
  name: 'Node-RED, function node',
  dialect: 'json',
  upstream: 'summary',
  tells: 'n, mean, standard deviation, min, max',
  find: (cache) => withMosquitto(installed(folderIn(cache))),
  async prepare(site) {
    const { port, service } = await mosquitto(site);
    const gateway = await flows(site, port);
    return { port, services: [service, gateway], gateway };
  },
};

const folderIn = (cache: string) => join(cache, 'node-red');
const programIn = (folder: string) => join(folder, 'node_modules/node-red');

/** Never among the project's own dependencies: 280 packages that nobody needs to build or run it. */
function installed(folder: string): Found {
  const manifest = join(ROOT, 'bench/peers/node-red/package.json');
  const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as { dependencies: Record<string, string> };
  const version = dependencies['node-red']!;
  const has = join(programIn(folder), 'package.json');
  const current = () => existsSync(has) && JSON.parse(readFileSync(has, 'utf8')).version === version;
  if (current()) return { version };
  mkdirSync(folder, { recursive: true });
  copyFileSync(manifest, join(folder, 'package.json'));
  console.log('peers: installing Node-RED, once');
  const { stderr } = spawnSync('npm', ['install', '--no-audit', '--no-fund'], { cwd: folder, encoding: 'utf8' });
  return current() ? { version } : { missing: `npm install node-red@${version} failed: ${stderr.trim().slice(-200)}` };
}

async function flows(site: Site, broker: number): Promise<Service> {
  const path = configure(site, 'node-red/flows.json', { broker });
  // as an editor would store it: the function's text is a string of the flow
  const nodes = JSON.parse(readFileSync(path, 'utf8')) as { type: string; func?: string }[];
  const func = `const WINDOW_MS = ${site.windowSeconds * 1000};\n${peerFile('node-red/aggregate.js')}\nreturn aggregate(msg, flow);`;
  writeFileSync(path, JSON.stringify(nodes.map((node) => (node.type === 'function' ? { ...node, func } : node))));
  configure(site, 'node-red/settings.js', { admin: await freePort() });
  const program = join(programIn(folderIn(site.cache)), 'red.js');
  return new Service({
    name: 'node-red',
    file: process.execPath,
    args: [program, '--userDir', join(site.dir, 'node-red'), path],
    cwd: site.dir,
    ready: /Started flows/,
  });
}
