/**
 * A disk that somebody else fills: acknowledgements stop, nothing acknowledged is lost, receipts are still written, and
 * intake goes on by itself when there is room. On a tmpfs of its own, which takes root.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { bufferSchema } from '../agent/buffer/options.js';
import { Pipeline } from '../agent/pipeline.js';
import type { Decoded, Message } from '../agent/reading.js';
import { systemClocks } from '../agent/time/clock.js';
import { ALWAYS } from '../agent/time/clock-testing.js';

const clocks = systemClocks();
const START = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };

function decode(message: Message): Decoded {
  const timeUs = Number(Buffer.from(message.payload).toString());
  const reading = {
    group: '',
    device: 'a',
    lane: '',
    timeUs,
    windowMs: 60_000,
    latenessMs: 0,
    metrics: ['x'],
    values: [1],
  };
  return { readings: [reading], rejects: [], valueRejects: [] };
}

function open(dir: string): Pipeline {
  const options = bufferSchema.parse({ commitInterval: 0 });
  const log = pino({ level: 'silent' });
  const databasePath = join(dir, 'edgetally.db');
  return new Pipeline({ options, databasePath, decode, clock: clocks, clockOptions: ALWAYS, log });
}

/** Whether the reading was acknowledged. */
function accept(pipeline: Pipeline, n: number): Promise<boolean> {
  const message = { topic: 't', payload: Buffer.from(String(n * 1_000_000)), arrivalUs: 0 };
  return new Promise((resolve) => pipeline.accept(message, (error) => resolve(error === undefined), true));
}

/** Takes all the room there is. */
function fill(path: string): void {
  for (let size = 1 << 20; size >= 4096; size >>= 1) {
    try {
      for (;;) writeFileSync(path, new Uint8Array(size), { flag: 'a' });
    } catch {
      // less then
    }
  }
}

/** A directory of 24 MB; undefined where we may not mount. */
function smallDisk(t: Test): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-full-')); // a testdir would be removed before its unmounting
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', dir], { stdio: 'ignore' });
  } catch {
    rmSync(dir, { recursive: true });
    t.pass('cannot mount a tmpfs', { skip: 'needs root' });
    return undefined;
  }
  t.teardown(() => {
    execFileSync('umount', ['-l', dir]);
    rmSync(dir, { recursive: true });
  });
  return dir;
}

t.test('the disk fills up and is cleared', { timeout: 60_000 }, async (t) => {
  const dir = smallDisk(t);
  if (dir === undefined) return;
  let pipeline = open(dir);
  await pipeline.start([], undefined);
  let acknowledged = 0;
  for (let n = 0; n < 50; n++) if (await accept(pipeline, n)) acknowledged++;
  await pipeline.save('all');
  t.equal(acknowledged, 50);
  const owed = pipeline.buffer.windows.backlog(clocks.nowMs(), START, 100);

  const junk = join(dir, 'junk');
  fill(junk);
  let n = 1_000;
  while (await accept(pipeline, n)) n++;
  acknowledged += n - 1_000;
  t.ok(pipeline.refused > 0, 'acknowledgements stop');
  t.equal(await accept(pipeline, n), false, 'and stay stopped, although the ballast made room');

  pipeline.buffer.receipted(owed.map(({ ref }) => ref));
  t.strictSame(pipeline.buffer.windows.backlog(clocks.nowMs(), START, 100), [], 'receipts are written all the same');

  rmSync(junk);
  const goesOn = Date.now() + 10_000;
  while (!(await accept(pipeline, n)) && Date.now() < goesOn) await sleep(100);
  t.ok(await accept(pipeline, n + 1), 'intake goes on by itself');
  acknowledged += 2;

  await pipeline.stop();
  pipeline = open(dir);
  await pipeline.start([], undefined);
  t.equal(pipeline.books.counted, acknowledged, 'what was acknowledged is there, and nothing else');
  await pipeline.stop();
});

t.test(
  'started on a full disk: intake waits until the journal of the last session is in rows',
  { timeout: 60_000 },
  async (t) => {
    const dir = smallDisk(t);
    if (dir === undefined) return;
    let pipeline = open(dir);
    await pipeline.start([], undefined);
    for (let n = 0; n < 300; n++) t.ok(await accept(pipeline, n * 60)); // a window each
    await pipeline.stop();
    const junk = join(dir, 'junk');
    rmSync(join(dir, 'edgetally.db-ballast'));
    fill(junk);

    pipeline = open(dir);
    await pipeline.start([], undefined);
    t.equal(pipeline.books.counted, 300);
    t.equal(await accept(pipeline, 1_000_000), false);
    t.equal([...pipeline.buffer.journal.blocks()].length > 0, true, 'the journal is kept');

    rmSync(junk);
    const goesOn = Date.now() + 10_000;
    while (!(await accept(pipeline, 2_000_000)) && Date.now() < goesOn) await sleep(100);
    t.equal(pipeline.books.counted, 301, 'intake goes on by itself');
    t.equal([...pipeline.buffer.journal.blocks()].length, 1, 'and the old journal is in rows');
    await pipeline.stop();
  },
);
