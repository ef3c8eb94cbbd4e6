import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { type Test, test } from 'tap';
import { encodeBatch } from '../../shared/batch.js';
import { EdgetallyError } from '../../shared/errors.js';
import { decodeReceipt, type Receipt } from '../../shared/receipt.js';
import { downTopic, upTopic } from '../../shared/topics.js';
import { EPOCH_A, NOON, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite/store.js';
import type { Change, ChangeStore, Store } from '../store/store.js';
import { Consolidator, type ConsolidatorOptions } from './consolidator.js';
import { decodeDelivery } from './decode.js';
import { RollUpKeeper } from './roll-up-keeper.js';

interface Setup {
  readonly store: Store;
  readonly consolidator: Consolidator;
  readonly receipts: { gateway: string; receipt: Receipt }[];
  readonly logged: string[];
  readonly stop: AbortController;
}

/** `around` may come between the consolidator and the real store. */
function setup(
  t: Test,
  around: (store: Store) => ChangeStore = (store) => store,
  more: Partial<ConsolidatorOptions> = {},
): Setup {
  const folder = mkdtempSync(join(tmpdir(), 'edgetally-consolidate-'));
  const store = openSqliteStore({ path: join(folder, 'cloud.db'), maxQuarantineBytes: 1e6 });
  const receipts: Setup['receipts'] = [];
  const logged: string[] = [];
  const stop = new AbortController();
  const consolidator = new Consolidator({
    store: around(store),
    send: (topic, payload) => {
      const receipt = decodeReceipt(payload);
      if (!receipt.ok) throw new Error(receipt.detail);
      const gateway = topic.split('/')[2]!;
      if (topic !== downTopic(gateway, 'receipt')) throw new Error(topic);
      receipts.push({ gateway, receipt: receipt.value });
    },
    receiptDelayMs: 20,
    log: pino({ level: 'debug' }, { write: (line: string) => logged.push(line) }),
    now: () => NOON,
    signal: stop.signal,
    backoffMs: [1, 5],
    ...more,
  });
  t.teardown(async () => {
    stop.abort();
    await consolidator.idle();
    consolidator.flush();
    await store.close();
    rmSync(folder, { recursive: true });
  });
  return { store, consolidator, receipts, logged, stop };
}

function delivery(sequence: number, values: Record<string, number> = { c: sequence }, gateway = 'gw') {
  const windows = windowsOf([{ timeMs: NOON + sequence * 60_000, values }]);
  const payload = encodeBatch({ epoch: EPOCH_A, session: 1, sequence, sentMs: NOON, windows, ledger: [], losses: [] });
  return { topic: upTopic(gateway, 'batch'), payload, retained: false, receivedMs: NOON };
}

const books = (store: Store) => store.read((snapshot) => snapshot.books());

test('any bytes on any topic are a change, never a throw', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.constantFrom(upTopic('gw', 'batch'), upTopic('gw', 'status'), upTopic('gw', 'event'))),
      fc.uint8Array({ maxLength: 300 }),
      (topic, payload) => {
        const { change } = decodeDelivery({ topic, payload, retained: false, receivedMs: 1 });
        if (change.kind !== 'rejected' || change.payload !== payload) throw new Error('not kept whole');
      },
    ),
  );
  t.match(decodeDelivery({ ...delivery(1), topic: 'edgetally/v1/a b/up/batch' }).change, {
    kind: 'rejected',
    gateway: '',
    reason: 'unknown-topic',
  });
  const status = decodeDelivery({ ...delivery(1), topic: upTopic('gw', 'status') }).change;
  t.match(status, { kind: 'rejected', gateway: 'gw', reason: 'not-json' });
  t.end();
});

test('receipts leave after the commit, several in one, and again for a batch that comes again', async (t) => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { consolidator, receipts, store } = setup(t, (real) => ({
    commit: async (changes) => {
      await gate;
      return real.commit(changes);
    },
  }));
  const accepted = [1, 2, 3].map((sequence) => consolidator.accept(delivery(sequence)));
  await new Promise((resolve) => setTimeout(resolve, 60));
  consolidator.flush();
  t.same(receipts, [], 'not before the commit');
  t.equal((await store.read((snapshot) => snapshot.days({ fromMs: 0, toMs: 8e15 }))).length, 0);
  open();
  await Promise.all(accepted);
  t.same(receipts, [], 'gathered for a moment');
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.match(receipts, [
    {
      gateway: 'gw',
      receipt: { epoch: EPOCH_A, committed: [{ session: 1, sequences: [1, 2, 3] }], rejected: [], timeMs: NOON },
    },
  ]);
  await consolidator.accept(delivery(2));
  consolidator.flush();
  t.same(receipts[1]?.receipt.committed, [{ session: 1, sequences: [2] }]);
  t.match(consolidator.books, { messages: 4, batches: 4, windowsPut: 3, windowsKnown: 1, rejected: 0 });
});

test('a rejected batch is kept, and its gateway told why; the name is the topic’s', async (t) => {
  const { consolidator, receipts, store, logged } = setup(t);
  const newer = Uint8Array.from(delivery(7).payload);
  newer[3] = 9;
  const broken = Uint8Array.from(delivery(8).payload);
  broken[broken.length - 1]! ^= 0xff;
  await consolidator.accept({ ...delivery(1), topic: upTopic('gw2', 'batch'), payload: broken });
  await consolidator.accept({ ...delivery(1), payload: Buffer.from('hello') });
  await consolidator.accept({ ...delivery(1), payload: newer });
  consolidator.flush();
  t.match(receipts, [
    { gateway: 'gw2', receipt: { committed: [], rejected: [{ session: 1, sequence: 8, reason: 'checksum' }] } },
  ]);
  t.equal(receipts.length, 1, 'a batch that does not say which it is cannot be named');
  t.match(await books(store), { quarantined: 3 });
  t.match(logged.join(''), /kept in quarantine/);
  t.match(consolidator.books, { messages: 3, rejected: 3, batches: 0 });
  const gateways = await store.read((snapshot) => snapshot.gateways());
  t.same(
    gateways.map(({ gateway, rejected }) => [gateway, rejected]),
    [
      ['gw', 2],
      ['gw2', 1],
    ],
  );
});

test('what comes during a commit is committed together', async (t) => {
  const sizes: number[] = [];
  const { consolidator } = setup(t, (real) => ({
    commit: async (changes) => {
      sizes.push(changes.length);
      await new Promise((resolve) => setTimeout(resolve, 10));
      return real.commit(changes);
    },
  }));
  const first = consolidator.accept(delivery(1));
  await new Promise((resolve) => setTimeout(resolve, 1));
  await Promise.all([first, ...[2, 3, 4, 5].map((sequence) => consolidator.accept(delivery(sequence)))]);
  t.same(sizes, [1, 4]);
});

test('a store that fails for a while is waited for, and nothing is acknowledged before', async (t) => {
  let failures = 3;
  const { consolidator, receipts, store, logged } = setup(t, (real) => ({
    commit: async (changes) => {
      if (failures-- > 0) throw new EdgetallyError('database-failed', 'disk full');
      return real.commit(changes);
    },
  }));
  await consolidator.accept(delivery(1));
  t.equal(failures, -1);
  consolidator.flush();
  t.equal(receipts.length, 1);
  t.match(await books(store), { dirty: 9, quarantined: 0 });
  t.equal(logged.filter((line) => /nothing is acknowledged.*disk full/.test(line)).length, 3);
});

test('a change that the store cannot take does not hold up the others', async (t) => {
  const isPoison = (change: Change) =>
    change.kind === 'batch' && change.windows.some(({ metrics }) => metrics.has('poison'));
  const { consolidator, receipts, store } = setup(t, (real) => ({
    commit: async (changes) => {
      if (changes.some(isPoison)) throw new RangeError('a fault of ours');
      return real.commit(changes);
    },
  }));
  await Promise.all([delivery(1), delivery(2, { poison: 1 }), delivery(3)].map((one) => consolidator.accept(one)));
  consolidator.flush();
  t.match(receipts[0]?.receipt, {
    committed: [{ session: 1, sequences: [1, 3] }],
    rejected: [{ sequence: 2, reason: 'internal', detail: /a fault of ours/ }],
  });
  t.match(await books(store), { quarantined: 1 });
});

test('stopping ends the waiting for a failed store', async (t) => {
  const { consolidator, stop, receipts } = setup(t, () => ({
    commit: async () => {
      throw new EdgetallyError('database-locked', 'busy');
    },
  }));
  const accepted = consolidator.accept(delivery(1));
  setTimeout(() => stop.abort(), 20);
  await t.rejects(accepted);
  consolidator.flush();
  t.same(receipts, []);
});

test('an invocation: one commit, each message told what became of it, receipts when asked, until they are sent', async (t) => {
  const sizes: number[] = [];
  const sent: Receipt[] = [];
  const { consolidator } = setup(
    t,
    (real) => ({
      commit: async (changes) => {
        sizes.push(changes.length);
        return real.commit(changes);
      },
    }),
    {
      receiptDelayMs: undefined,
      patienceMs: 420_000,
      send: async (_topic, payload) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const receipt = decodeReceipt(payload);
        if (receipt.ok) sent.push(receipt.value);
      },
    },
  );
  const broken = { ...delivery(3), payload: Buffer.from('hello') };
  const outcomes = await Promise.all([delivery(1), delivery(2), broken].map((one) => consolidator.accept(one)));
  t.same(sizes, [3]);
  t.match(outcomes, [
    { windows: 1, change: { kind: 'batch', sequence: 1 } },
    { windows: 1, change: { kind: 'batch', sequence: 2 } },
    { change: { kind: 'rejected', reason: 'not-a-batch' } },
  ]);
  await consolidator.idle();
  t.same(sent, []);
  consolidator.flush();
  await consolidator.idle();
  t.match(sent, [{ committed: [{ sequences: [1, 2] }], patienceMs: 420_000 }]);
});

test('roll-ups catch up in the background, also with what an earlier process left', async (t) => {
  const { store, consolidator, logged } = setup(t);
  await Promise.all(Array.from({ length: 40 }, (_, i) => consolidator.accept(delivery(i + 1, { c: i }, `gw${i % 7}`))));
  t.ok((await books(store)).dirty > 20);
  const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(line) });
  const keeper = new RollUpKeeper({ store, log, settleMs: 1, sliceMs: 1, now: Date.now });
  keeper.start();
  const caughtUp = async () => {
    while ((await books(store)).dirty > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  };
  await caughtUp();
  // By now it waits for the next change.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = keeper.recomputed;
  await consolidator.accept(delivery(500));
  keeper.nudge();
  await caughtUp();
  t.equal(keeper.recomputed - before, 9, 'only what changed');
  await new Promise((resolve) => setTimeout(resolve, 50));
  await keeper.stop();
  await keeper.stop();
  await consolidator.accept(delivery(501));
  keeper.nudge();
  t.equal((await books(store)).dirty, 9, 'not after the end');
});

test('a store that holds receipts back says which ones are due', async (t) => {
  const identity = (sequence: number) => ({ epoch: EPOCH_A, session: 1, sequence });
  const due = [[], [1, 2].map(identity), undefined];
  const { consolidator, receipts } = setup(t, (store) => ({
    commit: async (changes) => {
      const applied = await store.commit(changes);
      return applied.map((one) => ({ ...one, ...((list) => list && { due: list })(due.shift()) }));
    },
  }));
  const sent = () => receipts.splice(0).map(({ receipt }) => receipt.committed);
  for (const expected of [[], [{ session: 1, sequences: [1, 2] }], [{ session: 1, sequences: [3] }]]) {
    await consolidator.accept(delivery(4 - due.length));
    consolidator.flush();
    t.same(sent().flat(), expected);
  }
});
