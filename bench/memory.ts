/** RSS of the whole agent as it is installed: idle, and at 10 000 messages a second with 10 000 series; and what its event loop did meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Figure, Stage } from './figures.js';
import { loadRound, startGateway, startLoad } from './gateway.js';

const DEVICES = 2000;
const PER_SECOND = 10_000;
const SECONDS = 20;

export const memory: Stage = {
  name: 'memory',
  about: 'the whole agent as it is installed, 10k msgs/s QoS 1, 1,000 connections, 10,000 series, windows of a minute',
  ci: false,
  async run({ dir }) {
    const gateway = await startGateway({ dir, route: { window: '1m' }, program: 'installed' });
    const load = await startLoad();
    try {
      await sleep(3000);
      const idle = await gateway.agent.usage();
      await load.ask({ kind: 'connect', port: gateway.port, connections: 1000, qos: 1, devices: DEVICES });
      await loadRound(load, { group: 0, seconds: 5, perSecond: PER_SECOND });
      const before = await gateway.agent.usage();
      const done = await loadRound(load, { group: 0, seconds: SECONDS, perSecond: PER_SECOND });
      const busy = await gateway.agent.usage();
      const less = 'less' as const;
      const figures: Figure[] = [
        { name: 'RSS idle', unit: 'MB', ours: idle.rssBytes / 1e6, better: less, target: '≤ 90' },
        {
          name: 'RSS at 10k/s',
          unit: 'MB',
          ours: busy.rssBytes / 1e6,
          better: less,
          target: '≤ 160',
          cpuUs: (busy.cpuUs - before.cpuUs) / done.sent,
        },
        { name: 'event loop p99 at 10k/s', unit: 'ms', ours: busy.loopP99Ms, better: less, target: '≤ 10' },
        { name: 'PUBACK p50 at 10k/s', unit: 'ms', ours: done.ackP50Ms, better: less },
        { name: 'PUBACK p99 at 10k/s', unit: 'ms', ours: done.ackP99Ms, better: less, target: '≤ 120' },
      ];
      await loadRound(load, { group: 0, seconds: 5 });
      const full = await gateway.agent.usage();
      const loaded = { rssBytes: full.rssBytes, better: less, target: '≤ 50' } as const;
      return [...figures, { name: 'event loop p99, saturated', unit: 'ms', ours: full.loopP99Ms, ...loaded }];
    } finally {
      await load.end();
      await gateway.stop();
    }
  },
};
