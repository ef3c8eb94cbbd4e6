/**
 * Readings without a time of their own that came while the clock was not believed: durable, acknowledged, and held until
 * somebody knows the time. One row a commit: the boot in which they came, and their times by its monotonic clock. Many
 * readings to a row, because an SD card is worn by rows.
 */
import type { BlockReading } from '../block.js';
import { emptyTally } from '../block.js';
import { decodeBlock, encodeBlock } from './block-codec.js';
import { type Damage, damageOf } from './damage.js';
import type { Db } from './schema.js';

export interface UndatedRow {
  readonly id: number;
  /** The start of the machine in which these came. */
  readonly bootId: string;
  /** `timeUs` of each is its arrival by the monotonic clock of that boot. */
  readonly readings: readonly BlockReading[];
}

const ROWS_AT_ONCE = 200;

export class Undated {
  readonly #damage: Damage;
  readonly #statements;

  constructor(db: Db, damage: Damage) {
    this.#damage = damage;
    this.#statements = {
      add: db.prepare('INSERT INTO undated (boot, last_us, readings, block) VALUES (?, ?, ?, ?)'),
      rows: db.prepare('SELECT id, boot AS bootId, readings, block FROM undated ORDER BY id LIMIT ?'),
      boots: db.prepare('SELECT boot AS bootId, max(last_us) AS lastUs FROM undated GROUP BY boot ORDER BY min(id)'),
      delete: db.prepare('DELETE FROM undated WHERE id = ?'),
      count: db.prepare('SELECT coalesce(sum(readings), 0) FROM undated').pluck(),
    };
  }

  /** Readings that are held here. */
  get count(): number {
    return this.#statements.count.get() as number;
  }

  /** In order, with the arrival of the last reading of each. */
  boots(): { bootId: string; lastUs: number }[] {
    return this.#statements.boots.all() as { bootId: string; lastUs: number }[];
  }

  /** Some, in order of arrival; those that are damaged are set aside. */
  rows(): UndatedRow[] {
    const rows = this.#statements.rows.all(ROWS_AT_ONCE) as {
      id: number;
      bootId: string;
      readings: number;
      block: Uint8Array;
    }[];
    return rows.flatMap(({ id, bootId, readings, block }) => {
      try {
        return [{ id, bootId, readings: decodeBlock(block).readings }];
      } catch (error) {
        const reason = damageOf(error);
        if (reason === undefined) throw error;
        const row = { place: 'undated', key: String(id), reason, bytes: block } as const;
        this.#damage.setAside(row, { count: readings }, () => this.delete(id));
        return [];
      }
    });
  }

  /** Inside a transaction. */
  add(bootId: string, readings: readonly BlockReading[]): void {
    const lastUs = readings.reduce((last, { timeUs }) => Math.max(last, timeUs), 0);
    this.#statements.add.run(bootId, lastUs, readings.length, encodeBlock({ readings, tally: emptyTally() }));
  }

  /** Inside the transaction of the block that has the readings now. */
  delete(id: number): void {
    this.#statements.delete.run(id);
  }
}
