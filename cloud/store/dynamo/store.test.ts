import { pino } from 'pino';
import { type Test, test } from 'tap';
import { RollUpSlices } from '../../consolidate/roll-up-slices.js';
import { runReport } from '../../report/report.js';
import { testConformance } from '../conformance.js';
import { DAY, QUOTA, recomputeAll, total, WHOLE_DAY } from '../conformance-tools.js';
import { batchOf, EPOCH_B, NOON, windowsOf } from '../samples.js';
import { type BatchChange, DAY_MS, HOUR_MS, LEVELS, type Store } from '../store.js';
import { WINDOWS_KEPT_MS } from './expiry.js';
import { MemoryTable } from './memory-table.js';
import { DynamoStore, openDynamoStore } from './store.js';
import { tableForTests } from './table-for-tests.js';

const METRICS = ['temperature', 'humidity', 'pressure', 'co2', 'voltage'];
const MINUTES = 90;

const OPTIONS = { maxQuarantineBytes: 1000, quota: QUOTA, now: () => NOON };

function database(open: () => Store) {
  let store = open();
  return {
    get store() {
      return store;
    },
    isIsolated: false,
    sharesQuarantine: false,
    reopen: async () => {
      await store.close();
      store = open();
      return store;
    },
  };
}

test('conformance', async (t) => {
  testConformance(t, 'DynamoDB', async (t: Test) => {
    const { table, client } = await tableForTests(t);
    const made = database(() => openDynamoStore({ ...OPTIONS, table, client: client() }));
    t.teardown(() => made.store.close());
    return made;
  });
  testConformance(t, 'a table in memory', async () => {
    const table = new MemoryTable();
    return database(() => new DynamoStore(table, OPTIONS));
  });
});

test('receipts are held back until they are due, whoever commits', async (t) => {
  const table = new MemoryTable();
  const receipts = { delayMs: 1000, most: 3 };
  const open = () => new DynamoStore(table, { ...OPTIONS, receipts });
  const commit = async (sequence: number, receivedMs: number, more: Partial<BatchChange> = {}) => {
    const [applied] = await open().commit([batchOf([], { sequence, receivedMs, ...more })]);
    return applied!.due?.map((one) => `${one.epoch[0]}${one.sequence}`);
  };
  t.same(await commit(1, 0), []);
  t.same(await commit(2, 999, { epoch: EPOCH_B }), []);
  t.same(await commit(3, 1000), ['a1', 'b2', 'a3'], 'the oldest waits for long enough');
  t.same(await commit(4, 1001), []);
  t.same(await commit(5, 1002), []);
  t.same(await commit(6, 1003), ['a4', 'a5', 'a6'], 'there are many');
  t.same(await commit(7, 1004), []);
  t.same(await commit(5, 1005), ['a7', 'a5'], 'the gateway misses a receipt');
  t.same(await commit(8, 2000), []);
  t.same(await commit(9, 2001, { gateway: 'late' }), []);
  const owed = async (nowMs: number) =>
    (await open().takeOwed(nowMs)).map(({ gateway, due }) => `${gateway} ${due.map(({ sequence }) => sequence)}`);
  t.same(await owed(2999), []);
  t.same(await owed(3000), ['gw 8']);
  t.same(await owed(4000), ['late 9'], 'each is given once');
  t.equal(
    (await open().commit([batchOf([], { sequence: 10, receivedMs: 9000 }), batchOf([], { sequence: 11 })])).length,
    2,
  );
  const atOnce = new DynamoStore(table, OPTIONS);
  t.equal((await atOnce.commit([batchOf([], { sequence: 12 })]))[0]!.due, undefined, 'its own, now');
});

/** 10 devices of 5 metrics, by the minute, for an hour and a half: each batch with its ledger, roll-ups by the keeper, receipts by fives. */
test('what a device-window costs in steady state', async (t) => {
  const { table, client } = await tableForTests(t);
  let nowMs = NOON;
  const receipts = { delayMs: 300_000, most: 20 };
  const store = openDynamoStore({ table, client: client(), maxQuarantineBytes: 1000, receipts, now: () => nowMs });
  t.teardown(() => store.close());
  const slices = new RollUpSlices({
    store,
    log: pino({ level: 'silent' }),
    settleMs: 60_000,
    refreshMs: Number.POSITIVE_INFINITY,
    sliceMs: 60_000,
    now: () => nowMs,
    signal: new AbortController().signal,
  });
  const dice = (i: number) => (Math.imul(i + 1, 2654435761) >>> 8) % 1000;
  let windows = 0;
  for (let minute = 0; minute < MINUTES; minute++) {
    const startMs = NOON + minute * 60_000;
    nowMs = startMs + 65_000;
    const readings = Array.from({ length: 60 }, (_, i) => ({
      device: `sensor-${i % 10}`,
      group: 'hall-1',
      timeMs: startMs + Math.floor(i / 10) * 10_000,
      values: Object.fromEntries(
        METRICS.map((metric, k) => [metric, (20 * (k + 1) + dice(minute * 300 + i * 5 + k)) / 10]),
      ),
    }));
    const made = windowsOf(readings);
    const ledger = made.map(({ group, device }) => ({ group, device, dayMs: DAY, readings: (minute + 1) * 6 }));
    await store.commit([batchOf(made, { gateway: 'plant-0042', sequence: minute + 1, receivedMs: nowMs, ledger })]);
    windows += made.length;
    if (minute % 5 === 4) while ((await slices.next()) !== undefined);
  }
  const { writes, reads } = store.capacity;
  const each = (units: number) => (units / windows).toFixed(3);
  const units = Object.values(writes).reduce((sum, one) => sum + one, 0);
  const lines = Object.entries(writes).filter(([, one]) => one > 0);
  t.comment(
    `${windows} device-windows; write units each: ${lines.map(([kind, one]) => `${kind} ${each(one)}`).join(', ')}`,
  );
  t.comment(`together ${each(units)} write units and ${each(reads)} read units a device-window`);
  t.ok(units / windows <= 1.2, `${each(units)} write units a device-window`);
  t.equal((await store.read((snapshot) => snapshot.gateways()))[0]!.batches, MINUTES);
});

test('windows expire, and nothing is computed from less than it was', async (t) => {
  const table = new MemoryTable();
  let nowMs = NOON + 1000;
  const store = new DynamoStore(table, { ...OPTIONS, now: () => nowMs });
  const batch = (part: number, count: number, revision = 1, minute = 0) => {
    const readings = Array.from({ length: count }, (_, i) => ({
      timeMs: NOON + minute * 60_000 + i,
      values: { c: part + i / 4 },
    }));
    return batchOf(windowsOf(readings, 60_000, revision, part), { receivedMs: nowMs, sequence: part + minute });
  };
  const put = async (...batches: BatchChange[]) => (await store.commit(batches)).map(({ windows }) => windows);
  const all = async (when: string) => {
    const truth = await store.read((snapshot) => total(snapshot, 'windows'));
    for (const level of LEVELS)
      t.equal(await store.read((s) => total(s, level)), truth, `${when}: ${level.scope} ${level.resolution}`);
    return truth;
  };
  const arrived = () =>
    store.read(async (snapshot) => {
      let sum = 0;
      for await (const page of snapshot.tallies(WHOLE_DAY, {})) for (const one of page) sum += one.arrived;
      return sum;
    });
  /** DynamoDB takes its time: `most` windows go now. */
  const forget = (most: number) => {
    let gone = 0;
    table.forget(({ expires }) => Number(expires?.N) * 1000 < nowMs && gone++ < most);
    return Math.min(gone, most);
  };
  await put(batch(1, 4), batch(2, 3), batch(3, 1, 1, 59));
  await recomputeAll(store);
  const truth = await all('at first');
  nowMs += WINDOWS_KEPT_MS + 2 * DAY_MS;
  t.same(await put(batch(2, 3)), [0], 'one comes again before they go');
  t.equal(await all('expired'), truth);
  t.equal(forget(1), 1);
  t.equal(await all('one is gone'), truth);
  t.same(await put(batch(1, 4), batch(2, 3)), [0, 0], 'known, though it is gone');
  await recomputeAll(store);
  t.equal(await all('computed without it'), truth);
  t.equal(forget(9), 2);
  t.equal(await all('all are gone'), truth);
  t.equal(await arrived(), 8);

  t.same(await put(batch(4, 5)), [1], 'late is not lost');
  const more = await all('with a late one, stale');
  t.match(more, /"readings":13/);
  await recomputeAll(store);
  t.equal(await all('with a late one, computed'), more);
  t.same(await put(batch(4, 6, 2)), [0], 'a higher revision of what is merged already');
  t.same(await put(batch(1, 6, 2)), [0]);
  await recomputeAll(store);
  t.equal(await all('not twice'), more);
  const losses = await store.read((snapshot) => snapshot.losses(WHOLE_DAY, {}));
  t.match(losses, [{ kind: 'expired', reason: 'amended-late', count: 2 }], 'told');
  t.equal(await arrived(), 13);
  nowMs += WINDOWS_KEPT_MS + 2 * DAY_MS;
  t.equal(forget(9), 1);
  await put(batch(5, 1));
  await recomputeAll(store);
  t.match(await all('much later'), /"readings":14/);

  const notes = async (from: number) => {
    const where = { keys: ['hour'], metrics: 'all', where: {}, timeZone: 'UTC' } as const;
    return (await runReport(store, { ...where, span: { fromMs: from, toMs: NOON + HOUR_MS } })).notes;
  };
  t.same(await notes(NOON), []);
  t.match(await notes(NOON + 60_000), [/only whole UTC hours are kept/]);
});
