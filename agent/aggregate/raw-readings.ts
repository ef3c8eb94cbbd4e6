/**
 * Readings that came in order and wait in their open window to be folded: a few rows of doubles (time, then the values) side
 * by side in one slab for each number of metrics.
 *
 * Why they wait: with 100,000 series nothing of a series is in the cache when its next value comes, and folding touches some
 * eight lines of it. Appending touches one or two for a whole reading, and folding eight readings at once pays those
 * eight lines once.
 */

/** Readings of one window that may wait. More save little and take memory of every idle window. */
export const CHUNK = 8;

export class RawReadings {
  readonly #slabs: Slab[] = [];

  /** The slab for readings of so many metrics. */
  slab(metrics: number): Slab {
    let slab = this.#slabs[metrics];
    if (slab === undefined) {
      slab = new Slab(metrics);
      this.#slabs[metrics] = slab;
    }
    return slab;
  }
}

/** Chunks of `CHUNK` rows; a chunk is known by where it begins in `rows`. */
export class Slab {
  /** Doubles of one row. */
  readonly stride: number;
  rows: Float64Array;
  readonly #free: number[] = [];
  #used = 0;

  constructor(metrics: number) {
    this.stride = 1 + metrics;
    this.rows = new Float64Array(this.stride * CHUNK * 8);
  }

  allocate(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const chunk = this.#used;
    this.#used += this.stride * CHUNK;
    if (this.#used > this.rows.length) {
      const rows = new Float64Array(this.rows.length * 2);
      rows.set(this.rows);
      this.rows = rows;
    }
    return chunk;
  }

  release(chunk: number): void {
    this.#free.push(chunk);
  }

  write(at: number, timeUs: number, values: readonly number[]): void {
    const { rows } = this;
    rows[at] = timeUs;
    for (let i = 0; i < values.length; i++) rows[at + 1 + i] = values[i]!;
  }
}
