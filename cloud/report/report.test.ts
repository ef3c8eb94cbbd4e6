import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { type Test, test } from 'tap';
import type { LossRecord } from '../../shared/loss.js';
import { recomputeAll } from '../store/conformance-tools.js';
import { batchOf, EPOCH_A, EPOCH_B, NOON, type SampleReading, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite/store.js';
import { type BatchChange, DAY_MS, floorTo, HOUR_MS, type Store } from '../store/store.js';
import { formatReport, lossLine } from './formats.js';
import { parseQuery, type ReportArguments } from './query.js';
import { runReport } from './report.js';

const DAY = NOON - (NOON % DAY_MS);

function emptyStore(t: Test): Store {
  const folder = mkdtempSync(join(tmpdir(), 'edgetally-report-'));
  const store = openSqliteStore({ path: join(folder, 'cloud.db'), maxQuarantineBytes: 1000 });
  t.teardown(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  return store;
}

async function csv(store: Store, given: ReportArguments = {}): Promise<string> {
  return formatReport(await runReport(store, parseQuery(given, NOON)), 'csv');
}

async function rows(store: Store, given: ReportArguments = {}): Promise<Record<string, string>[]> {
  return parse(await csv(store, given), { columns: true }) as Record<string, string>[];
}

/** What a gateway's ledger says after these readings. */
function ledgerOf(readings: readonly SampleReading[]): BatchChange['ledger'] {
  const counts = new Map<string, number>();
  for (const { group = '', device = 'd1', timeMs } of readings) {
    const key = JSON.stringify([group, device, floorTo(timeMs, DAY_MS)]);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, count]) => {
    const [group, device, dayMs] = JSON.parse(key) as [string, string, number];
    return { group, device, dayMs, readings: count };
  });
}

test('the columns, and what they say of one device', async (t) => {
  const store = emptyStore(t);
  const values = [3, 1, 4, 1, 5, 9, 2, 6];
  const readings = values.map((c, i) => ({ timeMs: NOON + i * 1000, values: { c, '=x': -c } }));
  await store.commit([batchOf(windowsOf(readings), { ledger: ledgerOf(readings) })]);
  const text = await csv(store);
  t.equal(
    text.split('\n')[0],
    'device,metric,count,sum,mean,stddev,min,max,p50,p95,p99,first,first_time,last,last_time,arrived,counted,completeness,blur',
  );
  const [negative, positive] = await rows(store);
  t.match(positive, { device: 'd1', metric: 'c', count: '8', sum: '31', mean: '3.875', min: '1', max: '9' });
  t.match(positive, { stddev: '2.748376143938713', first: '3', last: '6', completeness: '1' });
  t.match(positive, { first_time: '2026-07-01T12:00:00.000Z', last_time: '2026-07-01T12:00:07.000Z' });
  t.ok(Math.abs(Number(positive!.p50) / 3 - 1) < 0.01);
  t.match(negative, { metric: "'=x", sum: '-31', min: '-9', max: '-1' }, 'no formula, and numbers stay numbers');
  t.equal(text.includes('\r'), false);
});

test('one reading has no standard deviation; metrics are never mixed', async (t) => {
  const store = emptyStore(t);
  await store.commit([batchOf(windowsOf([{ timeMs: NOON, values: { c: 1.5, rh: 40 } }]))]);
  const all = await rows(store, { groupBy: 'all' });
  t.same(
    all.map(({ metric, count, stddev, completeness }) => [metric, count, stddev, completeness]),
    [
      ['c', '1', '', ''],
      ['rh', '1', '', ''],
    ],
  );
  t.same(
    (await rows(store, { metrics: 'rh' })).map(({ metric }) => metric),
    ['rh'],
  );
  const { notes } = await runReport(store, parseQuery({ metrics: 'rh,rf' }, NOON));
  t.same(notes, ['there are no readings of metric "rf"']);
  t.equal(await csv(store, { to: '2026-06-01' }), `${(await csv(store)).split('\n')[0]}\n`, 'nothing is no error');
});

test('keys, filters and order', async (t) => {
  const store = emptyStore(t);
  for (const gateway of ['b', 'a']) {
    const readings = ['é', 'Z', 'a', 'd10', 'd9'].flatMap((device) =>
      ['', 'hall'].map((group) => ({ group, device, timeMs: NOON, values: { c: 1 } })),
    );
    await store.commit([batchOf(windowsOf(readings), { gateway })]);
  }
  const keys = async (given: ReportArguments, ...names: string[]) =>
    (await rows(store, given)).map((row) => names.map((name) => row[name]).join('/') + row.count);
  t.same(await keys({}, 'device'), ['Z4', 'a4', 'd104', 'd94', 'é4'], 'by code units');
  t.same(await keys({ groupBy: 'gateway' }, 'gateway'), ['a10', 'b10']);
  t.same(await keys({ groupBy: 'group,gateway' }, 'group', 'gateway'), ['/a5', '/b5', 'hall/a5', 'hall/b5']);
  t.same(await keys({ groupBy: 'all' }), ['20']);
  t.same(await keys({ groupBy: 'all', device: 'd9', gateway: 'a' }), ['2']);
  t.same(await keys({ groupBy: 'all', group: 'hall' }), ['10']);
  t.same(await keys({ groupBy: 'gateway', group: '' }, 'gateway'), ['a5', 'b5']);
  t.same(await keys({ groupBy: 'device', gateway: 'nobody' }, 'device'), []);
  const { notes } = await runReport(store, parseQuery({}, NOON));
  t.match(notes, [/device "Z" is a name in more than one group .* --group-by gateway,group,device/]);
  t.same((await runReport(store, parseQuery({ groupBy: 'gateway,group,device' }, NOON))).notes, []);
});

test('hours and days of a time zone, in the order of time', async (t) => {
  const store = emptyStore(t);
  const autumn = Date.UTC(2026, 9, 25);
  const times = [-3 * HOUR_MS, -2 * HOUR_MS, 0, HOUR_MS, 2 * HOUR_MS, 22.99 * HOUR_MS, 23 * HOUR_MS];
  await store.commit([batchOf(windowsOf(times.map((at) => ({ timeMs: autumn + at, values: { c: 1 } }))))]);
  for (const when of ['stale', 'up to date']) {
    const days = await rows(store, { groupBy: 'day', tz: 'Europe/Berlin' });
    t.same(
      days.map(({ day, count }) => [day, count]),
      [
        ['2026-10-24', '1'],
        ['2026-10-25', '5'],
        ['2026-10-26', '1'],
      ],
      when,
    );
    const range = { from: '2026-10-25', to: '2026-10-26', groupBy: 'hour,device', tz: 'Europe/Berlin' };
    t.same(
      (await rows(store, range)).map(({ hour }) => hour),
      [
        '2026-10-25T00:00+02:00',
        '2026-10-25T02:00+02:00',
        '2026-10-25T02:00+01:00',
        '2026-10-25T03:00+01:00',
        '2026-10-25T23:00+01:00',
      ],
    );
    await recomputeAll(store);
  }
});

test('completeness is what arrived of what the gateways counted, by whole UTC days', async (t) => {
  const store = emptyStore(t);
  const at = (device: string, timeMs: number) => ({ device, timeMs, values: { c: 1 } });
  const arrived = [at('d1', DAY), at('d1', DAY + HOUR_MS), at('d2', DAY + HOUR_MS), at('d1', DAY + DAY_MS)];
  const missing = [at('d1', DAY + 2 * HOUR_MS), at('d1', DAY + 3 * HOUR_MS), at('d1', DAY + DAY_MS)];
  await store.commit([batchOf(windowsOf(arrived), { ledger: ledgerOf([...arrived, ...missing]) })]);
  const said = async (given: ReportArguments) => (await rows(store, given)).map(({ completeness }) => completeness);
  for (const when of ['stale', 'up to date']) {
    t.same(await said({}), ['0.5', '1'], when);
    t.same(await said({ groupBy: 'all' }), [String(4 / 7)], when);
    t.same(await said({ groupBy: 'day' }), ['0.6', '0.5'], when);
    t.same(await said({ groupBy: 'device,hour' }), ['0.5', '0.5', '0.5', '1'], `${when}: an hour tells of its day`);
    t.same(await said({ groupBy: 'device', from: '2026-07-01T00:30', to: '2026-07-01T01:30' }), ['0.5', '1'], when);
    t.same(await said({ groupBy: 'day', tz: 'Asia/Tokyo' }), ['0.6', String(4 / 7)], when);
    await recomputeAll(store);
  }
});

test('arrived and counted are told, and where a window blurs a row', async (t) => {
  const store = emptyStore(t);
  const at = (timeMs: number) => ({ timeMs, values: { c: 1 } });
  const fine = [at(NOON), at(NOON + 1000)];
  const coarse = [at(NOON + DAY_MS)];
  const ledger = ledgerOf([...fine, ...coarse, at(NOON + 5)]);
  await store.commit([batchOf([...windowsOf(fine, HOUR_MS), ...windowsOf(coarse, DAY_MS)], { ledger })]);
  const said = async (given: ReportArguments) =>
    (await rows(store, given)).map(({ arrived, counted, blur }) => `${arrived}/${counted} ${blur}`);
  for (const when of ['stale', 'up to date']) {
    t.same(await said({ groupBy: 'day' }), ['2/3 ', '1/1 '], `${when}: windows of a day lie within UTC days`);
    t.same(await said({ groupBy: 'all' }), ['3/4 '], when);
    t.same(await said({ groupBy: 'hour' }), ['2/3 ', '1/1 1d'], when);
    t.match(await said({ groupBy: 'day', tz: 'Asia/Tokyo' }), [/ $/, / 1d$/], when);
    t.same(
      await said({ from: '2026-07-01T12:00', groupBy: 'all' }),
      ['3/4 1d'],
      `${when}: the range ends within a day`,
    );
    await recomputeAll(store);
  }
  const { notes } = await runReport(store, parseQuery({ groupBy: 'hour' }, NOON));
  t.match(notes, [/^1 of 2 rows hold windows of up to 1d \(column blur\).* later hours$/]);
});

test('what was lost on the days of the report is told beside the rows', async (t) => {
  const store = emptyStore(t);
  const loss = (kind: string, count: number, more: Partial<LossRecord> = {}): LossRecord => ({
    dayMs: DAY,
    kind,
    reason: 'bad-number',
    group: undefined,
    device: undefined,
    count,
    ...more,
  });
  const reading = { timeMs: NOON, group: 'hall', values: { c: 1 } };
  await store.commit([batchOf(windowsOf([reading]))]);
  const without = await csv(store);
  const of = { group: 'hall', device: 'd1' };
  await store.commit([
    batchOf([], {
      losses: [loss('rejected', 2), loss('values', 3, of), loss('rejected', 5, { reason: 'bad-time', ...of })],
    }),
    batchOf([], { epoch: EPOCH_B, losses: [loss('rejected', 1), loss('duplicate', 9), loss('held', 4)] }),
    batchOf([], { losses: [loss('rejected', 100, { dayMs: DAY + DAY_MS })] }),
  ]);
  t.equal(await csv(store), without, 'the rows are the same');
  const line = async (given: ReportArguments) => lossLine(await runReport(store, parseQuery(given, NOON)));
  t.match(
    await line({ to: '2026-07-01T13:00' }),
    /: 8 rejected \(5 bad-time, 3 bad-number\); 3 values \(3 bad-number\); /,
  );
  t.match(await line({}), /: 108 rejected /);
  t.match(
    await line({ device: 'd1', to: '2026-07-02' }),
    /: 5 rejected \(5 bad-time\); 3 values/,
    'what is known of it',
  );
  t.equal(await line({ to: '2026-07-01' }), undefined);
  const report = await runReport(store, parseQuery({ to: '2026-07-02' }, NOON));
  t.match(formatReport(report, 'table'), /\n\nin no row, by the UTC day .*: 8 rejected .*\n$/);
  const { losses } = JSON.parse(formatReport(report, 'json'));
  t.equal(losses.length, 6);
  t.match(losses[1], { gateway: 'gw', day: '2026-07-01', epoch: EPOCH_A, count: 5, ...of });
});

test('JSON and table', async (t) => {
  const store = emptyStore(t);
  await store.commit([batchOf(windowsOf([{ timeMs: NOON, values: { c: 1 / 3 } }]))]);
  const report = await runReport(store, parseQuery({ from: '2026-07-01', groupBy: 'day', metrics: 'c,x' }, NOON));
  t.match(JSON.parse(formatReport(report, 'json')), {
    from: '2026-07-01T00:00:00.000Z',
    to: null,
    tz: 'UTC',
    groupBy: ['day', 'metric'],
    notes: [/metric "x"/],
    rows: [{ day: '2026-07-01', metric: 'c', count: 1, sum: 1 / 3, stddev: null, completeness: null }],
  });
  t.match(formatReport(report, 'table'), /^day +metric +count +sum .*\n2026-07-01 +c +1 +0\.333333 /);
});

interface Scenario {
  readonly readings: readonly SampleReading[];
  readonly seed: number;
}

const value = fc.oneof(
  fc.integer({ min: -5000, max: 5000 }).map((n) => n / 100),
  fc.double({ noNaN: true, min: -1e6, max: 1e6 }).map((x) => (Math.abs(x) < 1e-100 ? 0 : x)),
  fc.constantFrom(0, -0, 1e100, -1e-100, 0.1),
);

const scenario: fc.Arbitrary<Scenario> = fc.record({
  readings: fc.array(
    fc.record({
      group: fc.constantFrom('', 'hall'),
      device: fc.constantFrom('d1', 'd2'),
      timeMs: fc.integer({ min: DAY - 2 * HOUR_MS, max: DAY + DAY_MS + 2 * HOUR_MS }),
      values: fc.dictionary(fc.constantFrom('c', 'rh'), value, { minKeys: 1, noNullPrototype: true }),
    }),
    { minLength: 1, maxLength: 60 },
  ),
  seed: fc.integer(),
});

/** mulberry32: the test's own dice, so that a failing run can be repeated. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) % sides;
  };
}

/** The same truth on another way: windows cut otherwise, older revisions too, all doubled, shuffled, cut into batches. */
async function deliverWildly(store: Store, { readings, seed }: Scenario): Promise<void> {
  const roll = dice(seed);
  const batches: BatchChange[] = [];
  // Which epoch saw a reading, in which part of which window: each reading is counted in one place.
  const places = new Map<string, SampleReading[]>();
  for (const reading of readings) {
    const lengthMs = [10_000, 60_000, 900_000, HOUR_MS][roll(4)]!;
    const place = JSON.stringify([roll(2) === 0 ? EPOCH_A : EPOCH_B, lengthMs, roll(3)]);
    places.set(place, [...(places.get(place) ?? []), reading]);
  }
  for (const [place, members] of places) {
    const [epoch, lengthMs, part] = JSON.parse(place) as [string, number, number];
    const final = windowsOf(members, lengthMs, 3, part);
    const early = windowsOf(members.slice(0, roll(members.length) + 1), lengthMs, 1 + roll(2), part);
    for (const window of [...final, ...final, ...early]) {
      const last = batches.at(-1);
      if (last?.epoch === epoch && roll(3) > 0) (last.windows as unknown[]).push(window);
      else batches.push(batchOf([window], { epoch, ledger: [] }));
    }
  }
  const seenBy = (epoch: string) => [...places].filter(([place]) => place.includes(epoch)).flatMap(([, list]) => list);
  for (const epoch of [EPOCH_A, EPOCH_B]) batches.push(batchOf([], { epoch, ledger: ledgerOf(seenBy(epoch)) }));
  for (let i = batches.length - 1; i > 0; i--) {
    const j = roll(i + 1);
    [batches[i], batches[j]] = [batches[j]!, batches[i]!];
  }
  for (const batch of batches) {
    await store.commit(roll(4) === 0 ? [batch, batch] : [batch]);
    if (roll(6) === 0) await recomputeAll(store);
  }
  if (roll(2) === 0) await recomputeAll(store);
}

test('any order, any number of times, any windows: the report is byte-identical', async (t) => {
  const queries: ReportArguments[] = [
    {},
    { groupBy: 'all' },
    { groupBy: 'day,group' },
    { groupBy: 'gateway,group,device,hour' },
    { groupBy: 'day', tz: 'Europe/Berlin' },
    { groupBy: 'hour', tz: 'America/New_York', from: '2026-06-30T22:00', to: '2026-07-01T13:00' },
    { groupBy: 'device', group: 'hall', from: '2026-07-01T03:00', metrics: 'rh' },
  ];
  await fc.assert(
    fc.asyncProperty(scenario, async (made) => {
      const straight = emptyStore(t);
      await straight.commit([batchOf(windowsOf(made.readings), { ledger: ledgerOf(made.readings) })]);
      const wild = emptyStore(t);
      await deliverWildly(wild, made);
      for (const query of queries) {
        const [expected, found] = [await csv(straight, query), await csv(wild, query)];
        if (expected !== found) throw new Error(`${JSON.stringify(query)}\n${expected}\n${found}`);
      }
      await straight.close();
      await wild.close();
    }),
    { numRuns: 15 },
  );
});
