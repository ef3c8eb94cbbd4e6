/**
 * The whole agent, every promise on, beside aedes as it comes, which acknowledges and discards: a thousand connections,
 * 180 bytes of JSON with five metrics, as fast as it goes and at a steady 10 000 a second.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, median, type Stage } from './figures.js';
import { loadRound, portOf, startGateway, startLoad } from './gateway.js';
import type { Done } from './load.js';
import { Subject } from './subject.js';

const CONNECTIONS = 1000;
const PER_SECOND = 10_000;

export interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly rssBytes: number;
  readonly ackP99Ms: number;
  readonly loadShare: number;
}

interface Scene {
  readonly subjects: readonly [Subject, Subject];
  readonly load: Subject;
}

export const broker: Stage = {
  name: 'broker',
  about: 'whole agent beside bare aedes, 1,000 connections',
  ci: true,
  async run({ ci, dir }) {
    const gateway = await startGateway({ dir });
    const bare = await Subject.start(['build/bench/bare-aedes.js'], /"port"/);
    const load = await startLoad();
    const figures: Figure[] = [];
    try {
      for (const qos of [1, 0] as const) {
        for (const port of [gateway.port, portOf(bare)]) {
          await load.ask({ kind: 'connect', port, connections: CONNECTIONS, qos });
        }
        const scene: Scene = { subjects: [gateway.agent, bare], load };
        const first = qos === 1 ? 0 : 2;
        const seconds = ci ? 1 : 2.5;
        const turns = ci ? 2 : 3;
        figures.push(...(await compare(scene, `QoS ${qos}, saturating`, first, { seconds, turns })));
        figures.push(...(await compare(scene, `QoS ${qos}, 10k/s`, first, { seconds, turns, perSecond: PER_SECOND })));
      }
    } finally {
      await load.end();
      await bare.end();
      await gateway.stop();
    }
    return figures;
  },
};

export interface Way {
  readonly seconds: number;
  readonly turns: number;
  readonly perSecond?: number;
}

async function compare({ subjects, load }: Scene, name: string, first: number, way: Way): Promise<Figure[]> {
  const measured: [Measured[], Measured[]] = [[], []];
  for (let turn = 0; turn <= way.turns; turn++) {
    for (const side of [0, 1] as const) {
      const one = await measure(subjects[side], load, first + side, way);
      if (turn > 0) measured[side].push(one); // the first turn warms up
    }
  }
  const [ours, bare] = measured;
  const middle = (list: readonly Measured[], key: keyof Measured) => median(list.map((one) => one[key]));
  const ratio = (key: keyof Measured) => median(ours.map((one, i) => one[key] / bare[i]![key]));
  const rssBytes = middle(ours, 'rssBytes');
  const cpu: Figure = {
    name: `${name}: CPU a message`,
    unit: 'µs',
    ours: middle(ours, 'cpuUs'),
    yardstick: { is: 'bare aedes', value: middle(bare, 'cpuUs') },
    ratio: ratio('cpuUs'),
    better: 'less',
    target: '≤ 1.25',
    cpuUs: middle(ours, 'cpuUs'),
    rssBytes,
    ...(way.perSecond !== undefined && name.startsWith('QoS 1')
      ? { note: `PUBACK p99 ${middle(ours, 'ackP99Ms').toFixed(0)} ms, bare ${middle(bare, 'ackP99Ms').toFixed(0)} ms` }
      : { note: `load generator ${(middle(ours, 'loadShare') * 100).toFixed(0)} % of a core` }),
    gate: true,
  };
  if (way.perSecond !== undefined) return [cpu];
  const rate: Figure = {
    name: `${name}: messages`,
    unit: '1/s',
    ours: middle(ours, 'perSecond'),
    yardstick: { is: 'bare aedes', value: middle(bare, 'perSecond') },
    ratio: ratio('perSecond'),
    better: 'more',
    target: '≥ 0.80',
    cpuUs: middle(ours, 'cpuUs'),
    rssBytes,
  };
  return [rate, cpu];
}

export async function measure(subject: Subject, load: Subject, group: number, way: Way): Promise<Measured> {
  const before = await subject.usage();
  const startMs = performance.now();
  const { seconds, perSecond } = way;
  const done: Done = await loadRound(load, { group, seconds, ...(perSecond === undefined ? {} : { perSecond }) });
  const after = await settled(subject, before.counted + done.sent);
  const elapsed = way.perSecond === undefined ? done.seconds : (performance.now() - startMs) / 1000;
  return {
    perSecond: (way.perSecond === undefined ? done.acknowledged : done.sent) / elapsed,
    cpuUs: (after.cpuUs - before.cpuUs) / (after.counted - before.counted),
    rssBytes: after.rssBytes,
    ackP99Ms: done.ackP99Ms,
    loadShare: done.cpuShare,
  };
}

/** Once all of it is counted: at QoS 0 nobody says so. */
async function settled(subject: Subject, counted: number) {
  for (;;) {
    const usage = await subject.usage();
    if (usage.counted >= counted) return usage;
    await sleep(20);
  }
}
