/**
 * What a second core would bring: two agents with a database each behind two ports, which needs no code; and one agent whose
 * broker accepts in one thread while all behind it runs in another. Yardstick: one agent, with the same senders, in the same
 * turns. The rate needs cores that are free; the CPU time of the busiest thread does not, and says what they would allow.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BehindBroker, behindBroker } from './behind-broker.js';
import { type Figure, median, type Stage } from './figures.js';
import { type Gateway, loadRound, startGateway, startLoad } from './gateway.js';
import type { Subject } from './subject.js';

const CONNECTIONS = 500;
const SECONDS = 2.5;
const TURNS = 3;
const TARGET = '≥ 1.6 on two free cores';

interface Way {
  readonly name: string;
  /** What the first and the second half of the senders connect to. */
  readonly to: readonly [Subject, Subject];
  readonly ports: readonly [number, number];
  /** Of the senders' groups, the one of this way. */
  readonly group: number;
}

interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
  /** CPU time of the busiest thread of all for a message of the whole, µs: it limits the rate where cores are free. */
  readonly threadUs: number;
}

export const scaling: Stage = {
  name: 'scaling',
  about: 'a second core: QoS 1, saturating, 1,000 connections',
  ci: false,
  async run({ dir }) {
    const gateways: Gateway[] = [];
    for (const program of ['agent-under-test', 'agent-under-test', 'split-agent']) {
      const own = join(dir, String(gateways.length));
      mkdirSync(own);
      gateways.push(await startGateway({ dir: own, program }));
    }
    const loads = [await startLoad(), await startLoad()];
    try {
      const ways = waysOf(gateways);
      for (const { ports } of ways) {
        for (const [i, load] of loads.entries()) {
          await load.ask({ kind: 'connect', port: ports[i], connections: CONNECTIONS, qos: 1 });
        }
      }
      const measured = await inTurns(ways, loads);
      return [...figuresOf(measured), ...partsOf(measured, await behindBroker(dir))];
    } finally {
      for (const load of loads) await load.end();
      for (const gateway of gateways) await gateway.stop();
    }
  },
};

function waysOf(gateways: readonly Gateway[]): Way[] {
  const way = (name: string, group: number, first: Gateway, second: Gateway): Way => {
    return { name, group, to: [first.agent, second.agent], ports: [first.port, second.port] };
  };
  const [one, other, split] = gateways as [Gateway, Gateway, Gateway];
  return [
    way('one agent', 0, one, one),
    way('two agents behind two ports', 1, one, other),
    way('accepting thread and worker', 2, split, split),
  ];
}

async function inTurns(ways: readonly Way[], loads: readonly Subject[]): Promise<ReadonlyMap<string, Measured[]>> {
  const measured = new Map<string, Measured[]>(ways.map(({ name }) => [name, []]));
  for (let turn = 0; turn <= TURNS; turn++) {
    for (const way of ways) {
      const one = await measure(way, loads);
      if (turn > 0) measured.get(way.name)!.push(one); // the first turn warms up
    }
  }
  return measured;
}

async function measure({ to, group }: Way, loads: readonly Subject[]): Promise<Measured> {
  const subjects = [...new Set(to)];
  const before = await Promise.all(subjects.map(used));
  const rounds = await Promise.all(loads.map((load) => loadRound(load, { group, seconds: SECONDS })));
  const sent = rounds.reduce((sum, { sent }) => sum + sent, 0);
  const counted = (all: readonly { counted: number }[]) => all.reduce((sum, one) => sum + one.counted, 0);
  let after = await Promise.all(subjects.map(used));
  while (counted(after) - counted(before) < sent) {
    await sleep(20);
    after = await Promise.all(subjects.map(used));
  }
  const cpuUs = after.reduce((sum, one, i) => sum + one.cpuUs - before[i]!.cpuUs, 0);
  return {
    perSecond: rounds.reduce((sum, { acknowledged, seconds }) => sum + acknowledged / seconds, 0),
    cpuUs: cpuUs / sent,
    threadUs: Math.max(...after.map(({ threads }, i) => busiest(before[i]!.threads, threads))) / sent,
  };
}

async function used(subject: Subject) {
  const { cpuUs, counted } = await subject.usage();
  return { cpuUs, counted, threads: subject.threadsUs() };
}

function busiest(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): number {
  return Math.max(...[...after].map(([thread, us]) => us - (before.get(thread) ?? 0)));
}

/** What leaves the main thread for nothing, at best, where only this part of a message is done in another. */
function partsOf(measured: ReadonlyMap<string, Measured[]>, { decodeUs, restUs }: BehindBroker): Figure[] {
  const [one] = measured.values();
  const thread = median(one!.map(({ threadUs }) => threadUs));
  const part = (name: string, us: number): Figure => ({
    ...{ name: `${name}, without sockets`, unit: 'µs', ours: us, better: 'less' },
    note: `in a thread of its own, for nothing: at most ${(thread / (thread - us)).toFixed(2)} times as many messages`,
  });
  return [part('decoding a message', decodeUs), part('gathering, committing and folding it', restUs)];
}

function figuresOf(measured: ReadonlyMap<string, Measured[]>): Figure[] {
  const [[, one], ...others] = [...measured] as [[string, Measured[]], ...[string, Measured[]][]];
  const middle = (list: readonly Measured[], key: keyof Measured) => median(list.map((turn) => turn[key]));
  return others.flatMap(([name, list]) => {
    const against = (key: keyof Measured) => ({
      ours: middle(list, key),
      yardstick: { is: 'one agent', value: middle(one, key) },
      ratio: median(list.map((turn, i) => turn[key] / one[i]![key])),
    });
    const thread = against('threadUs');
    return [
      { name: `${name}: messages`, unit: '1/s', ...against('perSecond'), better: 'more', target: TARGET },
      { name: `${name}: CPU a message`, unit: 'µs', ...against('cpuUs'), better: 'less' },
      {
        ...{ name: `${name}: busiest thread a message`, unit: 'µs', ...thread, better: 'less' },
        note: `free cores would allow ${(1 / thread.ratio).toFixed(2)} times as many messages`,
      },
    ] as const;
  });
}
