import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { test } from 'tap';
import { EdgetallyError } from '../shared/errors.js';
import { RollUpThread } from './roll-up-thread.js';
import { batchOf, NOON, windowsOf } from './store/samples.js';
import { openSqliteStore } from './store/sqlite/store.js';

test('a thread computes, this one writes; a failed write is tried again', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-thread-'));
  const path = join(dir, 'cloud.db');
  const store = openSqliteStore({ path, maxQuarantineBytes: 1e6 });
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => logged.push(line) });
  let failures = 0;
  let threads = 0;
  const put: (typeof store)['putRollUpRows'] = async (rows) => {
    if (failures++ === 0) throw new EdgetallyError('database-failed', 'the disk is full');
    if (failures === 3) throw new Error('of these rows');
    threads += rows.length;
    await store.putRollUpRows(rows);
  };
  const thread = new RollUpThread({ path, settleMs: 1, put, log });
  t.teardown(async () => {
    await thread.stop();
    await store.close();
    rmSync(dir, { recursive: true });
  });
  const dirty = () => store.read(async (snapshot) => (await snapshot.books()).dirty);
  await store.commit([batchOf(windowsOf([{ timeMs: NOON, values: { c: 1 } }]))]);
  thread.start();
  thread.nudge();
  while ((await dirty()) > 0) await sleep(10);
  t.equal(threads, 9, 'hour, day and month of the device, its group and everything');
  t.match(logged.join(''), /the disk is full.*roll-ups could not be computed/, 'a passing fault, and its words');
  await thread.stop();
  await thread.stop();
});
