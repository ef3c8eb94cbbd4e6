import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import t from 'tap';
import { type MetricSummary, mergeAll, type Observation, summarize } from '../shared/summary.js';
import { RELEASED_MS } from '../shared/version.js';
import { imbalance } from './books.js';
import { bufferSchema } from './buffer/options.js';
import { Pipeline } from './pipeline.js';
import type { Decoded, Message } from './reading.js';
import { clockSchema } from './time/clock-options.js';
import { ALWAYS, clocksOf, TestClocks } from './time/clock-testing.js';

const MINUTE = 60_000;
const START = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };
const log = pino({ level: 'silent' });

/** Payload: JSON of {d, t (ms), v}; anything else is rejected. */
function decode(message: Message): Decoded {
  const none = { readings: [], rejects: [], valueRejects: [] };
  try {
    const { d, t, v } = JSON.parse(Buffer.from(message.payload).toString());
    const common = { group: '', lane: '', windowMs: MINUTE, latenessMs: 1_000, metrics: ['x'] };
    return { ...none, readings: [{ ...common, device: d, timeUs: t * 1000, values: [v] }] };
  } catch {
    return { ...none, rejects: [{ reason: 'not-json', detail: 'no' }] };
  }
}

function message(content: unknown): Message {
  const payload = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  return { topic: 't', payload, arrivalUs: 0 };
}

function open(path: string, now: { ms: number }, over: Record<string, unknown> = {}): Pipeline {
  const options = bufferSchema.parse({ commitInterval: 1, ...over });
  return new Pipeline({
    options,
    databasePath: path,
    decode,
    clock: clocksOf(now),
    clockOptions: ALWAYS,
    log,
  });
}

const accept = (pipeline: Pipeline, content: unknown) =>
  new Promise<void>((resolve, reject) => {
    pipeline.accept(message(content), (error) => (error ? reject(error) : resolve()), true);
  });

/** Every saved window as text, its parts merged. */
function saved(pipeline: Pipeline): string[] {
  const text = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value);
  const windows = new Map<string, MetricSummary[]>();
  for (const { summary } of pipeline.buffer.windows.backlog(Number.MAX_SAFE_INTEGER, START, 1000)) {
    const key = JSON.stringify([summary.device, summary.startMs]);
    windows.set(key, [...(windows.get(key) ?? []), ...summary.metrics.values()]);
  }
  return [...windows]
    .map(([key, parts]) => JSON.stringify([...JSON.parse(key), [['x', mergeAll(parts)]]], text))
    .sort();
}

t.test('a message is acknowledged after it is on disk, and counts after a crash', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const now = { ms: 10 * MINUTE };
  const first = open(path, now);
  await first.start([], undefined);
  await accept(first, { d: 'a', t: 1, v: 1 });
  t.equal([...first.buffer.journal.blocks()].length, 1);
  await first.stop(); // windows are not saved by a stop: this is what a kill leaves
  const second = open(path, now);
  await second.start([], undefined);
  t.equal(second.books.counted, 1);
  await accept(second, { d: 'a', t: 1, v: 1 });
  t.equal(second.books.duplicate, 1, 'the repeated reading is known');
  await second.save('all');
  await second.stop();
});

t.test('no commit, no acknowledgement', async (t) => {
  const now = { ms: 10 * MINUTE };
  const pipeline = open(join(t.testdir(), 'edgetally.db'), now, { maxBytes: 100_000 });
  await pipeline.start([], undefined);
  let refused = 0;
  for (let i = 0; i < 20_000 && refused === 0; i++) {
    pipeline.accept(message({ d: `device-${i}`.padEnd(200, 'x'), t: i, v: i }), (error) => {
      if (error) refused++;
    });
    if (i % 200 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  t.ok(refused > 0);
  t.ok(pipeline.refused > 0, 'and it is counted');
  t.equal(imbalance(pipeline.books), 0);
  await pipeline.stop();
});

t.test('what counted while nobody knew the time is known when it comes again, and is from the future', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const clocks = new TestClocks(0);
  const pipeline = new Pipeline({
    options: bufferSchema.parse({ commitInterval: 0, retention: '1m' }),
    databasePath: path,
    decode,
    clock: clocks,
    clockOptions: clockSchema.parse({ settle: 0 }),
    log,
  });
  const ahead = { d: 'a', t: RELEASED_MS + 30 * MINUTE, v: 7 };
  const work = async () => {
    pipeline.work();
    await pipeline.save('due');
    const refs = pipeline.buffer.windows.backlog(Number.MAX_SAFE_INTEGER, START, 10).map(({ ref }) => ref);
    pipeline.buffer.receipted(refs);
  };
  await accept(pipeline, ahead);
  t.match(pipeline.books, { counted: 1, held: 0 }, 'it counts at once');
  clocks.pass(3 * MINUTE);
  await work();
  clocks.set(RELEASED_MS);
  clocks.pass(3 * MINUTE);
  await work();
  t.equal(pipeline.openWindows, 0);
  await accept(pipeline, ahead);
  t.match(pipeline.books, { counted: 1, held: 1 });
  for (let minute = 0; minute < 40; minute++) {
    clocks.pass(MINUTE);
    await work();
  }
  t.match(pipeline.books, { counted: 1, held: 0, duplicate: 1 });
  pipeline.buffer.close();
});

t.test('readings from the future are held apart, and count when their time has come', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const now = { ms: 10 * MINUTE };
  const pipeline = open(path, now, { future: '1m' });
  await pipeline.start([], undefined);
  await accept(pipeline, { d: 'a', t: 20 * MINUTE, v: 7 });
  t.match(pipeline.books, { in: 1, held: 1, counted: 0 });
  t.equal(imbalance(pipeline.books), 0);
  now.ms = 19 * MINUTE;
  while (pipeline.books.held > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  t.match(pipeline.books, { in: 1, held: 0, counted: 1 });
  t.equal(imbalance(pipeline.books), 0);
  await pipeline.stop();
});

t.test('a repetition that is in the journal when its window is forgotten does not count after a crash', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const now = { ms: 10 * MINUTE };
  const first = open(path, now, { retention: '1m' });
  await first.start([], undefined);
  await accept(first, { d: 'a', t: 1, v: 1 });
  await first.save('all');
  first.buffer.receipted([{ device: 1, startMs: 0, lengthMs: MINUTE, part: first.buffer.session, revision: 1 }]);
  await accept(first, { d: 'b', t: now.ms + 4.5 * MINUTE, v: 1 }); // its window stays open and keeps the journal
  await accept(first, { d: 'a', t: 1, v: 1 });
  now.ms += 4 * MINUTE;
  await new Promise((resolve) => setTimeout(resolve, 250)); // a tick, with housekeeping
  await first.stop();
  const second = open(path, now);
  t.match(second.books, { in: 3, counted: 2, duplicate: 1 });
  await second.stop();
});

t.test('any stream with any crashes: the windows of a batch computation, and books that balance', async (t) => {
  const command = fc.oneof(
    { weight: 20, arbitrary: fc.record({ d: fc.constantFrom('a', 'b'), t: fc.nat(5 * MINUTE), v: fc.integer() }) },
    { weight: 2, arbitrary: fc.constant('junk') },
    { weight: 2, arbitrary: fc.constant('again') },
    { weight: 1, arbitrary: fc.constant('save') },
    { weight: 2, arbitrary: fc.constant('crash') },
    { weight: 4, arbitrary: fc.constant('later') },
  );
  let run = 0;
  const dir = t.testdir();
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 100, size: 'max' }), async (commands) => {
      const path = join(dir, `${run++}.db`);
      const now = { ms: 0 };
      let pipeline = open(path, now);
      await pipeline.start([], undefined);
      const truth = new Map<string, { d: string; t: number; v: number }>();
      let last: unknown = 'junk';
      let sent = 0;
      for (const command of commands) {
        if (command === 'save') await pipeline.save('all');
        else if (command === 'later') {
          now.ms += 20_000;
          await pipeline.save('due');
        } else if (command === 'crash') {
          await pipeline.stop();
          pipeline = open(path, now);
          await pipeline.start([], undefined);
        } else {
          const content = command === 'again' ? last : command;
          last = content;
          sent++;
          await accept(pipeline, content);
          if (typeof content === 'object' && content !== null) {
            const reading = content as { d: string; t: number; v: number };
            const key = `${reading.d}/${reading.t}`;
            if (!truth.has(key)) truth.set(key, reading);
          }
        }
      }
      t.equal(pipeline.books.in, sent);
      t.equal(pipeline.books.counted, truth.size);
      t.equal(imbalance(pipeline.books), 0);
      await pipeline.save('all');
      t.strictSame(saved(pipeline), batch([...truth.values()]));
      await pipeline.stop();
    }),
    { numRuns: 40 },
  );
});

function batch(readings: readonly { d: string; t: number; v: number }[]): string[] {
  const windows = new Map<string, { d: string; start: number; list: Observation[] }>();
  for (const { d, t, v } of readings) {
    const start = Math.floor(t / MINUTE) * MINUTE;
    const window = windows.get(`${d}/${start}`) ?? { d, start, list: [] };
    windows.set(`${d}/${start}`, window);
    window.list.push({ timeUs: t * 1000, value: v });
  }
  const text = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value);
  return [...windows.values()]
    .map(({ d, start, list }) => JSON.stringify([d, start, [['x', summarize(list)]]], text))
    .sort();
}
