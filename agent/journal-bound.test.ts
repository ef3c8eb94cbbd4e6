/** However many readings wait for their window's end, the journal and the files stay within bounds. */
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { bufferSchema } from './buffer/options.js';
import { bytesOnDisk, fastDirectory } from './disk-testing.js';
import { Pipeline } from './pipeline.js';
import type { Decoded, Message } from './reading.js';
import { ALWAYS, clocksOf } from './time/clock-testing.js';

const DAY = 86_400_000;
const MAX_JOURNAL = 32 * 1024;
const COMMITS = 500;
const READINGS = 20;

/** Payload: the number of the commit. All readings of a day are of one window, which nothing closes here. */
function decode({ payload }: Message): Decoded {
  const commit = Number(Buffer.from(payload).toString());
  const common = { group: '', lane: '', windowMs: DAY, latenessMs: DAY, metrics: ['x', 'y'] };
  const readings = Array.from({ length: READINGS }, (_, i) => {
    const values = [(commit * 7919 + i) % 1000, Math.fround(Math.sin(commit * READINGS + i))];
    return { ...common, device: `d${i}`, timeUs: (10 * DAY + commit * 1000) * 1000, values };
  });
  return { readings, rejects: [], valueRejects: [] };
}

t.test('a journal of windows that are open for days', async (t) => {
  const databasePath = join(fastDirectory(t), 'edgetally.db');
  const options = bufferSchema.parse({ commitInterval: 0, maxJournalBytes: MAX_JOURNAL });
  const clock = clocksOf({ ms: 11 * DAY });
  const log = pino({ level: 'silent' });
  const pipeline = new Pipeline({ options, databasePath, decode, clock, clockOptions: ALWAYS, log });
  t.teardown(() => pipeline.stop());
  let peak = 0;
  let written = 0;
  for (let i = 0; i < COMMITS; i++) {
    const before = pipeline.buffer.journal.bytes;
    pipeline.accept({ topic: 't', payload: Buffer.from(String(i)), arrivalUs: 0 }, () => undefined);
    pipeline.commit();
    written += Math.max(0, pipeline.buffer.journal.bytes - before);
    pipeline.work();
    await pipeline.save('due');
    peak = Math.max(peak, pipeline.buffer.journal.bytes);
  }
  t.equal(pipeline.books.counted, COMMITS * READINGS);
  t.ok(written > 4 * MAX_JOURNAL, `${written} bytes of blocks were written`);
  t.ok(peak <= MAX_JOURNAL, `${peak} bytes of journal at most`);
  const bytes = bytesOnDisk(databasePath);
  t.ok(bytes < 5 * 1024 * 1024, `${bytes} bytes of files: a log of one checkpoint, and what is in rows`);
});
