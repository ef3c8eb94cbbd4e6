/**
 * A small cap, and input that is as hard on it as can be: many devices, times out of order over a month, names for records,
 * values of all sizes and of 17 digits. The files stay under the cap at every look; when nothing makes room, intake stops and
 * nothing acknowledged is lost; receipts are still written, and intake goes on after them.
 */
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { imbalance } from '../agent/books.js';
import { bufferSchema } from '../agent/buffer/options.js';
import { bytesOnDisk, fastDirectory } from '../agent/disk-testing.js';
import { Pipeline } from '../agent/pipeline.js';
import type { Decoded, Reading } from '../agent/reading.js';
import { ALWAYS, clocksOf } from '../agent/time/clock-testing.js';
import { Dice } from './dice.js';

const CAP = 4 * 1024 * 1024;
const AT_ONCE = 250;
const MOST_ROUNDS = 600;
const MONTH_MS = 30 * 86_400_000;
const METRICS = ['a', 'b', 'c', 'd', 'e'];
const FIRST = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };

function hardReading(dice: Dice, nowMs: number): Reading {
  const reading = {
    group: '',
    lane: '',
    device: `d${dice.below(200)}`,
    timeUs: Math.floor((nowMs - (dice.below(1e9) / 1e9) * MONTH_MS) * 1000),
    windowMs: 60_000,
    latenessMs: 0,
    metrics: METRICS,
    values: METRICS.map(() => (dice.below(1e9) / 1e9 - 0.5) * 10 ** dice.below(20)),
  };
  return dice.chance(0.5) ? reading : { ...reading, recordId: `${dice.below(1e9)}-${dice.below(1e9)}-x` };
}

t.test('hard input at a small cap', { timeout: 200_000 }, async (t) => {
  const dice = new Dice(4711);
  const now = { ms: Date.UTC(2025, 0, 1) };
  const databasePath = join(fastDirectory(t), 'edgetally.db');
  let current: Decoded = { readings: [], rejects: [], valueRejects: [] };
  const open = () =>
    new Pipeline({
      options: bufferSchema.parse({ commitInterval: 0, maxBytes: CAP }),
      databasePath,
      decode: () => current,
      clock: clocksOf(now),
      clockOptions: ALWAYS,
      log: pino({ level: 'silent' }),
    });
  let pipeline = open();
  let acknowledged = 0;
  let largest = 0;
  /** Whether the readings were acknowledged. */
  const round = async (): Promise<boolean> => {
    now.ms += 30_000;
    const readings = Array.from({ length: AT_ONCE }, () => hardReading(dice, now.ms));
    current = { readings, rejects: [], valueRejects: [] };
    let taken = false;
    pipeline.accept(
      { topic: 't', payload: new Uint8Array(), arrivalUs: 0 },
      (error) => {
        taken = error === undefined;
      },
      true,
    );
    pipeline.commit();
    if (taken) acknowledged += AT_ONCE;
    for (const work of [() => pipeline.save('due'), () => pipeline.makeRoom()]) {
      await work().catch(() => undefined); // a full database is what this is about
      largest = Math.max(largest, bytesOnDisk(databasePath));
    }
    return taken;
  };

  let rounds = 0;
  while ((await round()) && rounds < MOST_ROUNDS) rounds++;
  t.ok(rounds > 10 && rounds < MOST_ROUNDS, `intake stops after ${acknowledged} readings`);
  t.ok(largest <= CAP, `${largest} bytes on disk at most, of ${CAP}`);

  await pipeline.stop().catch(() => undefined);
  pipeline = open();
  t.equal(pipeline.books.counted, acknowledged, 'what was acknowledged is there, and nothing else');
  t.equal(imbalance(pipeline.books), 0);

  const owed = pipeline.buffer.windows.backlog(Number.MAX_SAFE_INTEGER, FIRST, 1_000);
  const left = pipeline.buffer.attempted(owed.map(({ ref }) => ref));
  t.ok(left.length > 0, 'windows can still leave');
  pipeline.buffer.receipted(left);
  await pipeline.makeRoom();
  let tries = 0;
  while (!(await round()) && tries < 20) tries++;
  t.ok(tries < 20, 'intake goes on after receipts');
  t.ok(largest <= CAP, `${largest} bytes on disk at most`);
  await pipeline.stop().catch(() => undefined);
});
