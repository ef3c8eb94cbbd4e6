/**
 * Rows whose bytes changed on the disk: told by their checksums, set aside whole, and counted. One of them stops nothing.
 *
 * Promises: what is set aside stays in the table `damaged` (the newest MAX_ROWS of it); what it had counted, and the cloud may
 * not have, is a loss that the cloud is told; and it is news once, for the log.
 */
import { utcDayMs } from '../../shared/window.js';
import type { Losses } from './losses.js';
import { Meta } from './meta.js';
import { readReports, type SalvageReport } from './salvage/report.js';
import type { Db } from './schema.js';

export interface DamagedRow {
  /** The table that it stood in. */
  readonly place: 'journal' | 'held' | 'undated' | 'windows';
  readonly key: string;
  readonly reason: string;
  readonly bytes: Uint8Array;
}

const MAX_ROWS = 1_000;
/** There while the books do not know yet what a salvage lost. */
export const UNBALANCED = 'unbalanced';

export class Damage {
  readonly #db: Db;
  readonly #losses: Losses;
  readonly #newestMs: () => number;
  readonly #readOnly: boolean;
  readonly #statements;
  readonly #meta: Meta;
  #news: Omit<DamagedRow, 'bytes'>[] = [];

  /** `newestMs`: a time that is past, to count under where a row says none. */
  constructor(db: Db, losses: Losses, newestMs: () => number, readOnly: boolean) {
    this.#db = db;
    this.#newestMs = newestMs;
    this.#losses = losses;
    this.#readOnly = readOnly;
    this.#meta = new Meta(db);
    this.#statements = {
      insert: db.prepare('INSERT INTO damaged (place, key, reason, bytes) VALUES (?, ?, ?, ?)'),
      bound: db.prepare('DELETE FROM damaged WHERE id <= (SELECT max(id) FROM damaged) - ?'),
      counts: db.prepare('SELECT place, count(*) AS rows FROM damaged GROUP BY place'),
    };
  }

  /**
   * Sets a row aside; `remove` takes it out of its place. `lost`: how much nobody else has. Where the database is
   * only looked at, it is left as it is.
   */
  setAside(row: DamagedRow, lost: { count: number; dayMs?: number; device?: number }, remove: () => void): void {
    if (this.#readOnly) return;
    const { place, key, reason, bytes } = row;
    this.#db.transaction(() => {
      this.#statements.insert.run(place, key, reason, bytes);
      this.#statements.bound.run(MAX_ROWS);
      remove();
    })();
    if (lost.count > 0) {
      this.#losses.enter({ kind: 'damaged', reason: place, dayMs: utcDayMs(this.#newestMs()), device: 0, ...lost });
    }
    this.#news.push({ place, key, reason });
  }

  /** What this database was salvaged from, the latest last. */
  salvaged(): readonly SalvageReport[] {
    return readReports(this.#meta);
  }

  /** The database was salvaged, and its books may lack what was lost. */
  get isUnbalanced(): boolean {
    return this.#meta.number(UNBALANCED) === 1;
  }

  /** Inside the transaction that saves balanced books. */
  balanced(): void {
    if (this.isUnbalanced) this.#meta.set(UNBALANCED, 0);
  }

  /** Rows that were set aside, by their table. */
  counts(): Record<string, number> {
    const rows = this.#statements.counts.all() as { place: string; rows: number }[];
    return Object.fromEntries(rows.map(({ place, rows }) => [place, rows]));
  }

  /** Each once. */
  takeNews(): readonly Omit<DamagedRow, 'bytes'>[] {
    const news = this.#news;
    this.#news = [];
    return news;
  }
}

/** What is not right with stored bytes, in words; undefined where they can be read. Other errors are thrown on. */
export function damageOf(error: unknown): string | undefined {
  const { code, message } = error as { code?: string; message: string };
  return code === 'window-damaged' || code === 'block-damaged' ? message : undefined;
}
