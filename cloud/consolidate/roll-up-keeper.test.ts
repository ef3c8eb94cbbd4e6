import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'tap';
import { summarize } from '../../shared/summary.js';
import { batchOf, NOON, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite-store.js';
import { RollUpKeeper } from './roll-up-keeper.js';

/** As many as a batch may say, in windows that together say more than a safe integer. */
const READINGS = 1e12;

test('a roll-up that cannot be stored does not hold up the others', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-keeper-'));
  const store = openSqliteStore({ path: join(dir, 'cloud.db'), maxQuarantineBytes: 1e6 });
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => logged.push(line) });
  const keeper = new RollUpKeeper({ store, log, settleMs: 1 });
  t.teardown(async () => {
    await keeper.stop();
    await store.close();
    rmSync(dir, { recursive: true });
  });
  const one = summarize([{ timeUs: NOON * 1000, value: 5 }]);
  const absurd = Array.from({ length: 9_100 }, (_, part) => {
    const n = BigInt(READINGS);
    const counts = Float64Array.of(READINGS);
    const last = { timeUs: one.first.timeUs + 1, value: 5 };
    const sums = { scale: 0, sum: 5n * n, sumSq: 25n * n };
    const summary = { ...one, n: READINGS, sums, last, sketch: { keys: one.sketch.keys, counts } };
    const metrics = new Map([['c', summary]]);
    return { ...windowsOf([{ timeMs: NOON, values: { c: 5 } }])[0]!, part, readings: READINGS, metrics };
  });
  await store.commit([batchOf(absurd, { gateway: 'liar' })]);
  await store.commit([batchOf(windowsOf([{ timeMs: NOON, values: { c: 1 } }]), { gateway: 'honest' })]);
  keeper.start();
  const dirty = async () => (await store.read((snapshot) => snapshot.books())).dirty;
  // Left: hour and day of the liar's device and group, and of everything.
  while (logged.length < 6 || (await dirty()) > 6) await new Promise((resolve) => setTimeout(resolve, 5));
  t.ok(logged.every((line) => line.includes('cannot be kept')));
  await store.commit([batchOf(windowsOf([{ timeMs: NOON + 86_400_000, values: { c: 1 } }]), { gateway: 'honest' })]);
  keeper.nudge();
  while ((await dirty()) > 6) await new Promise((resolve) => setTimeout(resolve, 5));
  t.equal(logged.length, 6, 'it says so once');
});
