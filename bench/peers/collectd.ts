/** collectd behind Mosquitto: its mqtt plugin reads, its aggregation plugin sums up, its mqtt plugin writes. */
import { join } from 'node:path';
import { collectdTopics } from './dialects.js';
import { mosquitto, withMosquitto } from './mosquitto.js';
import { configure, type Peer } from './peer.js';
import { found, onPath } from './programs.js';
import { Service } from './service.js';

export const collectd: Peer = {
  name: 'collectd, aggregation plugin',
  dialect: 'collectd',
  upstream: 'collectd',
  tells: 'n, sum, mean, standard deviation, min, max',
  find: () => withMosquitto(found('collectd', ['-h'], 'apt install collectd-core libmosquitto1')),
  async prepare(site) {
    const { port, service } = await mosquitto(site);
    const path = configure(site, 'collectd/collectd.conf', { broker: port, topics: collectdTopics });
    const gateway = new Service({
      name: 'collectd',
      file: onPath('collectd')!,
      args: ['-f', '-C', path, '-P', join(site.dir, 'collectd.pid')],
      cwd: site.dir,
      ready: /entering read-loop/,
    });
    return { port, services: [service, gateway], gateway };
  },
};
