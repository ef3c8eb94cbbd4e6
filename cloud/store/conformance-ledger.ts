/** Conformance: what the gateways say they counted beside what arrived, statuses by epoch, batches by session. */

import type { LedgerEntry } from '../../shared/batch.js';
import type { LossRecord } from '../../shared/loss.js';
import type { Status } from '../../shared/status.js';
import type { DayTally } from './accounts.js';
import { type ConformanceCases, DAY, WHOLE_DAY } from './conformance-tools.js';
import { batchOf, EPOCH_A, EPOCH_B, NOON, windowsOf } from './samples.js';
import { tallySequences } from './sequences.js';
import { type BatchChange, DAY_MS, type Span, type Store, type Where } from './store.js';

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
  'losses: the greatest count of each day, kind, reason and device of an epoch wins': async (t, database) => {
    const of = (device: string | undefined, count: number, more: Partial<LossRecord> = {}): LossRecord => ({
      dayMs: DAY,
      kind: 'rejected',
      reason: 'bad-time',
      group: device === undefined ? undefined : 'hall',
      device,
      count,
      ...more,
    });
    const { store } = database;
    await store.commit([
      batchOf([], { losses: [of('d1', 5), of(undefined, 2), of('d1', 1, { reason: 'bad-number' })] }),
      batchOf([], { losses: [of('d1', 3)], sequence: 2 }),
      batchOf([], { losses: [of('d1', 4)], epoch: EPOCH_B }),
      batchOf([], { losses: [of('d1', 8), of('d2', 6, { kind: 'later', dayMs: DAY - DAY_MS })], gateway: 'gw2' }),
    ]);
    const again = await database.reopen();
    await again.commit([batchOf([], { losses: [of(undefined, 3), of('d1', 4)] })]);
    const ask = async (where: Where, span: Span = WHOLE_DAY) =>
      (await again.read((snapshot) => snapshot.losses(span, where)))
        .map(({ subject, dayMs, epoch, kind, reason, count }) =>
          [subject.gateway, subject.group, subject.device, (dayMs - DAY) / DAY_MS, epoch[0], kind, reason, count].join(
            ' ',
          ),
        )
        .sort();
    const [none, time, other] = [
      'gw   0 a rejected bad-time 3',
      'gw hall d1 0 a rejected bad-time 5',
      'gw hall d1 0 b rejected bad-time 4',
    ];
    const number = 'gw hall d1 0 a rejected bad-number 1';
    const second = 'gw2 hall d1 0 a rejected bad-time 8';
    t.same(await ask({}), [none, number, time, other, second]);
    t.same(await ask({ gateway: 'gw' }), [none, number, time, other]);
    t.same(await ask({ group: 'hall' }), [number, time, other, second], 'not those of an unknown device');
    t.same(await ask({ gateway: 'gw', group: 'hall', device: 'd1' }), [number, time, other]);
    t.same(await ask({ device: 'd2' }, { fromMs: DAY - DAY_MS, toMs: DAY }), ['gw2 hall d2 -1 a later bad-time 6']);
    t.match(await again.read((snapshot) => snapshot.devices()), [{ device: 'd1' }, { device: 'd1' }, { device: 'd2' }]);
  },

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

  'many epochs, sessions and days in turn: nothing of them is forgotten': async (t, database) => {
    const names = ['a', 'b', 'c'].map((digit) => digit.repeat(32));
    let receivedMs = 0;
    for (const sequence of [1, 2]) {
      for (const session of [1, 2, 3]) {
        for (const epoch of names) {
          const ledger = [told('d1', 10 * sequence, DAY + session * DAY_MS)];
          await database.store.commit([batchOf([], { epoch, session, sequence, ledger, receivedMs: ++receivedMs })]);
        }
      }
    }
    const again = await database.reopen();
    const [gateway] = await again.read((snapshot) => snapshot.gateways());
    const found = gateway!.epochs.map(({ epoch, firstSeenMs, lastSeenMs, told, sessions }) => {
      const arrived = sessions.map((one) => `${one.session}:${JSON.stringify(one.sequences.ranges)}`);
      return `${epoch[0]} ${firstSeenMs} ${lastSeenMs} ${told} ${arrived.join(' ')}`;
    });
    const all = '1:[[1,2]] 2:[[1,2]] 3:[[1,2]]';
    t.same(found, [`a 1 16 60 ${all}`, `b 2 17 60 ${all}`, `c 3 18 60 ${all}`]);
    const span = { fromMs: DAY + DAY_MS, toMs: DAY + 4 * DAY_MS };
    const tallies = await talliesOf(again, span);
    t.equal(tallies.length, 9);
    t.same(tallies.slice(0, 3), ['gw d1 1 a 20 0 10', 'gw d1 1 b 20 0 11', 'gw d1 1 c 20 0 12']);
  },
};
