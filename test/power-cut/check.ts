/**
 * What is left on the disk after a power cut, held against what was said before it: opens both databases with the product's
 * code, sends what is in no batch yet, and reads the cloud's report.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { imbalance } from '../../agent/books.js';
import { BEGINNING_MS, END_MS } from '../../cloud/report/query.js';
import { runReport } from '../../cloud/report/report.js';
import type { Store } from '../../cloud/store/store.js';
import { AGENT_FILE, CLOUD_FILE, type Durability, GATEWAY, Gateway } from './gateway.js';
import type { History } from './history.js';
import { countsOf, type ReadingId } from './stream.js';

/** By then every window is closed and every batch has its receipt. */
const STEPS_TO_END = 40;

export interface Findings {
  readonly lost: readonly ReadingId[];
  readonly twice: readonly ReadingId[];
  /** Names of batches with a receipt that the cloud's store does not hold. */
  readonly unkept: readonly string[];
  readonly reused: readonly string[];
  readonly wrong: readonly string[];
}

export async function check(dir: string, durability: Durability, step: number, history: History): Promise<Findings> {
  const wrong = [AGENT_FILE, CLOUD_FILE].flatMap((file) => integrity(join(dir, file)));
  const unkept = missing(join(dir, CLOUD_FILE), history);
  const lines: string[] = [];
  const gateway = new Gateway(dir, durability, step, (line) => lines.push(line));
  wrong.push(...balanced(gateway, 'after the restart'));
  await gateway.start();
  await gateway.finish(step + STEPS_TO_END);
  wrong.push(...balanced(gateway, 'at the end'));
  const { windows } = gateway.pipeline.buffer.windows.backlogState();
  if (windows > 0) wrong.push(`${windows} windows without a receipt at the end`);
  const { counts, wrong: sums } = await countedIn(gateway.store);
  await gateway.stop();
  const { faults, reused } = history.clone().add(lines); // a copy: this ending is tried out, and did not happen
  wrong.push(...sums, ...faults);
  const lost = [...history.acknowledged.keys()].filter((id) => !counts.has(id));
  const twice = [...counts].filter(([, count]) => count > 1).map(([id]) => id);
  return { lost, twice, unkept, reused, wrong };
}

function integrity(path: string): string[] {
  const db = new Database(path, { fileMustExist: true });
  const found = db.pragma('integrity_check', { simple: true });
  db.close();
  return found === 'ok' ? [] : [`${path}: ${String(found)}`];
}

function balanced({ pipeline: { books } }: Gateway, when: string): string[] {
  return imbalance(books) === 0 ? [] : [`the books do not balance ${when}: ${JSON.stringify(books)}`];
}

/** Batches with a receipt of which a window is in the store in no revision, or only in a lower one. */
function missing(path: string, { receipted, sent }: History): string[] {
  const db = new Database(path, { readonly: true });
  const rows = db
    .prepare(
      'SELECT d.name AS device, w.start_ms AS startMs, w.part, w.revision FROM windows w JOIN devices d ON d.id = w.device',
    )
    .all() as { device: string; startMs: number; part: number; revision: number }[];
  db.close();
  const kept = new Map(rows.map(({ device, startMs, part, revision }) => [`${device}/${startMs}/${part}`, revision]));
  return [...receipted].filter((name) =>
    (sent.get(name)?.windows ?? []).some(
      ({ device, startMs, part, revision }) => (kept.get(`${device}/${startMs}/${part}`) ?? 0) < revision,
    ),
  );
}

/** How often each reading is in the report. */
async function countedIn(store: Store): Promise<{ counts: Map<ReadingId, number>; wrong: string[] }> {
  const { rows } = await runReport(store, {
    keys: ['device', 'hour'],
    span: { fromMs: BEGINNING_MS, toMs: END_MS },
    where: { gateway: GATEWAY },
    metrics: 'all',
    timeZone: 'UTC',
  });
  const counts = new Map<ReadingId, number>();
  const wrong: string[] = [];
  for (const { keys, sum, count } of rows) {
    const inHour = countsOf(keys[0]!, Date.parse(keys[1]!), sum);
    for (const [id, times] of inHour) counts.set(id, times);
    const total = [...inHour.values()].reduce((a, b) => a + b, 0);
    if (total !== count) wrong.push(`${keys.join('/')}: ${count} readings, and a sum of ${total}`);
  }
  return { counts, wrong };
}
