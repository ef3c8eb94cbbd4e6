/**
 * The journal: blocks of readings that are in no saved window yet, one a commit, numbered without a gap for as long as the
 * database lives. Writes belong into a transaction of the caller, who tells of its commit by `appended` or `forgotten`.
 */
import type { Block } from '../block.js';
import { decodeBlock, encodeBlock } from './block-codec.js';
import { type Damage, damageOf } from './damage.js';
import { StoredDeliveries } from './deliveries.js';
import type { Db } from './schema.js';

export class Journal {
  /** Number of the last block. */
  last: number;
  /** Bytes of the blocks that are there. */
  bytes: number;
  /** Outlive the blocks that brought them. */
  readonly deliveries: StoredDeliveries;
  readonly #damage: Damage;
  readonly #statements;

  /** `savedUpTo`: the last block that the saved books hold; it may be gone already. */
  constructor(db: Db, savedUpTo: number, damage: Damage) {
    this.#damage = damage;
    this.#statements = {
      append: db.prepare('INSERT INTO journal VALUES (?, ?)'),
      blocks: db.prepare('SELECT sequence, block FROM journal ORDER BY sequence'),
      oldest: db.prepare('SELECT min(sequence) FROM journal').pluck(),
      last: db.prepare('SELECT coalesce(max(sequence), 0) FROM journal').pluck(),
      bytes: db.prepare('SELECT coalesce(sum(length(block)), 0) FROM journal').pluck(),
      drop: db.prepare('DELETE FROM journal WHERE sequence = ?'),
      forget: db.prepare('DELETE FROM journal WHERE sequence < ?'),
    };
    this.deliveries = new StoredDeliveries(db);
    this.last = Math.max(savedUpTo, this.#statements.last.get() as number);
    this.bytes = this.#statements.bytes.get() as number;
  }

  /** In order; those that are damaged are set aside. */
  *blocks(): Iterable<{ sequence: number; block: Block }> {
    for (const row of this.#statements.blocks.all() as { sequence: number; block: Uint8Array }[]) {
      const block = this.#read(row.sequence, row.block);
      if (block !== undefined) yield { sequence: row.sequence, block };
    }
  }

  #read(sequence: number, bytes: Uint8Array): Block | undefined {
    try {
      return decodeBlock(bytes);
    } catch (error) {
      const reason = damageOf(error);
      if (reason === undefined) throw error;
      // how many readings it held nobody knows: it counts as one
      const row = { place: 'journal', key: String(sequence), reason, bytes } as const;
      this.#damage.setAside(row, { count: 1 }, () => this.#statements.drop.run(sequence));
      return undefined;
    }
  }

  /** The first block that is there; where there is none, the next one. */
  get oldest(): number {
    return (this.#statements.oldest.get() as number | null) ?? this.last + 1;
  }

  /** Puts a block behind the last one; returns its bytes. */
  append(block: Block): number {
    const bytes = encodeBlock(block);
    this.#statements.append.run(this.last + 1, bytes);
    return bytes.length;
  }

  /** The commit of a block, which takes so many bytes, is done. */
  appended(bytes: number, block: Block): void {
    this.last++;
    this.bytes += bytes;
    this.deliveries.committed(this.last, block);
  }

  /** Drops the blocks before `oldestNeeded`, all where it is undefined. */
  forget(oldestNeeded: number | undefined): void {
    const oldest = oldestNeeded ?? this.last + 1;
    this.deliveries.keep(oldest);
    this.#statements.forget.run(oldest);
  }

  /** The commit of what was forgotten is done. */
  forgotten(): void {
    this.bytes = this.#statements.bytes.get() as number;
    this.deliveries.kept();
  }
}
