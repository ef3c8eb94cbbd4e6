/** Readings from the future, put aside until their time comes. Writes belong into a transaction of the caller. */
import { type BlockReading, emptyTally } from '../block.js';
import { decodeBlock, encodeBlock } from './block-codec.js';
import { type Damage, damageOf } from './damage.js';
import type { Db } from './schema.js';

export interface HeldReading {
  readonly id: number;
  readonly reading: BlockReading;
}

const RELEASE_AT_ONCE = 1000;

export class Held {
  readonly #damage: Damage;
  readonly #statements;

  constructor(db: Db, damage: Damage) {
    this.#damage = damage;
    this.#statements = {
      hold: db.prepare('INSERT INTO held (due_ms, block) VALUES (?, ?)'),
      due: db.prepare('SELECT id, block FROM held WHERE due_ms <= ? ORDER BY id LIMIT ?'),
      count: db.prepare('SELECT count(*) FROM held').pluck(),
      release: db.prepare('DELETE FROM held WHERE id = ?'),
    };
  }

  get count(): number {
    return this.#statements.count.get() as number;
  }

  hold(reading: BlockReading): void {
    const block = encodeBlock({ readings: [reading], tally: emptyTally() });
    this.#statements.hold.run(Math.ceil(reading.timeUs / 1000), block);
  }

  /** Some of those whose time has come; those that are damaged are set aside. */
  due(nowMs: number): HeldReading[] {
    const rows = this.#statements.due.all(nowMs, RELEASE_AT_ONCE) as { id: number; block: Uint8Array }[];
    return rows.flatMap(({ id, block }) => {
      try {
        return [{ id, reading: decodeBlock(block).readings[0]! }];
      } catch (error) {
        const reason = damageOf(error);
        if (reason === undefined) throw error;
        const row = { place: 'held', key: String(id), reason, bytes: block } as const;
        this.#damage.setAside(row, { count: 1 }, () => this.release(id));
        return [];
      }
    });
  }

  release(id: number): void {
    this.#statements.release.run(id);
  }
}
