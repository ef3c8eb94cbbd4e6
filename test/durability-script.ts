/**
 * A few messages through the real pipeline, one commit each: `node durability-script.js <dir> <durability>`. Says what it is
 * about to do and what is done, so that the system calls between two lines can be looked at.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { bufferSchema } from '../agent/buffer/options.js';
import { Pipeline } from '../agent/pipeline.js';
import { ALWAYS } from '../agent/time/clock-testing.js';

const [dir = '', durability] = process.argv.slice(2);
const MESSAGES = 5;
const SYNC_INTERVAL_MS = 10_000;
const HOUR_MS = 3_600_000;
const say = (line: string) => writeSync(1, `${line}\n`);

let nowMs = Date.UTC(2026, 2, 1);
let monotonicMs = 0;
const pipeline = new Pipeline({
  options: bufferSchema.parse({ durability, syncInterval: SYNC_INTERVAL_MS }),
  databasePath: join(dir, 'edgetally.db'),
  decode: () => ({ readings: [reading(nowMs)], rejects: [], valueRejects: [] }),
  clock: { nowMs: () => nowMs, monotonicMs: () => monotonicMs, bootId: 'boot', evidence: () => 'unknown' },
  clockOptions: ALWAYS,
  log: pino({ level: 'silent' }),
});

function reading(timeMs: number) {
  const common = { group: '', device: 'd', lane: '', windowMs: HOUR_MS, latenessMs: 0 };
  return { ...common, timeUs: timeMs * 1000, metrics: ['x'], values: [1] };
}

async function deliver(): Promise<void> {
  nowMs += 1;
  const message = { topic: 't', payload: Buffer.alloc(0), arrivalUs: nowMs * 1000 };
  await new Promise<void>((resolve) => pipeline.accept(message, () => resolve(), true));
}

function work(what: string): void {
  say(`begin ${what}`);
  pipeline.work();
  say(`end ${what}`);
}

await deliver(); // makes the ballast
pipeline.work(); // does what is done once in a while
for (let i = 1; i <= MESSAGES; i++) {
  say(`begin message ${i}`);
  await deliver();
  say(`end message ${i}`);
}
work('look too early');
monotonicMs += SYNC_INTERVAL_MS;
work('look in time');
monotonicMs += SYNC_INTERVAL_MS;
work('look with nothing new');
await deliver();
await pipeline.save('all');
nowMs += 2 * HOUR_MS;
monotonicMs += 2 * HOUR_MS;
const first = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };
const [window] = pipeline.buffer.windows.backlog(pipeline.time.now().steadyMs, first, 1);
say('begin sending');
if (pipeline.buffer.attempted([window!.ref]).length !== 1) throw new Error('the window did not leave');
say('end sending');
await deliver();
say('begin sending nothing');
pipeline.buffer.attempted([]);
say('end sending nothing');
await deliver();
say('begin stop');
await pipeline.stop();
say('end stop');
