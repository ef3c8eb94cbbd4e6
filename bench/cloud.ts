/**
 * The cloud's consumer on SQLite: batches decoded, windows put by revision, receipts made, roll-ups brought up to date.
 * Yardstick: a plain upsert by revision of as many rows of the same size, in transactions of 500.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { pino } from 'pino';
import { Consolidator } from '../cloud/consolidate/consolidator.js';
import { RollUpKeeper } from '../cloud/consolidate/roll-up-keeper.js';
import { openSqliteStore } from '../cloud/store/sqlite/store.js';
import { encodeBatch } from '../shared/batch.js';
import { upTopic } from '../shared/topics.js';
import { CALM, typicalBatch, typicalWindows } from '../shared/typical.js';
import { type Figure, inTurns, median, type Stage } from './figures.js';

const DEVICES = 200;
const MINUTES = 30;
const GATEWAYS = 4;
const BATCH_WINDOWS = 400;
const METRICS = CALM.length;
const SUMMARIES = DEVICES * MINUTES * GATEWAYS * METRICS;
const silent = pino({ level: 'silent' });

export const cloud: Stage = {
  name: 'cloud',
  about: 'metric summaries consolidated into SQLite, with receipts and roll-ups',
  ci: true,
  async run({ ci, dir }) {
    const batches = batchesOf();
    let turn = 0;
    const rates: number[] = [];
    const ours = () =>
      cpuUs(async () => rates.push(SUMMARIES / (await consolidate(join(dir, `ours-${turn++}.db`), batches))));
    const upsert = () => cpuUs(() => plainUpsert(join(dir, `plain-${turn}.db`)));
    const cpu = await inTurns(ci ? 1 : 3, ours, upsert);
    const yardstick = { is: 'plain upsert', value: cpu.yardstick };
    const figure: Figure = {
      name: 'CPU a metric summary',
      unit: 'µs',
      ours: cpu.ours,
      yardstick,
      ratio: cpu.ratio,
      better: 'less',
    };
    const rate: Figure = {
      name: 'metric summaries',
      unit: '1/s',
      ours: median(rates.slice(1)),
      better: 'more',
      target: '≥ 150 000 on two cores',
      cpuUs: cpu.ours,
      rssBytes: process.memoryUsage.rss(),
      note: 'one process: decoding, storing and rolling up on one core',
    };
    return [rate, { ...figure, gate: true }];
  },
};

async function cpuUs(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / SUMMARIES;
}

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

function batchesOf(): Message[] {
  const windows = typicalWindows({ sensors: CALM, devices: DEVICES, minutes: MINUTES, readings: 10 });
  const messages: Message[] = [];
  for (let at = 0, sequence = 1; at < windows.length; at += BATCH_WINDOWS, sequence++) {
    const batch = { ...typicalBatch(windows.slice(at, at + BATCH_WINDOWS)), sequence };
    const payload = Uint8Array.from(encodeBatch(batch));
    for (let gateway = 0; gateway < GATEWAYS; gateway++)
      messages.push({ topic: upTopic(`gw-${gateway}`, 'batch'), payload });
  }
  return messages;
}

/** Seconds until all of it is committed, has its receipts, and no roll-up is stale. */
async function consolidate(path: string, messages: readonly Message[]): Promise<number> {
  const store = openSqliteStore({ path, maxQuarantineBytes: 1e6 });
  const stopping = new AbortController();
  const keeper = new RollUpKeeper({ store, log: silent, settleMs: 1, now: Date.now });
  let receipts = 0;
  const consolidator = new Consolidator({
    store,
    send: () => {
      receipts++;
    },
    receiptDelayMs: 50,
    log: silent,
    now: Date.now,
    signal: stopping.signal,
  });
  const startMs = performance.now();
  for (let at = 0; at < messages.length; at += 50) {
    const some = messages.slice(at, at + 50);
    await Promise.all(
      some.map((message) => consolidator.accept({ ...message, retained: false, receivedMs: Date.now() })),
    );
  }
  keeper.start();
  while ((await store.read((snapshot) => snapshot.books())).dirty > 0) {
    keeper.nudge();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  consolidator.flush();
  const seconds = (performance.now() - startMs) / 1000;
  if (receipts === 0) throw new Error('no receipts');
  stopping.abort();
  await keeper.stop();
  await store.close();
  return seconds;
}

function plainUpsert(path: string): void {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec(
    `CREATE TABLE t (gateway INTEGER, device INTEGER, start_ms INTEGER, metric INTEGER, revision INTEGER, summary BLOB,
     PRIMARY KEY (gateway, device, start_ms, metric)) WITHOUT ROWID`,
  );
  const put = db.prepare(
    `INSERT INTO t VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET revision = excluded.revision, summary = excluded.summary
     WHERE excluded.revision > revision`,
  );
  const blob = Buffer.alloc(20, 1);
  let open = 0;
  for (let minute = 0; minute < MINUTES; minute++) {
    for (let gateway = 0; gateway < GATEWAYS; gateway++) {
      for (let device = 0; device < DEVICES; device++) {
        for (let metric = 0; metric < METRICS; metric++) {
          if (open === 0) db.exec('BEGIN');
          put.run(gateway, device, minute * 60_000, metric, 1, blob);
          if (++open === 500) {
            db.exec('COMMIT');
            open = 0;
          }
        }
      }
    }
  }
  if (open > 0) db.exec('COMMIT');
  db.close();
}
