/**
 * What was lost, left out or put aside, by UTC day, kind, reason and device: counts that only grow, until the cloud has them.
 *
 * Contract: a pure sum over blocks, like the books, and saved in their transaction, so recovery enters the blocks after it
 * again and nothing twice. A record is freed by the receipt for its very count, and may be told any number of times: the
 * greatest wins. Bounded: above MAX_DEVICE_ROWS a day, what is lost is counted without its device. Never drops a count.
 */
import { DAY_MS } from '../../shared/window.js';
import type { Loss, UntoldLoss } from '../block.js';
import type { Dictionary } from './dictionary.js';
import type { Db } from './schema.js';

/** How many devices and reasons of one day are told apart: senders must not fill the disk. */
const MAX_DEVICE_ROWS = 500;
const HORIZON = 'losses_purged_until_ms';

interface Row extends Loss {
  count: number;
  /** The highest count that the cloud has. */
  receipted: number;
}

export class Losses {
  readonly #dictionary: Dictionary;
  readonly #statements;
  readonly #rows = new Map<string, Row>();
  /** Not in the table as they are here. */
  readonly #changed = new Set<string>();
  readonly #untold = new Set<string>();
  /** What the running transaction entered, to be taken back. */
  #entered: Loss[] | undefined;
  readonly #deviceRows = new Map<number, number>();
  /** Records of days before this may have been forgotten: what such a day still brings is filed under this one. */
  #horizonMs: number;

  constructor(db: Db, dictionary: Dictionary) {
    this.#dictionary = dictionary;
    this.#statements = prepareStatements(db);
    this.#horizonMs = (this.#statements.horizon.get() as number | undefined) ?? Number.MIN_SAFE_INTEGER;
    for (const row of this.#statements.all.all() as Row[]) {
      const key = keyOf(row);
      this.#add(key, row);
      if (row.count > row.receipted) this.#untold.add(key);
    }
  }

  /** Adds to the counts in memory; `save` makes them durable. */
  enter(loss: Loss): void {
    const place = this.#placeOf(loss);
    this.#entered?.push({ ...place, count: -loss.count });
    this.#change(place);
  }

  /** The transaction that saves: where it fails, what was entered in it is taken back, and the rest is saved by the next. */
  saving<T>(transaction: () => T): T {
    const entered: Loss[] = [];
    this.#entered = entered;
    try {
      const result = transaction();
      this.#changed.clear();
      return result;
    } catch (error) {
      for (const back of entered) this.#change(back);
      throw error;
    } finally {
      this.#entered = undefined;
    }
  }

  /** Where it is counted: under a day that was not forgotten, and with its device where there is room. */
  #placeOf(loss: Loss): Loss {
    const dayMs = Math.max(loss.dayMs, this.#horizonMs);
    const exact = { ...loss, dayMs };
    const isKnown = loss.device === 0 || this.#rows.has(keyOf(exact));
    const crowded = !isKnown && (this.#deviceRows.get(dayMs) ?? 0) >= MAX_DEVICE_ROWS;
    return crowded ? { ...exact, device: 0 } : exact;
  }

  #change(place: Loss): void {
    const key = keyOf(place);
    const row = this.#rows.get(key) ?? this.#add(key, { ...place, count: 0, receipted: 0 });
    row.count += place.count;
    this.#changed.add(key);
    if (row.count > row.receipted) this.#untold.add(key);
    else this.#untold.delete(key);
  }

  /** Writes what changed; inside the transaction of `saving`. */
  save(): void {
    for (const key of this.#changed) {
      const { dayMs, kind, reason, device, count } = this.#rows.get(key)!;
      this.#statements.save.run(dayMs, kind, reason, device, count);
    }
  }

  /** Some of what the cloud does not have, as long as it takes no more than `maxBytes` of a batch. */
  untold(maxBytes: number): UntoldLoss[] {
    const untold: UntoldLoss[] = [];
    let left = maxBytes;
    for (const key of this.#untold) {
      const { dayMs, kind, reason, device, count } = this.#rows.get(key)!;
      const of = device === 0 ? NO_DEVICE : this.#dictionary.deviceName(device);
      left -= RECORD_BYTES + kind.length + reason.length + 3 * ((of.group?.length ?? 0) + (of.device?.length ?? 0));
      if (left < 0 && untold.length > 0) break;
      untold.push({ key, record: { dayMs, kind, reason, group: of.group, device: of.device, count } });
    }
    return untold;
  }

  /** The cloud has committed these. Inside a transaction; what memory believes is repeated where that fails. */
  receipted(told: readonly UntoldLoss[]): void {
    for (const { key, record } of told) {
      const row = this.#rows.get(key);
      if (row === undefined) continue;
      row.receipted = Math.max(row.receipted, record.count);
      this.#statements.receipted.run(row.dayMs, row.kind, row.reason, row.device, record.count);
      if (row.count <= row.receipted) this.#untold.delete(key);
    }
  }

  /**
   * Forgets what the cloud has of days before the one that holds `beforeMs`. Inside a transaction; returns what is to be
   * called after its commit.
   */
  purge(beforeMs: number): () => void {
    const over = [...this.#rows].filter(
      ([key, row]) => row.dayMs + DAY_MS <= beforeMs && row.count <= row.receipted && !this.#changed.has(key),
    );
    const untilMs = over.reduce((latest, [, { dayMs }]) => Math.max(latest, dayMs + DAY_MS), this.#horizonMs);
    for (const [, row] of over) this.#statements.delete.run(row.dayMs, row.kind, row.reason, row.device);
    if (over.length > 0) this.#statements.setHorizon.run(untilMs);
    return () => {
      this.#horizonMs = untilMs;
      for (const [key, row] of over) this.#forget(key, row);
    };
  }

  #forget(key: string, { device, dayMs }: Row): void {
    this.#rows.delete(key);
    if (device === 0) return;
    const left = this.#deviceRows.get(dayMs)! - 1;
    if (left === 0) this.#deviceRows.delete(dayMs);
    else this.#deviceRows.set(dayMs, left);
  }

  #add(key: string, row: Row): Row {
    this.#rows.set(key, row);
    if (row.device !== 0) this.#deviceRows.set(row.dayMs, (this.#deviceRows.get(row.dayMs) ?? 0) + 1);
    return row;
  }
}

/** Of a record, beside its words and names. */
const RECORD_BYTES = 24;
const NO_DEVICE = { group: undefined, device: undefined };

function keyOf({ dayMs, kind, reason, device }: Omit<Loss, 'count'>): string {
  return `${dayMs}/${kind}/${reason}/${device}`;
}

function prepareStatements(db: Db) {
  return {
    all: db.prepare('SELECT day_ms AS dayMs, kind, reason, device, count, receipted FROM losses'),
    save: db.prepare(
      `INSERT INTO losses (day_ms, kind, reason, device, count) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET count = excluded.count`,
    ),
    // the count may be in the journal only: then the row says 0, and recovery adds to it
    receipted: db.prepare(
      `INSERT INTO losses (day_ms, kind, reason, device, count, receipted) VALUES (?, ?, ?, ?, 0, ?)
       ON CONFLICT DO UPDATE SET receipted = max(receipted, excluded.receipted)`,
    ),
    delete: db.prepare('DELETE FROM losses WHERE day_ms = ? AND kind = ? AND reason = ? AND device = ?'),
    horizon: db.prepare(`SELECT value FROM meta WHERE key = '${HORIZON}'`).pluck(),
    setHorizon: db.prepare(
      `INSERT INTO meta VALUES ('${HORIZON}', ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
    ),
  };
}
