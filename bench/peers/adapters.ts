/**
 * Peers that a reader may add: whichever of these is on the PATH runs with the configuration in its folder, behind a
 * Mosquitto. Neither is packaged by Debian or npm.
 */
import { join } from 'node:path';
import { freePort } from '../../test/rig.js';
import { mosquitto, withMosquitto } from './mosquitto.js';
import { configure, type Peer } from './peer.js';
import { found, onPath } from './programs.js';
import { Service } from './service.js';

export const telegraf: Peer = {
  name: 'Telegraf, basicstats',
  dialect: 'json',
  upstream: 'telegraf',
  tells: 'n, sum, mean, standard deviation, min, max',
  find: () => withMosquitto(found('telegraf', ['--version'], 'https://www.influxdata.com/downloads/')),
  async prepare(site) {
    const { port, service } = await mosquitto(site);
    const path = configure(site, 'telegraf/telegraf.conf', { broker: port });
    const args = ['--config', path];
    const command = { name: 'telegraf', file: onPath('telegraf')!, args, cwd: site.dir, ready: /Connected \[/ };
    const gateway = new Service(command);
    return { port, services: [service, gateway], gateway };
  },
};

export const ekuiper: Peer = {
  name: 'eKuiper, tumbling window',
  dialect: 'json',
  upstream: 'ekuiper',
  tells: 'n, mean, standard deviation, min, max',
  find: () => withMosquitto(found('kuiperd', ['--version'], 'https://ekuiper.org/downloads')),
  async prepare(site) {
    const { port, service } = await mosquitto(site);
    const rest = await freePort();
    for (const file of ['etc/kuiper.yaml', 'etc/mqtt_source.yaml', 'data/init.json']) {
      configure(site, `ekuiper/${file}`, { broker: port, rest });
    }
    const gateway = new Service({
      name: 'kuiperd',
      file: onPath('kuiperd')!,
      args: [],
      cwd: site.dir,
      env: { KuiperBaseKey: join(site.dir, 'ekuiper') },
      ready: /Serving (kuiper|eKuiper)/i,
    });
    return { port, services: [service, gateway], gateway };
  },
};
