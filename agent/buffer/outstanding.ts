/**
 * The windows that left and have no receipt for what left: they are never merged, as the cloud may have them. So they are
 * bounded: above a share of the database no other window leaves, only these again. A link that is up and brings no
 * receipts, for however long, does not take the whole buffer.
 */
import type { Db } from './schema.js';

/** Of the pages. A batch that has begun goes in whole. */
const SHARE = 1 / 8;
/** What a row takes besides its summary and memory, about. */
const ROW_BYTES = 150;

export class Outstanding {
  readonly #maxBytes: number;
  readonly #count;
  /** Never less than there are. */
  #atMost: number;
  #changed = false;

  constructor(db: Db, pagesBytes: number) {
    this.#maxBytes = SHARE * pagesBytes;
    this.#count = db
      .prepare(
        `SELECT count(*) * ${ROW_BYTES} + coalesce(sum(bytes), 0) FROM windows INDEXED BY outstanding
           WHERE attempted > receipted`,
      )
      .pluck();
    this.#atMost = this.bytes;
  }

  /** What they take, about. */
  get bytes(): number {
    return this.#count.get() as number;
  }

  /** No other window may leave. */
  get isFull(): boolean {
    if (this.#changed && this.#atMost > this.#maxBytes) {
      this.#atMost = this.bytes;
      this.#changed = false;
    }
    return this.#atMost > this.#maxBytes;
  }

  /** A window leaves whose summary and memory take so much. */
  left(bytes: number): void {
    this.#atMost += ROW_BYTES + bytes;
    this.#changed = true;
  }

  receipted(): void {
    this.#changed = true;
  }
}
