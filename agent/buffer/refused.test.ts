import { join } from 'node:path';
import t from 'tap';
import { EdgeBuffer } from './buffer.js';
import { bufferSchema } from './options.js';

t.test('what could not be delivered is known after a restart, until the cloud has it', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const open = () => new EdgeBuffer(path, bufferSchema.parse({}));
  const ref = (device: number, revision = 1) => ({ device, startMs: 60_000, lengthMs: 60_000, part: 0, revision });
  const first = open();
  first.windows.refused.put({ ref: ref(1), reason: 'invalid', detail: 'x'.repeat(5000), atMs: 1 });
  first.windows.refused.put({ ref: ref(2), reason: 'too-large', detail: '', atMs: 2 });
  first.windows.refused.put({ ref: ref(1, 2), reason: 'invalid', detail: 'again', atMs: 3 });
  first.close();
  const second = open();
  t.teardown(() => second.close());
  const { refused } = second.windows;
  t.strictSame(refused.list(), [
    { ref: ref(1, 2), reason: 'invalid', detail: 'again', atMs: 3 },
    { ref: ref(2), reason: 'too-large', detail: '', atMs: 2 },
  ]);
  t.strictSame(refused.list(1).length, 1);
  t.strictSame(refused.counts(), { invalid: 1, 'too-large': 1 });
  second.receipted([ref(1), ref(2)]);
  t.strictSame(refused.counts(), { invalid: 1 }, 'a receipt for an older revision says nothing of a newer one');
  second.receipted([ref(1, 2)]);
  t.strictSame(refused.list(), []);
});
