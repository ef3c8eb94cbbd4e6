/**
 * What a reading costs the disk: 100 readings a second, a commit each second, windows of a minute saved, sent and freed, for
 * ten minutes of a simulated clock; counted as the kernel counts this process's writes, with write-ahead log and
 * checkpoints. Yardsticks: the same readings as rows, and as one blob of JSON a commit.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { pino } from 'pino';
import { compileRoutes } from '../agent/accept/routes.js';
import { backlogOf } from '../agent/backlog.js';
import { agentSchema } from '../agent/config.js';
import { Pipeline } from '../agent/pipeline.js';
import { Credit } from '../agent/push/credit.js';
import { Outbox } from '../agent/push/outbox.js';
import { ALWAYS, TestClocks } from '../agent/time/clock-testing.js';
import { encodeBatch } from '../shared/batch.js';
import type { Figure, Stage } from './figures.js';
import { deviceTopic, ROUTE } from './traffic.js';

const DEVICES = 100;
const SECONDS = 600;
const READINGS = DEVICES * SECONDS;
const START_MS = 1_795_248_000_000;

export const journal: Stage = {
  name: 'journal',
  about: '100 readings/s of five metrics, a commit a second, windows of a minute',
  ci: true,
  async run({ dir }) {
    let commits = 0;
    const ours = await written(async () => {
      commits = (await gateway(dir)) / READINGS;
    });
    const rows = await written(() => asRows(join(dir, 'rows.db')));
    const blobs = await written(() => asBlobs(join(dir, 'blobs.db')));
    const megabytesADay = (ours * 100 * 86_400) / 1e6;
    const common = { unit: 'B', ours, better: 'less' } as const;
    const figures: Figure[] = [
      {
        ...common,
        name: 'a reading on disk',
        yardstick: { is: 'rows', value: rows },
        ratio: ours / rows,
        target: '≤ 30 B',
        note: `${Math.round(megabytesADay)} MB a day`,
        gate: true,
      },
      {
        ...common,
        name: 'a reading on disk, against blobs',
        yardstick: { is: 'a blob of JSON a commit, never freed', value: blobs },
        ratio: ours / blobs,
      },
    ];
    figures.push({ name: 'of this, the commits', unit: 'B', ours: commits, better: 'less' });
    return figures;
  },
};

async function written(work: () => void | Promise<void>): Promise<number> {
  const before = writtenBytes();
  await work();
  return (writtenBytes() - before) / READINGS;
}

function writtenBytes(): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))![1]);
}

function payload(device: number, second: number): string {
  const swing = Math.sin(device + second / 10);
  return JSON.stringify({
    ts: START_MS + second * 1000 + device * 7,
    temperature: Number((21.4 + 0.3 * swing).toFixed(1)),
    humidity: Number((45 + 0.9 * swing).toFixed(1)),
    pressure: Number((1013.2 + 0.3 * swing).toFixed(2)),
    co2: Math.round(620 + 12 * swing),
    battery: Number((3.301 + 0.009 * swing).toFixed(3)),
  });
}

/** The agent's pipeline and outbox, with a cloud that answers at once. Returns the bytes that its commits wrote. */
async function gateway(dir: string): Promise<number> {
  const config = agentSchema.parse({ gateway: 'gw', accept: { routes: [{ ...ROUTE, window: '1m', lateness: '1s' }] } });
  const clock = new TestClocks(START_MS);
  const pipeline = new Pipeline({
    options: { ...config.buffer, commitInterval: 1000 },
    databasePath: join(dir, 'edgetally.db'),
    decode: compileRoutes(config.accept.routes, config.accept.limits),
    clock,
    clockOptions: ALWAYS,
    log: pino({ level: 'silent' }),
  });
  const { buffer } = pipeline;
  const { epoch, session } = buffer;
  const steadyMs = () => pipeline.time.now().steadyMs;
  const credit = new Credit(0);
  credit.grant(undefined, 0);
  const outbox = new Outbox({
    backlog: backlogOf(buffer, { nowMs: clock.nowMs, steadyMs }),
    limits: { maxInFlight: 20, maxBatchBytes: 96 * 1024, receiptTimeoutMs: 30_000 },
    credit,
    encode: ({ sequence, windows, ledger, losses }) => {
      const summaries = windows.map(({ summary }) => summary);
      return encodeBatch({ epoch, session, sequence, sentMs: clock.nowMs(), windows: summaries, ledger, losses });
    },
  });
  let commitBytes = 0;
  for (let second = 0; second < SECONDS; second++) {
    clock.pass(1000);
    const nowMs = clock.nowMs();
    for (let device = 0; device < DEVICES; device++) {
      const message = {
        topic: deviceTopic(device),
        payload: Buffer.from(payload(device, second)),
        arrivalUs: nowMs * 1000,
      };
      pipeline.accept(message, refuse);
    }
    const before = writtenBytes();
    pipeline.commit();
    commitBytes += writtenBytes() - before;
    pipeline.work();
    outbox.expire(steadyMs());
    for (let out = outbox.next(steadyMs()); out !== undefined; out = outbox.next(steadyMs())) {
      outbox.receipt([out.sequence], steadyMs());
    }
    await Promise.resolve(); // a turn of the microtasks, none of the timers
  }
  if (pipeline.books.counted !== READINGS) throw new Error('not all was counted');
  await pipeline.stop();
  return commitBytes;
}

function refuse(error?: Error): void {
  if (error !== undefined) throw error;
}

function open(path: string) {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  return db;
}

function asRows(path: string): void {
  const db = open(path);
  db.exec('CREATE TABLE r (device INTEGER, ts INTEGER, a REAL, b REAL, c REAL, d REAL, e REAL)');
  const put = db.prepare('INSERT INTO r VALUES (?, ?, ?, ?, ?, ?, ?)');
  for (let second = 0; second < SECONDS; second++) {
    db.transaction(() => {
      for (let device = 0; device < DEVICES; device++) {
        const { ts, ...values } = JSON.parse(payload(device, second)) as Record<string, number>;
        put.run(device, ts, ...Object.values(values));
      }
    })();
  }
  db.close();
}

function asBlobs(path: string): void {
  const db = open(path);
  db.exec('CREATE TABLE b (second INTEGER PRIMARY KEY, readings BLOB)');
  const put = db.prepare('INSERT INTO b VALUES (?, ?)');
  for (let second = 0; second < SECONDS; second++) {
    put.run(second, Buffer.from(`[${Array.from({ length: DEVICES }, (_, device) => payload(device, second)).join()}]`));
  }
  db.close();
}
