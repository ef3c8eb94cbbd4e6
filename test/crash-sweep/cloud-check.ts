/**
 * What must be true of the cloud after a disturbed day: what was acknowledged is in its store, and once the rest has come
 * its reports are those of a batch computation over the readings, stale roll-ups or not. Returns what is wrong, in words.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type ReportRow, runReport } from '../../cloud/report/report.js';
import { digitsAt, parseDecimal, quotient, squareRoot } from '../../demo/oracle-decimal.js';
import { CLOUD_MESSAGES, CLOUD_TRUTH, type CloudMessage, type CloudReading } from './cloud-script.js';
import { groupBy } from './oracle.js';
import { CloudDay } from './store-day.js';

const HOUR_MS = 3_600_000;
/** Of those that were acknowledged, every so many come once more. */
const REPEATED = 3;

export async function checkCloud(dir: string, lines: readonly string[]): Promise<string[]> {
  const path = join(dir, 'cloud.db');
  const said = (word: string) =>
    new Set(lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.split(' ')[1]!));
  const [acknowledged, receipted, refused] = [said('ack'), said('receipt'), said('rejected')];
  const after: string[] = [];
  const day = new CloudDay(dir, (line) => after.push(line));
  await day.open();
  const isKept = (message: CloudMessage) =>
    acknowledged.has(String(message.index)) || (message.batch !== undefined && receipted.has(identityOf(message)));
  const wrong = missing(path, CLOUD_MESSAGES.filter(isKept));
  if (refused.size > 0 && quarantined(path) === 0) wrong.push('refused by a receipt, and not kept');
  await day.arrive(CLOUD_MESSAGES.filter((message, i) => !isKept(message) || i % REPEATED === 0));
  wrong.push(...(await compare(day, 'roll-ups stale')));
  await day.rollUps();
  wrong.push(...(await compare(day, 'roll-ups computed')));
  const { dirty } = await day.store.read((snapshot) => snapshot.books());
  if (dirty !== 0) wrong.push(`${dirty} roll-ups stay stale`);
  await day.close();
  wrong.push(...missing(path, CLOUD_MESSAGES), ...integrity(path));
  wrong.push(...after.filter((line) => line.startsWith('fault') || line.startsWith('nak')));
  return wrong;
}

function identityOf({ batch }: CloudMessage): string {
  return `${batch?.epoch}/${batch?.session}/${batch?.sequence}`;
}

interface StoredRow {
  readonly device: string;
  readonly epoch: string;
  readonly start: number;
  readonly part: number;
  readonly revision: number;
  readonly readings: number;
}

function open(path: string): Database.Database {
  return new Database(path, { readonly: true });
}

function quarantined(path: string): number {
  const db = open(path);
  const count = db.prepare('SELECT count(*) FROM quarantine').pluck().get() as number;
  db.close();
  return count;
}

/** What of these messages is not in the store: its windows at their revision or a higher one, or the message whole. */
function missing(path: string, messages: readonly CloudMessage[]): string[] {
  const db = open(path);
  const rows = db
    .prepare(
      `SELECT d.name AS device, e.epoch, w.start_ms AS start, w.part, w.revision, w.readings
         FROM windows w JOIN devices d ON d.id = w.device JOIN epochs e ON e.id = w.epoch`,
    )
    .all() as StoredRow[];
  const kept = new Set(db.prepare('SELECT hex(payload) FROM quarantine').pluck().all() as string[]);
  db.close();
  const wrong: string[] = [];
  for (const { index, batch, rejected, payload } of messages) {
    if (rejected && !kept.has(Buffer.from(payload).toString('hex').toUpperCase())) {
      wrong.push(`message ${index} was acknowledged and is not in quarantine`);
    }
    for (const { device, startMs, part, revision, readings } of batch?.windows ?? []) {
      const row = rows.find(
        (one) => one.device === device && one.epoch === batch?.epoch && one.start === startMs && one.part === part,
      );
      const holds = row !== undefined && (row.revision > revision || row.readings === readings);
      if (!holds || row.revision < revision) wrong.push(`message ${index}: window ${startMs}/${part} is not there`);
    }
  }
  return wrong;
}

function integrity(path: string): string[] {
  const db = open(path);
  const found = db.pragma('integrity_check', { simple: true });
  db.close();
  return found === 'ok' ? [] : [`${path}: ${String(found)}`];
}

async function compare(day: CloudDay, when: string): Promise<string[]> {
  const { rows } = await runReport(day.store, {
    keys: ['gateway', 'device', 'hour'],
    span: { fromMs: -8.64e15, toMs: 8.64e15 },
    where: {},
    metrics: 'all',
    timeZone: 'UTC',
  });
  const expected = batchComputation();
  const wrong: string[] = [];
  for (const row of rows) {
    const [gateway, device, hour] = row.keys;
    const key = `${gateway}/${device}/${new Date(hour!).toISOString()}/${row.metric}`;
    const is = JSON.stringify(numbersOf(row));
    if (is !== expected.get(key)) wrong.push(`${when}: ${key}: ${is}, not ${expected.get(key)}`);
    if (row.completeness !== 1) wrong.push(`${when}: ${key}: completeness ${row.completeness}`);
  }
  if (rows.length !== expected.size) wrong.push(`${when}: ${rows.length} rows of ${expected.size}`);
  return wrong;
}

function numbersOf({ count, sum, mean, stddev, min, max, first, last }: ReportRow): unknown[] {
  return [count, sum, mean, stddev ?? null, min, max, first.value, last.value];
}

/** Exact and rounded once, from the decimal texts of the values. */
function batchComputation(): Map<string, string> {
  const hourOf = ({ timeMs }: CloudReading) => new Date(Math.floor(timeMs / HOUR_MS) * HOUR_MS).toISOString();
  const observed = CLOUD_TRUTH.flatMap((reading) =>
    Object.entries(reading.values).map(([metric, value]) => ({
      key: `${reading.gateway}/${reading.device}/${hourOf(reading)}/${metric}`,
      timeMs: reading.timeMs,
      value,
    })),
  );
  return new Map(
    [...groupBy(observed, ({ key }) => key)].map(([key, list]) => [key, JSON.stringify(statistics(list))]),
  );
}

function statistics(observed: readonly { timeMs: number; value: number }[]): unknown[] {
  const sorted = [...observed].sort((a, b) => a.timeMs - b.timeMs);
  const values = sorted.map(({ value }) => value);
  const decimals = values.map((value) => parseDecimal(String(value)));
  const scale = Math.max(...decimals.map((decimal) => decimal.scale));
  const digits = decimals.map((decimal) => digitsAt(decimal, scale));
  const n = BigInt(digits.length);
  const sum = digits.reduce((total, x) => total + x, 0n);
  const squares = digits.reduce((total, x) => total + x * x, 0n);
  const stddev = n < 2n ? null : squareRoot(n * squares - sum * sum, n * (n - 1n), scale);
  const [min, max] = [Math.min(...values), Math.max(...values)];
  return [values.length, quotient(sum, 1n, scale), quotient(sum, n, scale), stddev, min, max, values[0], values.at(-1)];
}
