/**
 * The clock of the gateway is wrong: real processes whose agent sees another time (libfaketime). A machine that starts in
 * 1970, is killed and set right; a clock that jumps a day ahead and back. Sensors that send no time, each reading with
 * a metric of its own, so that the report says of each when it was.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { imbalance } from '../agent/books.js';
import type { AgentStatus } from '../agent/status.js';
import { needs } from './needs.js';
import { Rig } from './rig.js';

const FAKETIME = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketimeMT.so.1`;
const DAY = 86_400_000;
/** What the agent follows without calling it a step, and the millisecond of a clock. */
const TOLERANCE_MS = 25;

/** A gateway whose clock is off by what `set` says. */
class WrongClock {
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;

  constructor(dir: string) {
    this.#file = join(dir, 'clock');
    this.env = {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    };
  }

  set(offMs: number): void {
    writeFileSync(this.#file, `${offMs < 0 ? '-' : '+'}${Math.abs(offMs) / 1000}\n`);
  }
}

/** When each reading without a time was published, and acknowledged, by the right clock. */
type Sent = Map<string, readonly [number, number]>;

async function publish(sensor: MqttClient, sent: Sent, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const metric = `m${sent.size}`;
    const before = Date.now();
    await sensor.publishAsync('raw/u', JSON.stringify({ [metric]: 1 }), { qos: 1 });
    sent.set(metric, [before, Date.now()]);
  }
}

async function until(rig: Rig, what: (status: AgentStatus) => boolean): Promise<AgentStatus> {
  for (;;) {
    const status = await rig.status();
    if (status !== undefined && what(status)) return status;
    await sleep(50);
  }
}

interface Row {
  readonly device: string;
  readonly metric: string;
  readonly count: number;
  readonly first_time: string;
}

async function rows(rig: Rig): Promise<Row[]> {
  const { rows } = JSON.parse(await rig.report('--group-by', 'device', '--format', 'json')) as { rows: Row[] };
  return rows;
}

/** Each reading counted once, at the time at which it came. */
function checkTimes(t: Test, found: readonly Row[], sent: Sent, offMs = 0): void {
  const wrong: string[] = [];
  const times = new Map(found.filter(({ device }) => device === 'u').map((row) => [row.metric, row]));
  for (const [metric, [before, after]] of sent) {
    const row = times.get(metric);
    const timeMs = Date.parse(row?.first_time ?? '') - offMs;
    const isRight = row?.count === 1 && timeMs >= before - TOLERANCE_MS && timeMs <= after + TOLERANCE_MS;
    if (!isRight) wrong.push(`${metric}: ${JSON.stringify(row)}, sent ${new Date(before).toISOString()}`);
  }
  t.strictSame(wrong, []);
}

const HOUR = 3_600_000;

/** Now, or a little later where the hour is nearly over: its window goes on for some minutes. */
function ownTime(): number {
  const left = HOUR - (Date.now() % HOUR);
  return left > 240_000 ? Date.now() : Date.now() + left;
}

async function make(t: Test): Promise<{ rig: Rig; clock: WrongClock }> {
  const clock = new WrongClock(t.testdir());
  const routes = [
    { topic: 'raw/{device}', window: '1s', lateness: '0s' },
    { topic: 'own/{device}', window: '1h', lateness: '1s', time: { from: 'ts', unit: 'ms' }, metrics: ['x'] },
  ];
  const rig = await Rig.make(t, { routes, agent: { clock: { settle: '1s' } }, agentEnv: clock.env });
  return { rig, clock };
}

t.test('started in 1970, killed, killed again, and set right', { timeout: 120_000 }, async (t) => {
  if (!needs(t, FAKETIME, 'faketime')) return;
  const { rig, clock } = await make(t);
  clock.set(100_000 - Date.now());
  await rig.start();
  const sent: Sent = new Map();
  await publish(await rig.sensor('a'), sent, 20);
  const sensor = await rig.sensor('b');
  await sensor.publishAsync('own/o', JSON.stringify({ ts: ownTime(), x: 7 }), { qos: 1 });
  const early = await until(rig, ({ push }) => push?.link.problem !== undefined);
  t.match(early, { clock: { doubt: 'before-release' }, held: { undated: 20, future: 0 } });
  t.equal(early.books.counted, 1, 'a reading with a time of its own counts at once');
  t.match(early.push?.link.problem, /not yet valid/, 'and the link says what is wrong with it');

  await rig.agent.end('SIGKILL');
  await rig.agent.start();
  await publish(await rig.sensor('c'), sent, 20);
  t.match(await rig.status(), { held: { undated: 40 } });
  clock.set(0);
  await until(rig, ({ clock }) => clock?.doubt !== 'before-release');
  await rig.agent.end('SIGKILL');
  await rig.agent.start();
  await publish(await rig.sensor('d'), sent, 10);
  await until(rig, ({ books, backlog }) => books.held === 0 && backlog.windows === 0);
  const { books } = (await rig.status())!;
  t.match(books, { in: 51, counted: 51, duplicate: 0, held: 0, estimated: 0 });
  t.equal(imbalance(books), 0);
  await until(rig, ({ openWindows, backlog }) => openWindows === 0 && backlog.windows === 0);
  checkTimes(t, await rows(rig), sent);
});

t.test('a day ahead, and back', { timeout: 120_000 }, async (t) => {
  if (!needs(t, FAKETIME, 'faketime')) return;
  const { rig, clock } = await make(t);
  clock.set(0);
  await rig.start();
  const sensor = await rig.sensor();
  const timeMs = ownTime();
  const own = async (ts: number) => {
    for (let device = 0; device < 5; device++) {
      await sensor.publishAsync(`own/o${device}`, JSON.stringify({ ts, x: 1 }), { qos: 1 });
    }
  };
  await own(timeMs);
  const sent: Sent = new Map();
  await publish(sensor, sent, 5);
  await until(rig, ({ openWindows, backlog }) => openWindows === 5 && backlog.windows === 0);

  await rig.cloud.end('SIGTERM'); // so that what closes meanwhile is not sent
  clock.set(DAY);
  await until(rig, ({ clock }) => clock?.doubt === 'just-set');
  await publish(sensor, sent, 5); // nobody knows which clock was right
  await until(rig, ({ clock, books }) => clock?.doubt === null && books.held === 0);
  await until(rig, ({ openWindows }) => openWindows === 5); // those of before the jump, still
  await own(timeMs + 1);
  await until(rig, ({ books, backlog, openWindows }) => books.held === 0 && backlog.windows > 0 && openWindows === 5);
  t.pass('windows that are not over stay open, those that are close');

  clock.set(0);
  await until(rig, ({ clock }) => clock?.doubt === 'just-set');
  await publish(sensor, sent, 5);
  await rig.cloud.start();
  const { books } = await until(rig, ({ clock, books, openWindows, backlog }) => {
    return clock?.doubt === null && books.held === 0 && openWindows === 5 && backlog.windows === 0;
  });
  t.match(books, { in: 25, counted: 25, duplicate: 0, estimated: 0 });
  const found = await rows(rig);
  const during = new Map([...sent].slice(5, 10));
  checkTimes(t, found, new Map([...sent].filter(([metric]) => !during.has(metric))));
  checkTimes(t, found, during, DAY);
});
