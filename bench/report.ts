/**
 * Reports over a year of 1,000 devices with five metrics: all of it by day, and one series over a day. Yardstick: SQL that
 * groups as many rows of plain doubles, of every device and day.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { parseQuery } from '../cloud/report/query.js';
import { runReport } from '../cloud/report/report.js';
import { openSqliteReader, openSqliteStore } from '../cloud/store/sqlite/store.js';
import { DAY_MS, type RollUp, type SnapshotStore, type Store, type Subject } from '../cloud/store/store.js';
import { CALM, typicalBatch, typicalWindows } from '../shared/typical.js';
import { type Figure, inTurns, type Stage } from './figures.js';

const DEVICES = 1000;
const DAYS = 365;
const FROM_MS = Date.UTC(2026, 0, 1);
const QUERIES = 20;

export const report: Stage = {
  name: 'report',
  about: 'a year of 1,000 devices × 5 metrics in daily roll-ups',
  ci: false,
  async run({ dir }) {
    const { year, series } = await reportTimes(dir, DEVICES);
    return [figure('a year by day', year, '< 100 ms'), figure('one series, one day', series, '< 5 ms')];
  },
};

/** ms of two reports over a year of so many devices, in turns with SQL. */
export async function reportTimes(dir: string, devices: number) {
  const path = join(dir, 'cloud.db');
  const store = openSqliteStore({ path, maxQuarantineBytes: 1e6 });
  const device = await fill(store, devices);
  await store.close();
  const plain = plainTable(join(dir, 'plain.db'), devices);
  const reader = openSqliteReader(path);
  try {
    const whole = { from: '2026-01-01', to: '2027-01-01' };
    const year = await inTurns(
      5,
      () => wallMs(1, () => ask(reader, { ...whole, groupBy: 'day' }, DAYS * 5)),
      () => wallMs(1, () => plain.prepare('SELECT day, metric, sum(n), sum(s) FROM t GROUP BY day, metric').all()),
    );
    const day = { from: '2026-07-01', to: '2026-07-02', device, metrics: 'temperature', groupBy: 'device' };
    const oneRow = plain.prepare('SELECT n, s FROM t WHERE day = 181 AND metric = 1 AND device = 7');
    const series = await inTurns(
      5,
      () => wallMs(QUERIES, () => ask(reader, day, 1)),
      () => wallMs(QUERIES, () => oneRow.all()),
    );
    return { year, series };
  } finally {
    await reader.close();
    plain.close();
  }
}

function figure(name: string, ms: { ours: number; yardstick: number; ratio: number }, target: string): Figure {
  const yardstick = { is: 'plain SQL over device-days', value: ms.yardstick };
  const rssBytes = process.memoryUsage.rss();
  return { name, unit: 'ms', ours: ms.ours, yardstick, ratio: ms.ratio, better: 'less', target, rssBytes };
}

async function wallMs(times: number, work: () => unknown): Promise<number> {
  const startMs = performance.now();
  for (let i = 0; i < times; i++) await work();
  return (performance.now() - startMs) / times;
}

async function ask(store: SnapshotStore, args: Parameters<typeof parseQuery>[0], rows: number): Promise<void> {
  const found = await runReport(store, parseQuery(args, Date.now()));
  if (found.rows.length !== rows) throw new Error(`${found.rows.length} rows, expected ${rows}`);
}

/** Daily roll-ups of every device, and of everything; the windows below them are not needed. Returns a device's name. */
async function fill(store: Store, count: number): Promise<string> {
  const windows = typicalWindows({ sensors: CALM, devices: count });
  // makes the names known; one window a device
  await store.commit([
    { kind: 'batch', gateway: 'gw', receivedMs: FROM_MS, ...typicalBatch(windows), ...{ ledger: [], losses: [] } },
  ]);
  const devices = await store.read((snapshot) => snapshot.devices());
  const byName = new Map(devices.map((subject) => [subject.device, subject]));
  const all: Subject = { gateway: undefined, group: undefined, device: undefined };
  for (let day = 0; day < DAYS; day++) {
    const startMs = FROM_MS + day * DAY_MS;
    const common = { resolution: 'day', startMs, mark: 1, readings: 60, counted: 60, longestMs: 60_000 } as const;
    const shifted = windows.map((window) => ({ ...window, metrics: at(window.metrics, startMs) }));
    const rollUps: RollUp[] = shifted.map((window) => {
      return { ...common, scope: 'device', subject: byName.get(window.device)!, metrics: window.metrics };
    });
    rollUps.push({ ...common, scope: 'all', subject: all, metrics: shifted[0]!.metrics });
    await store.putRollUps(rollUps);
  }
  return windows[0]!.device;
}

/** The same statistics on another day. */
function at(metrics: ReturnType<typeof typicalWindows>[number]['metrics'], startMs: number) {
  return new Map(
    [...metrics].map(([name, summary]) => {
      const first = { ...summary.first, timeUs: startMs * 1000 };
      const last = { ...summary.last, timeUs: startMs * 1000 + 1 };
      return [name, { ...summary, first, last }];
    }),
  );
}

function plainTable(path: string, devices: number) {
  const db = new Database(path);
  db.exec('CREATE TABLE t (day, metric, device, n REAL, s REAL, PRIMARY KEY (day, metric, device)) WITHOUT ROWID');
  const put = db.prepare('INSERT INTO t VALUES (?, ?, ?, ?, ?)');
  db.transaction(() => {
    for (let day = 0; day < DAYS; day++) {
      for (let metric = 0; metric < 5; metric++) {
        for (let device = 0; device < devices; device++) put.run(day, metric, device, 60, 60 * 21.4);
      }
    }
  })();
  return db;
}
