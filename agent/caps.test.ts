/** At the cap: totals, means and extremes stay exact while resolution goes, and every step is counted. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { mergeAll, type Observation, statisticsOf, summarize } from '../shared/summary.js';
import { imbalance } from './books.js';
import { Ballast } from './buffer/ballast.js';
import { bufferSchema } from './buffer/options.js';
import { fastDirectory } from './disk-testing.js';
import { Pipeline } from './pipeline.js';
import type { Decoded, Message } from './reading.js';
import type { BacklogWindow } from './stored-window.js';
import { ALWAYS, clocksOf } from './time/clock-testing.js';

const MINUTE = 60_000;
const DAY = 86_400_000;
const START = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };

/** Payload: JSON [device, time in ms, value]. */
function decode(message: Message): Decoded {
  const [device, timeMs, value] = JSON.parse(Buffer.from(message.payload).toString()) as [string, number, number];
  const common = { group: '', lane: '', windowMs: MINUTE, latenessMs: 0, metrics: ['x'] };
  return { readings: [{ ...common, device, timeUs: timeMs * 1000, values: [value] }], rejects: [], valueRejects: [] };
}

function open(t: Test, maxBytes: number, now: { ms: number }): Pipeline {
  const pipeline = new Pipeline({
    options: bufferSchema.parse({ commitInterval: 0, maxBytes }),
    databasePath: join(fastDirectory(t), 'edgetally.db'),
    decode,
    clock: clocksOf(now),
    clockOptions: ALWAYS,
    log: pino({ level: 'silent' }),
  });
  t.teardown(() => pipeline.stop());
  return pipeline;
}

/** Hands all in at once; one commit takes them. */
async function accept(pipeline: Pipeline, readings: readonly [string, number, number][]): Promise<void> {
  await Promise.all(
    readings.map(
      (reading) =>
        new Promise<void>((resolve, reject) => {
          const message = { topic: 't', payload: Buffer.from(JSON.stringify(reading)), arrivalUs: 0 };
          pipeline.accept(message, (error) => (error ? reject(error) : resolve()), true);
        }),
    ),
  );
}

const backlog = (pipeline: Pipeline) => pipeline.buffer.windows.backlog(Number.MAX_SAFE_INTEGER, START, 1_000_000);

/** Statistics of each device and UTC day. */
function byDay(windows: readonly BacklogWindow[]): Record<string, object> {
  const days = new Map<string, BacklogWindow[]>();
  for (const window of windows) {
    const key = `${window.summary.device} ${Math.floor(window.ref.startMs / DAY)}`;
    days.set(key, [...(days.get(key) ?? []), window]);
  }
  return Object.fromEntries(
    [...days].map(([key, list]) => [key, statisticsOf(mergeAll(list.map(({ summary }) => summary.metrics.get('x')!)))]),
  );
}

t.test('weeks offline in a small database', { timeout: 120_000 }, async (t) => {
  const now = { ms: 0 };
  const maxBytes = 600_000;
  const pipeline = open(t, maxBytes, now);
  const truth = new Map<string, Observation[]>();
  let most = 0;
  for (let hour = 0; hour < 21 * 24; hour++) {
    const readings: [string, number, number][] = [];
    for (let minute = 0; minute < 60; minute += 2) {
      const timeMs = (hour * 60 + minute) * MINUTE + 17;
      for (const device of ['a', 'b']) {
        const value = Math.round(Math.sin(hour + minute) * 10_000) / 100;
        readings.push([device, timeMs, value]);
        const key = `${device} ${Math.floor(timeMs / DAY)}`;
        truth.set(key, [...(truth.get(key) ?? []), { timeUs: timeMs * 1000, value }]);
      }
    }
    now.ms = (hour + 1) * 60 * MINUTE;
    await accept(pipeline, readings);
    await pipeline.save('all');
    await pipeline.makeRoom();
    most = Math.max(most, pipeline.buffer.disk.use().bytes);
  }
  t.equal(pipeline.refused, 0, 'nothing was turned away');
  t.ok(most <= maxBytes, `${most} bytes at most, the cap is ${maxBytes}`);
  t.equal(imbalance(pipeline.books), 0);
  t.ok((pipeline.books.coarsened['15m'] ?? 0) > 1000, JSON.stringify(pipeline.books.coarsened));
  t.ok((pipeline.books.coarsened['1h'] ?? 0) > 100);
  const expected = Object.fromEntries([...truth].map(([key, list]) => [key, statisticsOf(summarize(list))]));
  t.strictSame(byDay(backlog(pipeline)), expected, 'every day is exact');
  const lengths = new Set(backlog(pipeline).map(({ ref }) => ref.lengthMs));
  t.ok(lengths.has(MINUTE), 'the newest windows are fine');
});

t.test('merging: the memory of what was counted, late readings, and windows that left', async (t) => {
  const now = { ms: 60 * MINUTE };
  const pipeline = open(t, 10_000_000, now);
  const minutes = Array.from({ length: 60 }, (_, i): [string, number, number] => ['a', i * MINUTE + 17, i]);
  await accept(pipeline, minutes);
  await pipeline.save('all');
  const left = backlog(pipeline).filter(({ ref }) => ref.startMs === 0);
  pipeline.buffer.attempted(left.map(({ ref }) => ref));
  now.ms = DAY;
  const coarsen = () => pipeline.buffer.coarsen(now.ms, () => false, pipeline.books, now.ms);
  t.strictSame(coarsen(), { '15m': 45 });
  const starts = backlog(pipeline).map(({ ref }) => `${ref.startMs / MINUTE}+${ref.lengthMs / MINUTE}`);
  t.strictSame(starts.slice(-3), ['15+15', '30+15', '45+15']);
  t.equal(starts.length, 18, 'the first quarter stays: one of its windows has left');

  await accept(pipeline, [['a', 20 * MINUTE + 17, 20]]);
  t.equal(pipeline.books.duplicate, 1, 'known in the quarter hour');
  await accept(pipeline, [['a', 20 * MINUTE + 18, 20]]);
  t.equal(pipeline.books.counted, 61, 'a late one counts');
  await pipeline.save('all');
  const amended = backlog(pipeline).find(({ ref }) => ref.startMs === 15 * MINUTE);
  t.match(amended?.ref, { revision: 2, lengthMs: 15 * MINUTE });
  t.equal(amended?.summary.readings, 16);
});

t.test('a disk that somebody else filled: the ballast goes, and comes back', async (t) => {
  const path = join(t.testdir(), 'ballast');
  const ballast = new Ballast(path);
  ballast.take();
  t.equal(readFileSync(path).length, 4 * 1024 * 1024);
  t.equal(ballast.diskIsFull, false);
  ballast.drop();
  t.equal(ballast.isThere, false);
  rmSync(path, { force: true });
  t.notOk(existsSync(`${path}.new`));
});

t.test('a link that brings no receipts: what left is bounded, and the rest is merged', async (t) => {
  const now = { ms: 0 };
  const maxBytes = 2_000_000;
  const pipeline = open(t, maxBytes, now);
  const { buffer } = pipeline;
  const page = () => buffer.windows.backlog(Number.MAX_SAFE_INTEGER, START, 200);
  let most = 0;
  let outstanding = 0;
  for (let hour = 0; hour < 6 * 24; hour++) {
    const minutes = Array.from({ length: 60 }, (_, i) => (hour * 60 + i) * MINUTE);
    now.ms = (hour + 1) * 60 * MINUTE;
    await accept(
      pipeline,
      ['a', 'b', 'c'].flatMap((device) => minutes.map((at): [string, number, number] => [device, at, at % 7])),
    );
    await pipeline.save('all');
    // all that may leave leaves, the newest windows too
    for (const { ref } of buffer.windows.backlog(
      Number.MAX_SAFE_INTEGER,
      { ...START, startMs: now.ms - 3_600_001 },
      200,
    )) {
      if (buffer.windows.unsent(Number.MAX_SAFE_INTEGER, ref) !== undefined) buffer.attempted([ref]);
    }
    await pipeline.makeRoom();
    outstanding = Math.max(outstanding, buffer.windows.outstanding.bytes);
    most = Math.max(most, buffer.disk.use().bytes);
  }
  t.equal(pipeline.refused, 0, 'nothing was turned away');
  t.ok(most <= maxBytes, `${most} bytes at most, the cap is ${maxBytes}`);
  const share = buffer.disk.shares.pages / 8;
  t.ok(
    outstanding > 0.9 * share && outstanding < share + 1000,
    `${outstanding} bytes outstanding, a share is ${share}`,
  );
  t.ok((pipeline.books.coarsened['15m'] ?? 0) > 1000, JSON.stringify(pipeline.books.coarsened));
  t.equal(
    page().every(({ ref }) => buffer.attempted([ref]).length === 1),
    true,
    'what left goes again',
  );
  let readings = 0;
  for (let refs = page(); refs.length > 0; refs = page()) {
    readings += refs.reduce((sum, { summary }) => sum + summary.readings, 0);
    buffer.attempted(refs.map(({ ref }) => ref));
    buffer.receipted(refs.map(({ ref }) => ref));
  }
  t.equal(readings, pipeline.books.counted, 'with receipts the rest follows');
});
