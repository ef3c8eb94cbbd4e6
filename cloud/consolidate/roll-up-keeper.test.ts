import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type Test, test } from 'tap';
import { summarize } from '../../shared/summary.js';
import { batchOf, NOON, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite/store.js';
import { DAY_MS } from '../store/store.js';
import { RollUpKeeper } from './roll-up-keeper.js';

async function setup(t: Test, now: () => number) {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-keeper-'));
  const store = openSqliteStore({ path: join(dir, 'cloud.db'), maxQuarantineBytes: 1e6 });
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => logged.push(line) });
  const keeper = new RollUpKeeper({ store, log, settleMs: 1, now });
  t.teardown(async () => {
    await keeper.stop();
    await store.close();
    rmSync(dir, { recursive: true });
  });
  const dirty = async () => (await store.read((snapshot) => snapshot.books())).dirty;
  const untilDirty = async (count: number) => {
    while ((await dirty()) !== count) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { store, logged, keeper, untilDirty };
}

test('what is over is computed at once, what goes on now and then', async (t) => {
  let nowMs = NOON + 30 * 60_000;
  const { store, keeper, untilDirty } = await setup(t, () => nowMs);
  const put = (timeMs: number, part: number) => {
    const windows = windowsOf([{ timeMs, values: { c: 1 } }], 60_000, 1, part);
    return store.commit([batchOf(windows, { receivedMs: nowMs })]);
  };
  await put(NOON - DAY_MS, 0);
  await put(NOON, 0);
  nowMs += 1_000;
  keeper.start();
  await untilDirty(9); // hour, day and month of the device, its group, and everything
  nowMs += 30_000;
  await put(NOON, 1);
  await put(NOON - DAY_MS, 1);
  nowMs += 1_000;
  keeper.nudge();
  await untilDirty(9);
  t.equal(keeper.recomputed, 18, 'the day that is over twice, the hour that goes on not at all');
  nowMs += 29_000;
  keeper.nudge();
  await untilDirty(0);
  t.equal(keeper.recomputed, 27, 'and then once');
  await put(NOON, 2);
  nowMs -= DAY_MS;
  keeper.nudge();
  await untilDirty(0);
  t.pass('nothing waits for a clock that was set back');
});

/** As many as a batch may say, in windows that together say more than a safe integer. */
const READINGS = 1e12;

test('a roll-up that cannot be stored does not hold up the others', async (t) => {
  const { store, logged, keeper, untilDirty } = await setup(t, Date.now);
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
  // Left: hour, day and month of the liar's device and group, and of everything.
  while (logged.length < 9) await new Promise((resolve) => setTimeout(resolve, 5));
  await untilDirty(9);
  t.ok(logged.every((line) => line.includes('cannot be kept')));
  await store.commit([
    batchOf(windowsOf([{ timeMs: NOON + 40 * 86_400_000, values: { c: 1 } }]), { gateway: 'honest' }),
  ]);
  keeper.nudge();
  await untilDirty(9);
  t.equal(logged.length, 9, 'it says so once');
});
