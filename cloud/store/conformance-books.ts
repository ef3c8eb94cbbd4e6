/** Conformance: ledger, gateways, quarantine, and what outlives a restart. */
import type { Status } from '../../shared/status.js';
import { type ConformanceCases, collect, DAY, recomputeAll, total, WHOLE_DAY } from './conformance-tools.js';
import { gather } from './gather.js';
import { batchOf, EPOCH_A, EPOCH_B, NOON, windowsOf } from './samples.js';
import { DAY_MS, LEVELS, type Level } from './store.js';

const status: Status = {
  v: 1,
  state: 'online',
  epoch: EPOCH_A,
  version: '0.1.0',
  sentMs: NOON,
  backlog: { windows: 3, bytes: 300, oldestMs: NOON },
  readings: { in: 10, counted: 10, duplicate: 0, rejected: 0, held: 0 },
  reasons: {},
};

export const BOOK_CASES: ConformanceCases = {
  'the greatest ledger entry wins, a sum over epochs and devices': async (t, { store }) => {
    const window = windowsOf([{ timeMs: NOON, values: { c: 1 } }]);
    const entry = (device: string, readings: number) => [{ group: '', device, dayMs: DAY, readings }];
    await store.commit([batchOf(window, { ledger: entry('d1', 5) })]);
    await recomputeAll(store);
    await store.commit([batchOf([], { ledger: entry('d1', 7) }), batchOf([], { ledger: entry('d1', 6) })]);
    await store.commit([batchOf([], { ledger: entry('d1', 100), epoch: EPOCH_B })]);
    await store.commit([batchOf([], { ledger: entry('d2', 1000) })]);
    const counted = async (level: Level) => {
      const query = { span: WHOLE_DAY, where: {}, metrics: 'none' } as const;
      const portions = await store.read((snapshot) => collect(gather(snapshot, level, query)));
      return portions.reduce((sum, portion) => sum + portion.counted, 0);
    };
    await store.read(async (snapshot) => {
      t.equal(await snapshot.counted(DAY, {}), 1107);
      t.equal(await snapshot.counted(DAY, { gateway: 'gw', group: '', device: 'd1' }), 107);
      t.equal(await snapshot.counted(DAY + DAY_MS, {}), 0);
      t.equal((await snapshot.dirty(LEVELS[0], WHOLE_DAY, {})).length, 0, 'hours do not hold it');
      t.equal((await snapshot.dirty(LEVELS[1], WHOLE_DAY, {})).length, 2);
    });
    for (const level of LEVELS.filter(({ resolution }) => resolution === 'day')) t.equal(await counted(level), 1107);
    await recomputeAll(store);
    for (const level of LEVELS.filter(({ resolution }) => resolution === 'day')) t.equal(await counted(level), 1107);
  },

  'gateways: last seen, newest window, epochs, status, numbers': async (t, { store }) => {
    const windows = windowsOf([{ timeMs: NOON, values: { c: 1 } }]);
    await store.commit([batchOf(windows, { receivedMs: 1000 }), batchOf([], { receivedMs: 3000, epoch: EPOCH_B })]);
    await store.commit([{ kind: 'status', gateway: 'gw2', receivedMs: 2000, retained: true, status }]);
    const rows = await store.read((snapshot) => snapshot.gateways());
    t.match(rows, [
      { gateway: 'gw', seenMs: 3000, newestMs: NOON + 60_000, batches: 2, rejected: 0, status: undefined },
      { gateway: 'gw2', seenMs: 0, newestMs: undefined, batches: 0, status, statusMs: 2000 },
    ]);
    t.match(rows[0]!.epochs, [
      { epoch: EPOCH_A, firstSeenMs: 1000, lastSeenMs: 1000 },
      { epoch: EPOCH_B, firstSeenMs: 3000, lastSeenMs: 3000 },
    ]);
    const offline = { ...status, state: 'offline' } as const;
    await store.commit([{ kind: 'status', gateway: 'gw2', receivedMs: 5000, retained: false, status }]);
    await store.commit([{ kind: 'status', gateway: 'gw2', receivedMs: 9000, retained: false, status: offline }]);
    const [, gw2] = await store.read((snapshot) => snapshot.gateways());
    t.match(gw2, { seenMs: 5000, status: { state: 'offline' }, statusMs: 9000 }, 'a last will is no sign of life');
  },

  'the last status is the one that came last, in whatever order they are put': async (t, { store }) => {
    const said = (atMs: number, more: Partial<Status>) =>
      ({ kind: 'status', gateway: 'gw', receivedMs: atMs, retained: false, status: { ...status, ...more } }) as const;
    const fuller = { in: 11, counted: 11, duplicate: 0, rejected: 0, held: 0 };
    await store.commit([said(5000, { state: 'offline', epoch: EPOCH_B, sentMs: 50 })]);
    await store.commit([said(4000, { epoch: EPOCH_B, sentMs: 40, readings: fuller }), said(3000, { sentMs: 30 })]);
    await store.commit([said(5000, { epoch: EPOCH_B, sentMs: 49 }), said(2000, { sentMs: 20, readings: fuller })]);
    const [row] = await store.read((snapshot) => snapshot.gateways());
    t.match(row, { seenMs: 5000, statusMs: 5000, status: { state: 'offline', epoch: EPOCH_B, sentMs: 50 } });
    const books = new Map(row!.epochs.map((epoch) => [epoch.epoch, epoch]));
    t.match(books.get(EPOCH_B), { status: { sentMs: 40, readings: fuller } });
    t.match(books.get(EPOCH_A), { status: { sentMs: 20, readings: fuller } });
  },

  'rejected messages are kept whole, once, until newer ones need the room': async (t, database) => {
    const reject = (text: string, gateway = 'gw') =>
      ({
        kind: 'rejected',
        gateway,
        receivedMs: 1,
        topic: 'x',
        reason: 'corrupt',
        detail: 'y',
        payload: Buffer.from(text),
      }) as const;
    const { store } = database;
    await store.commit([reject('a'.repeat(400)), reject('a'.repeat(400)), reject('b'.repeat(400)), reject('c', '')]);
    t.match(await store.read((snapshot) => snapshot.books()), { quarantined: 3, quarantinedBytes: 801, evicted: 0 });
    await store.commit([reject('d'.repeat(400))]);
    t.match(await store.read((snapshot) => snapshot.books()), { quarantined: 3, quarantinedBytes: 801, evicted: 1 });
    const again = await database.reopen();
    await again.commit([reject('e'.repeat(2000))]);
    const books = await again.read((snapshot) => snapshot.books());
    const others = database.sharesQuarantine ? 0 : 1;
    const left = { quarantined: others, quarantinedBytes: others, evicted: 5 - others };
    t.match(books, left, 'larger than the room');
    const [gateway] = await again.read((snapshot) => snapshot.gateways());
    t.match(gateway, { rejected: 5, batches: 0 });
  },

  'what is committed is there after a restart': async (t, database) => {
    const windows = windowsOf([{ timeMs: NOON, values: { c: 1, rh: 2 } }]);
    await database.store.commit([batchOf(windows, { ledger: [{ group: '', device: 'd1', dayMs: DAY, readings: 1 }] })]);
    const truth = await database.store.read((snapshot) => total(snapshot, LEVELS[5]));
    const store = await database.reopen();
    t.equal(await store.read((snapshot) => total(snapshot, LEVELS[5])), truth);
    t.same(await store.commit([batchOf(windows)]), [{ windows: 0 }]);
    t.same(await store.commit([batchOf(windowsOf([{ timeMs: NOON, device: 'd2', values: { c: 1 } }]))]), [
      { windows: 1 },
    ]);
    await recomputeAll(store);
    t.match(await store.read((snapshot) => total(snapshot, LEVELS[5])), /"readings":2/);
  },

  'closing twice is closing once': async (_t, { store }) => {
    await store.close();
    await store.close();
  },
};
