import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import type { Status } from '../../shared/status.js';
import { batchOf, EPOCH_A, EPOCH_B, NOON, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite/store.js';
import { type BatchChange, DAY_MS, type Store } from '../store/store.js';
import { parseReconcile, type ReconcileArguments } from './query.js';
import { type Reconciliation, reconcile, verdictOf } from './reconcile.js';
import { formatReconciliation } from './reconcile-formats.js';

const DAY = NOON - (NOON % DAY_MS);
const NOW = NOON + 60_000;

function emptyStore(t: Test): Store {
  const folder = mkdtempSync(join(tmpdir(), 'edgetally-reconcile-'));
  const store = openSqliteStore({ path: join(folder, 'cloud.db'), maxQuarantineBytes: 1000 });
  t.teardown(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  return store;
}

function ask(store: Store, given: ReconcileArguments = {}, nowMs = NOW): Promise<Reconciliation> {
  return reconcile(store, parseReconcile({ gateway: 'gw', ...given }, nowMs));
}

/** A batch with as many readings of d1 as `arrived`, of which the gateway says that they were `counted`. */
function batch(arrived: number, counted: number, more: Partial<BatchChange> & { startMs?: number } = {}): BatchChange {
  const { startMs = NOON, ...rest } = more;
  const readings = Array.from({ length: arrived }, (_, i) => ({ timeMs: startMs + i, values: { c: 1 } }));
  const dayMs = startMs - (startMs % DAY_MS);
  return batchOf(windowsOf(readings), { ledger: [{ group: '', device: 'd1', dayMs, readings: counted }], ...rest });
}

/** Whatever keeps the two from being known to be equal. */
const findings = ({ differences, unknowns }: Reconciliation) => [...differences, ...unknowns];

const IDLE = { windows: 0, bytes: 0, oldestMs: null };

function said(counted: number, more: Partial<Status> = {}, receivedMs = NOON + 1000) {
  const status: Status = {
    v: 1,
    state: 'online',
    epoch: EPOCH_A,
    version: '0.1.0',
    sentMs: NOON,
    backlog: IDLE,
    readings: { in: counted, counted, duplicate: 0, rejected: 0, held: 0 },
    reasons: {},
    ...more,
  };
  return { kind: 'status', gateway: 'gw', receivedMs, retained: false, status } as const;
}

const waiting = (oldestMs: number) => ({ windows: 2, bytes: 100, oldestMs });

test('equal: nothing is found', async (t) => {
  const store = emptyStore(t);
  await store.commit([batch(3, 3), said(3), batchOf([], { gateway: 'other', ledger: batch(0, 99).ledger })]);
  const result = await ask(store);
  t.match(result.rows, [{ device: 'd1', dayMs: DAY, counted: 3, arrived: 3, difference: 0, explanation: undefined }]);
  t.equal(result.rows.length, 1, 'of this gateway only');
  t.same([findings(result), result.notes], [[], []]);
  t.equal(verdictOf(result), 'equal');
  t.match(formatReconciliation(result, 'table'), /\nequal: 3 readings in 1 device-day\n$/);
});

test('a difference, and whether the backlog explains it', async (t) => {
  const store = emptyStore(t);
  await store.commit([batch(3, 5)]);
  t.match((await ask(store)).rows, [{ difference: 2, explanation: 'newer' }], 'before any status');
  await store.commit([said(5, { backlog: waiting(NOON) })]);
  const explained = await ask(store);
  t.match(explained.rows, [{ explanation: 'backlog' }]);
  t.match(findings(explained), [
    /^1 device-day of 1 differ by 2 readings, .*backlog reaches back.*: d1 on 2026-07-01 \(2\)$/,
  ]);
  await store.commit([said(5, { backlog: waiting(DAY + DAY_MS), sentMs: NOON + 1 })]);
  t.match((await ask(store)).rows, [{ explanation: 'none' }], 'a backlog of later days');
  await store.commit([said(5, { sentMs: NOON + 2 })]);
  t.match(findings(await ask(store)), [/^1 device-day .*does not explain/]);
  await store.commit([batch(0, 6, { receivedMs: NOON + 1001 })]);
  t.match((await ask(store)).rows, [{ counted: 6, difference: 3, explanation: 'newer' }]);
  await store.commit([batch(7, 6, { startMs: NOON + 60_000 })]);
  t.match((await ask(store)).rows, [{ difference: -4, explanation: 'surplus' }]);
  t.match(findings(await ask(store)), [/more arrived than .*\(-4\)/]);
});

test('differences of two epochs do not make up for each other', async (t) => {
  const store = emptyStore(t);
  await store.commit([batch(3, 4), batch(5, 4, { epoch: EPOCH_B })]);
  const { rows, differences, unknowns } = await ask(store);
  t.match(rows, [
    { epoch: EPOCH_A, difference: 1 },
    { epoch: EPOCH_B, difference: -1 },
  ]);
  t.same([differences.length, unknowns.length], [1, 1]);
});

test('what the gateway has counted and no batch has told of', async (t) => {
  const store = emptyStore(t);
  await store.commit([batch(3, 3), said(10)]);
  t.match(findings(await ask(store)), [
    /^7 readings that the gateway had counted at 2026-07-01T12.*windows still open$/,
  ]);
  t.same(findings(await ask(store, { to: '2026-07-01' })), [], 'windows still open are none of yesterday’s');
  await store.commit([said(10, { backlog: waiting(DAY - 1), sentMs: NOON + 1 })]);
  t.match(findings(await ask(store, { to: '2026-07-01' })), [/^7 readings .* backlog of 2 windows/]);
  t.same(findings(await ask(store, { to: '2026-06-30' })), []);
  await store.commit([batch(7, 10, { startMs: NOON + 60_000 }), batch(1, 1, { startMs: NOON + DAY_MS })]);
  t.same(findings(await ask(store)), [], 'a status older than the batches');
});

test('a gateway that has gone quiet is not known to be equal', async (t) => {
  const store = emptyStore(t);
  await store.commit([batch(3, 3), said(3)]);
  t.same(findings(await ask(store, {}, NOON + 301_000)), []);
  t.match(findings(await ask(store, {}, NOON + 301_001)), [/^the gateway is quiet, last heard 5m ago/]);
  t.same(findings(await ask(store, { maxSilence: '1h' }, NOON + 301_001)), []);
  t.same(findings(await ask(store, { to: '2026-07-01' }, NOON + 301_001)), [], 'it was heard after that day');
  await store.commit([said(1, { state: 'offline', sentMs: NOON - 5 }, NOON + 2000)]);
  t.match(findings(await ask(store)), [/^the gateway is offline, last heard 59s ago/]);
  t.equal((await ask(store)).epochs[0]!.status?.readings.counted, 3, 'a last will does not undo the books');
});

test('windows that are still open are named, and no difference', async (t) => {
  const store = emptyStore(t);
  const open = { windows: 2, readings: 7, oldestMs: NOON + 60_000 };
  await store.commit([batch(3, 3), said(10, { open })]);
  const running = await ask(store);
  t.equal(verdictOf(running), 'equal', 'a range with today does not alternate');
  t.match(running.notes, [/^7 readings in 2 windows that were still open at 2026-07-01T12.* are not compared/]);
  t.match((await ask(store, { to: '2026-07-01' })).notes, [/^there are no device-days/], 'none of yesterday’s');
  t.match(formatReconciliation(running, 'table'), /^open {9}7 readings in 2 windows$/m);
  await store.commit([said(11, { open, sentMs: NOON + 1, backlog: waiting(NOON) })]);
  t.match((await ask(store)).differences, [
    /^1 reading that .* no batch yet .*: they are in its backlog of 2 windows$/,
  ]);
});

test('a gateway that was stopped on purpose is not quiet', async (t) => {
  const store = emptyStore(t);
  const gone = { state: 'offline', final: true } as const;
  const later = NOON + 90_000_000;
  await store.commit([batch(3, 3), said(3, { ...gone, open: { windows: 0, readings: 0, oldestMs: null } })]);
  const stopped = await ask(store, {}, later);
  t.equal(verdictOf(stopped), 'equal');
  t.match(stopped.notes, [/^the gateway was stopped on purpose at 2026-07-01T12/]);
  t.equal(JSON.parse(formatReconciliation(stopped, 'json')).final, true);
  const open = { windows: 1, readings: 2, oldestMs: NOON };
  await store.commit([said(5, { ...gone, sentMs: NOON + 1, open })]);
  t.match((await ask(store, {}, later)).differences, [
    /^the gateway was stopped with 2 readings in 1 window still open/,
  ]);
  t.equal(verdictOf(await ask(store, { to: '2026-07-01' }, later)), 'equal', 'nothing of yesterday is open');
  await store.commit([said(3, { state: 'offline' }, NOON + 2000)]);
  t.equal(verdictOf(await ask(store)), 'unknown', 'a last will says nothing of the kind');
});

test('what was lost on the days of the range', async (t) => {
  const store = emptyStore(t);
  const place = { group: undefined, device: undefined };
  const losses = [
    { dayMs: DAY, kind: 'rejected', reason: 'not-json', ...place, count: 4 },
    { dayMs: DAY - DAY_MS, kind: 'rejected', reason: 'not-json', ...place, count: 9 },
    { dayMs: DAY, kind: 'values', reason: 'bad-number', group: 'hall', device: 'd1', count: 1 },
  ];
  await store.commit([batch(3, 3, { losses }), said(3)]);
  const result = await ask(store, { from: '2026-07-01', to: '2026-07-02' });
  t.match(
    formatReconciliation(result, 'table'),
    /^gateway +group +device +day +kind +reason +count\ngw +2026-07-01 +rejected +not-json +4\ngw +hall +d1 +2026-07-01 +values +bad-number +1\n\n/m,
  );
  const of = { gateway: 'gw', day: '2026-07-01', epoch: EPOCH_A };
  t.same(JSON.parse(formatReconciliation(result, 'json')).losses, [
    { ...of, group: null, device: null, kind: 'rejected', reason: 'not-json', count: 4 },
    { ...of, group: 'hall', device: 'd1', kind: 'values', reason: 'bad-number', count: 1 },
  ]);
});

test('books that do not balance, losses, gaps, refused batches, a database left behind', async (t) => {
  const store = emptyStore(t);
  const identity = { epoch: EPOCH_B, session: 1, sequence: 5 };
  const refused = {
    kind: 'rejected',
    gateway: 'gw',
    receivedMs: NOON,
    topic: '',
    reason: 'invalid',
    detail: '',
  } as const;
  const readings = { in: 12, counted: 3, duplicate: 2, rejected: 4, held: 1 };
  const reasons = { rejected: { 'not-json': 1, 'bad-time': 3 }, values: {}, coarsened: { '1h': 9 } };
  await store.commit([
    batch(0, 0, { sequence: 1, epoch: EPOCH_B }),
    { ...refused, payload: Buffer.from('x'), identity },
    batch(3, 3),
    said(3, { readings, reasons, backlog: waiting(NOON) }),
    said(0, { epoch: EPOCH_B }),
  ]);
  const result = await ask(store);
  t.match(result.differences, [/books do not balance by 2 readings \(epoch aaaaaaaa\)/]);
  t.match(result.notes, [/^2 windows of epoch aaaaaaaa/, /^3 batches did not arrive/, /^1 message .*quarantine/]);
  const table = formatReconciliation(result, 'table');
  t.match(table, /12 in = 3 counted \+ 2 duplicate \+ 4 rejected \+ 1 held \(DOES NOT BALANCE by 2\)/);
  t.match(table, /^rejected {5}3 bad-time, 1 not-json\ncoarsened {4}9 1h\nbacklog {6}2 windows, the oldest of/m);
  t.match(table, /^batches {6}2 arrived, 3 missing below the highest number\n {13}session 1: 3 of 5 missing: 2–4$/m);
  t.match(table, /\nDIFFERENT\n$/);
  const json = JSON.parse(formatReconciliation(result, 'json'));
  t.match(json, {
    gateway: 'gw',
    from: null,
    to: null,
    verdict: 'different',
    differences: result.differences,
    rejectedMessages: 1,
  });
  t.match(json.epochs[0], { epoch: EPOCH_A, readings, reasons, imbalance: 2, told: 3, untold: 0 });
  t.same(json.epochs[1].sessions, [{ opening: 0, session: 1, highest: 5, arrived: 2, missing: 3, gaps: [[2, 4]] }]);
  t.match(json.rows[0], { group: '', device: 'd1', day: '2026-07-01', counted: 3, arrived: 3, explanation: null });
  t.equal(
    formatReconciliation(result, 'csv'),
    `group,device,day,epoch,counted,arrived,difference,explanation\n,d1,2026-07-01,${EPOCH_A},3,3,0,\n` +
      `,d1,2026-07-01,${EPOCH_B},0,0,0,\n`,
  );
});

test('the range: whole UTC days', async (t) => {
  const store = emptyStore(t);
  const days = [-1, 0, 1].map((n) => batch(1, 2, { startMs: NOON + n * DAY_MS }));
  await store.commit(days);
  const found = async (given: ReconcileArguments) =>
    (await ask(store, given)).rows.map(({ dayMs, arrived }) => `${(dayMs - DAY) / DAY_MS}: ${arrived}`);
  t.same(await found({}), ['-1: 1', '0: 1', '1: 1']);
  t.same(await found({ from: '2026-07-01', to: '2026-07-02' }), ['0: 1']);
  t.same(await found({ from: '2026-07-01T23:00', to: '2026-07-02T00:00:00.001Z' }), ['0: 1', '1: 1']);
  t.same(await found({ from: '1h', to: 'now' }), ['0: 1']);
  t.match((await ask(store, { to: '2026-07-02' })).notes, [/^no status/, /^the range is not over yet$/]);
  const none = await ask(store, { to: '2020-01-01' });
  t.match(none.notes, [/^there are no device-days/, /^no status/]);
});

test('arguments', async (t) => {
  const store = emptyStore(t);
  t.throws(() => parseReconcile({}, NOW), { code: 'usage' });
  t.throws(() => parseReconcile({ gateway: 'gw', maxSilence: 'a while' }, NOW), { code: 'usage' });
  await t.rejects(ask(store), { code: 'usage', message: /"gw"/ });
});
