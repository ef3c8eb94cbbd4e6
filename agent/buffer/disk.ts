/**
 * What the database takes on the disk, kept under its cap: pages and write-ahead log together.
 *
 * SQLite bounds the pages itself. The log begins anew after a checkpoint, which comes behind the commit that made it long
 * enough, so it takes what starts a checkpoint and one transaction more: whoever writes many rows writes
 * `rowsAtOnce` in a transaction, and a block stays within `transactionBytes`.
 *
 * The last pages are not for everyone, or nothing could empty a full database: intake stops first, then saving windows;
 * receipts, purging and merging have the rest.
 */
import { statSync } from 'node:fs';
import { EdgetallyError } from '../../shared/errors.js';
import type { WindowSave } from '../stored-window.js';
import type { Db } from './schema.js';

const MAX_WAL_BYTES = 16 * 1024 * 1024;
/** The log is copied into the pages at this size: more often would wear the disk, more seldom takes long at a time. */
const MAX_CHECKPOINT_BYTES = 4 * 1024 * 1024;
const MIN_RESERVE_PAGES = 8;
/** A row of windows touches a page of its own, one of an index that it leaves, and one of an index that it enters. */
const PAGES_A_ROW = 3;
const MAX_ROWS_AT_ONCE = 2_000;
/** A summary, and each bin of its sketch. */
const SUMMARY_BYTES = 120;
const BIN_BYTES = 2;

export interface DiskUse {
  /** On disk, with log and free pages. */
  readonly bytes: number;
  /** In pages that are not free. */
  readonly used: number;
}

/** Parts of the cap, in bytes. */
export interface DiskShares {
  readonly pages: number;
  readonly wal: number;
  readonly checkpoint: number;
  /** What one transaction may write. */
  readonly transaction: number;
  /** Kept from saving windows; intake leaves twice as much. */
  readonly reserve: number;
}

export function diskShares(maxBytes: number, pageBytes: number): DiskShares {
  const wal = Math.min(MAX_WAL_BYTES, Math.floor(maxBytes / 8));
  const checkpoint = Math.min(MAX_CHECKPOINT_BYTES, Math.floor(wal / 2));
  const pages = maxBytes - wal;
  const reserve = Math.max(MIN_RESERVE_PAGES * pageBytes, Math.floor(pages / 64));
  return { pages, wal, checkpoint, transaction: wal - checkpoint, reserve };
}

export class Disk {
  readonly shares: DiskShares;
  readonly #path: string;
  readonly #pageBytes: number;
  readonly #pageCount;
  readonly #freeCount;

  constructor(db: Db, path: string, maxBytes: number) {
    this.#path = path;
    this.#pageBytes = Number(db.pragma('page_size', { simple: true }));
    this.#pageCount = db.prepare('PRAGMA page_count').pluck();
    this.#freeCount = db.prepare('PRAGMA freelist_count').pluck();
    this.shares = diskShares(maxBytes, this.#pageBytes);
    if (db.readonly) return;
    const { pages, wal, checkpoint } = this.shares;
    db.pragma(`max_page_count = ${Math.floor(pages / this.#pageBytes)}`);
    db.pragma(`wal_autocheckpoint = ${Math.max(8, Math.floor(checkpoint / this.#pageBytes))}`);
    db.pragma(`journal_size_limit = ${wal}`);
  }

  use(): DiskUse {
    const count = this.#pageCount.get() as number;
    const free = this.#freeCount.get() as number;
    const logBytes = statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    return { bytes: count * this.#pageBytes + logBytes, used: (count - free) * this.#pageBytes };
  }

  /** What pages may still take, bytes. */
  get room(): number {
    const used = (this.#pageCount.get() as number) - (this.#freeCount.get() as number);
    return this.shares.pages - used * this.#pageBytes;
  }

  /** Throws where there is no room left for those who may have no more than `reserves` leave. */
  keep(reserves: 1 | 2): void {
    if (this.room >= reserves * this.shares.reserve) return;
    throw new EdgetallyError('database-failed', `${this.#path}: the database has reached buffer.maxBytes`);
  }

  /** How many rows of windows one transaction may write. */
  get rowsAtOnce(): number {
    const rows = Math.floor(this.shares.transaction / (PAGES_A_ROW * this.#pageBytes));
    return Math.min(MAX_ROWS_AT_ONCE, Math.max(4, rows));
  }

  /** As many saves as one transaction may write, at least one. */
  fill<T>(items: readonly T[], saveOf: (item: T) => WindowSave): WindowSave[] {
    const saves: WindowSave[] = [];
    let bytes = 0;
    for (const item of items) {
      if (bytes >= this.shares.transaction) break;
      const save = saveOf(item);
      saves.push(save);
      bytes += PAGES_A_ROW * this.#pageBytes + bytesOf(save);
    }
    return saves;
  }
}

/** What a row takes at most, about. */
function bytesOf({ metrics, seen }: WindowSave): number {
  let bytes = seen?.length ?? 0;
  for (const { sketch } of metrics.values()) bytes += SUMMARY_BYTES + BIN_BYTES * sketch.keys.length;
  return bytes;
}
