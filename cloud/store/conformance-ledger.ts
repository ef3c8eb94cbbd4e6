/** Conformance: what the gateways say they counted beside what arrived, statuses by epoch, batches by session. */

import type { LedgerEntry } from '../../shared/batch.js';
import type { Status } from '../../shared/status.js';
import { type ConformanceCases, DAY, WHOLE_DAY } from './conformance-tools.js';
import { batchOf, EPOCH_A, EPOCH_B, NOON, windowsOf } from './samples.js';
import { tallySequences } from './sequences.js';
import { type BatchChange, DAY_MS, type DayTally, type Span, type Store, type Where } from './store.js';

const told = (device: string, readings: number, dayMs = DAY): LedgerEntry => ({ group: '', device, dayMs, readings });

const at = (device: string, ...times: number[]) =>
  windowsOf(times.map((timeMs) => ({ timeMs, device, values: { c: 1 } })));

async function talliesOf(store: Store, span: Span, where: Where = {}) {
  const found = await store.read(async (snapshot) => {
    const all: DayTally[] = [];
    for await (const page of snapshot.tallies(span, where)) all.push(...page);
    return all;
  });
  const line = ({ subject, dayMs, epoch, counted, arrived, toldMs }: DayTally) =>
    `${subject.gateway} ${subject.device} ${(dayMs - DAY) / DAY_MS} ${epoch[0]} ${counted} ${arrived} ${toldMs}`;
  return found.map(line).sort();
}

const status = (counted: number, more: Partial<Status> = {}): Status => ({
  v: 1,
  state: 'online',
  epoch: EPOCH_A,
  version: '0.1.0',
  sentMs: NOON,
  backlog: { windows: 0, bytes: 0, oldestMs: null },
  readings: { in: counted + 1, counted, duplicate: 0, rejected: 1, held: 0 },
  reasons: { rejected: { 'not-json': 1 }, later: { kind: 2 } },
  ...more,
});

export const LEDGER_CASES: ConformanceCases = {
  'tallies: ledger and windows, by device, day and epoch': async (t, { store }) => {
    await store.commit([
      batchOf(at('d1', NOON, NOON + 1, NOON + DAY_MS), {
        ledger: [told('d1', 5), told('d1', 1, DAY + DAY_MS)],
        receivedMs: 10,
      }),
      batchOf(at('d1', NOON), { ledger: [told('d1', 1)], epoch: EPOCH_B, receivedMs: 11 }),
      batchOf(at('d2', DAY, DAY - 1), { receivedMs: 12 }),
      batchOf([], { ledger: [told('d3', 4)], receivedMs: 13 }),
      batchOf(at('d1', NOON), { gateway: 'gw2', ledger: [told('d1', 1)], receivedMs: 14 }),
    ]);
    const whole = ['gw d1 0 a 5 2 10', 'gw d1 0 b 1 1 11', 'gw d2 0 a 0 1 0', 'gw d3 0 a 4 0 13', 'gw2 d1 0 a 1 1 14'];
    t.same(await talliesOf(store, WHOLE_DAY), whole);
    t.same(await talliesOf(store, WHOLE_DAY, { gateway: 'gw2' }), whole.slice(4));
    t.same(await talliesOf(store, { fromMs: DAY - DAY_MS, toMs: DAY }), ['gw d2 -1 a 0 1 0']);
    t.same(await talliesOf(store, { fromMs: DAY + DAY_MS, toMs: 8.64e15 }), ['gw d1 1 a 1 1 10']);
    await store.commit([
      batchOf(at('d3', -1), { ledger: [told('d3', 6), told('d1', 5), told('d3', 9, -DAY_MS)], receivedMs: 20 }),
    ]);
    t.same(
      await talliesOf(store, WHOLE_DAY, { gateway: 'gw' }),
      [...whole.slice(0, 3), 'gw d3 0 a 6 0 20'],
      'the time is the one at which the count grew',
    );
    const before1970 = await talliesOf(store, { fromMs: -DAY_MS, toMs: 0 });
    t.same(before1970, [`gw d3 ${(-DAY_MS - DAY) / DAY_MS} a 9 1 20`]);
  },

  'what each epoch has told, and the status with the fullest books': async (t, { store }) => {
    const put = (value: Status, receivedMs: number, retained = false) =>
      store.commit([{ kind: 'status', gateway: 'gw', receivedMs, retained, status: value }]);
    const epochs = async () => (await store.read((snapshot) => snapshot.gateways()))[0]!.epochs;
    await put(status(3), 1, true);
    t.match(await epochs(), [{ epoch: EPOCH_A, told: 0, firstSeenMs: 1, lastSeenMs: 0, statusMs: 1, sessions: [] }]);
    t.same((await epochs())[0]!.status, status(3));
    await put(status(7, { sentMs: 1 }), 2);
    await put(status(3, { state: 'offline' }), 3);
    t.match(await epochs(), [{ status: { readings: { counted: 7 } }, statusMs: 2 }], 'whatever the clock says');
    t.equal((await store.read((snapshot) => snapshot.gateways()))[0]!.status?.state, 'offline');
    await put(status(7, { sentMs: 2 }), 4);
    t.match(await epochs(), [{ statusMs: 4 }], 'of equal books the newer one');
    await put(status(1, { epoch: EPOCH_B }), 5);
    const ledger = [told('d1', 5), told('d2', 1), told('d1', 2, DAY + DAY_MS)];
    await store.commit([
      batchOf([], { ledger, receivedMs: 6 }),
      batchOf([], { gateway: 'gw2', ledger, receivedMs: 6 }),
    ]);
    t.match(await epochs(), [
      { epoch: EPOCH_A, told: 8, firstSeenMs: 1, lastSeenMs: 6, status: { readings: { counted: 7 } } },
      { epoch: EPOCH_B, told: 0, firstSeenMs: 5, lastSeenMs: 0, status: { readings: { counted: 1 } } },
    ]);
  },

  'sessions: which batches arrived, refused ones too, repeated ones once': async (t, database) => {
    const { store } = database;
    const batch = (sequence: number, more: Partial<BatchChange> = {}) => batchOf([], { sequence, ...more });
    const rejected = (sequence: number) =>
      ({
        kind: 'rejected',
        gateway: 'gw',
        receivedMs: 1,
        topic: 'x',
        reason: 'invalid',
        detail: 'y',
        payload: Buffer.from('z'),
        identity: { epoch: EPOCH_A, session: 1, sequence },
      }) as const;
    await store.commit([batch(1), batch(5), batch(2), batch(5), rejected(6), batch(9)]);
    const again = await database.reopen();
    await again.commit([
      rejected(8),
      batch(1, { session: 2 }),
      batch(2, { epoch: EPOCH_B }),
      batch(3, { gateway: 'g' }),
    ]);
    const rows = await again.read((snapshot) => snapshot.gateways());
    const found = rows.flatMap(({ gateway, epochs }) =>
      epochs.flatMap(({ epoch, sessions }) =>
        sessions.map(({ session, sequences }) => [gateway, epoch[0], session, tallySequences(sequences)] as const),
      ),
    );
    t.match(found, [
      ['g', 'a', 1, { highest: 3, arrived: 1 }],
      ['gw', 'a', 1, { highest: 9, arrived: 6, missing: 3 }],
      ['gw', 'a', 2, { highest: 1, arrived: 1, missing: 0 }],
      ['gw', 'b', 1, { highest: 2, arrived: 1 }],
    ]);
    t.same(found[1]![3].gaps, [
      [3, 4],
      [7, 7],
    ]);
  },
};
