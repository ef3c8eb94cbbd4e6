/**
 * The hot numbers of open windows: one row a (window, metric) in a slab of doubles.
 *
 * Owns the fast path of exact summing. A value v is the decimal m·10^-scale; a row sums y = m − shift and y², where
 * shift is the first m of the row, so that for a sensor, whose values stay near each other, both sums are small
 * integers that doubles hold exactly. Whatever does not fit (another scale, a jump, 17-digit values) goes through the
 * big-integer sums of `shared/exact.ts`: slower, equally exact. `accumulators.test.ts` holds the one to the other.
 */
import { addSums, canonicalSums, decimalOf, EMPTY_SUMS, type ExactSums, scaledInteger } from '../../shared/exact.js';
import type { MetricSummary } from '../../shared/summary.js';
import type { Slab } from './raw-readings.js';
import { Sketches } from './sketches.js';

const STRIDE = 13;
const N = 0; // values in all
const FAST = 1; // of these, how many are in S1 and S2
const SCALE = 2;
const SHIFT = 3; // integer at SCALE
const S1 = 4; // Σy
const S2 = 5; // Σy²
const MIN = 6;
const MAX = 7;
const FIRST_TIME = 8;
const FIRST = 9;
const LAST_TIME = 10;
const LAST = 11;
const SPILLED = 12; // 1 where `spilled` holds a part of the sums

const POW10 = Array.from({ length: 23 }, (_, k) => 10 ** k);
/** Largest |m|: up to 15 digits a decimal is the shortest one of its double. */
const MAX_MANTISSA = 1e15;
/** Largest |y|, so that y² is exact. */
const MAX_SHIFTED = 2 ** 26;
const MAX_SAFE = Number.MAX_SAFE_INTEGER;

export class Accumulators {
  #rows = new Float64Array(STRIDE * 64);
  readonly #spilled: (ExactSums | undefined)[] = [];
  readonly #sketches = new Sketches();
  readonly #free: number[] = [];
  #used = 0;

  /** A new, empty row. `scale` is a guess: the scale at which the metric's last window ended. */
  allocate(scale: number): number {
    const row = this.#free.pop() ?? this.#used++;
    if ((row + 1) * STRIDE > this.#rows.length) this.#grow();
    const at = row * STRIDE;
    this.#rows.fill(0, at, at + STRIDE);
    this.#rows[at + SCALE] = scale;
    this.#sketches.allocate(row);
    return row;
  }

  free(row: number): void {
    this.#spilled[row] = undefined;
    this.#sketches.free(row);
    this.#free.push(row);
  }

  /** Adds one value, observed at `timeUs`. The value is finite, and 0 or 1e-120 ≤ |v| ≤ 1e120. */
  add(row: number, raw: number, timeUs: number): void {
    const value = raw + 0; // −0 is 0
    const rows = this.#rows;
    const at = row * STRIDE;
    if (rows[at + N] === 0) this.#first(at, value, timeUs);
    else this.#compare(at, value, timeUs);
    rows[at + N]! += 1;
    this.#sketches.add(row, value);
    this.#sum(row, at, value);
  }

  /**
   * Adds one column of a chunk of raw readings, whose times ascend. The same as adding value by value, but what a row and
   * its sketch have in the cache is used for all of them.
   */
  addColumn(row: number, slab: Slab, chunk: number, count: number, column: number): void {
    const { rows: raw, stride } = slab;
    const at = row * STRIDE;
    const end = chunk + count * stride;
    const sketches = this.#sketches;
    let from = chunk;
    if (this.#rows[at + N] === 0) {
      this.add(row, raw[from + column]!, raw[from]!);
      from += stride;
      if (from === end) return;
    }
    this.#extremes(at, raw, from, end, stride, column);
    for (; from < end; from += stride) {
      const value = raw[from + column]! + 0; // −0 is 0
      sketches.add(row, value);
      this.#sum(row, at, value);
    }
  }

  /** Least, greatest, first and last of a column. */
  #extremes(at: number, raw: Float64Array, from: number, end: number, stride: number, column: number): void {
    const rows = this.#rows;
    let min = rows[at + MIN]!;
    let max = rows[at + MAX]!;
    for (let i = from; i < end; i += stride) {
      const value = raw[i + column]! + 0;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    rows[at + MIN] = min;
    rows[at + MAX] = max;
    rows[at + N]! += (end - from) / stride;
    this.#compareTimes(at, raw[from + column]! + 0, raw[from]!);
    if (end - from > stride) this.#compareTimes(at, raw[end - stride + column]! + 0, raw[end - stride]!);
  }

  #first(at: number, value: number, timeUs: number): void {
    const rows = this.#rows;
    rows[at + MIN] = rows[at + MAX] = rows[at + FIRST] = rows[at + LAST] = value;
    rows[at + FIRST_TIME] = rows[at + LAST_TIME] = timeUs;
  }

  #compare(at: number, value: number, timeUs: number): void {
    const rows = this.#rows;
    if (value < rows[at + MIN]!) rows[at + MIN] = value;
    if (value > rows[at + MAX]!) rows[at + MAX] = value;
    this.#compareTimes(at, value, timeUs);
  }

  #compareTimes(at: number, value: number, timeUs: number): void {
    const rows = this.#rows;
    const lastTime = rows[at + LAST_TIME]!;
    if (timeUs > lastTime || (timeUs === lastTime && value > rows[at + LAST]!)) {
      rows[at + LAST_TIME] = timeUs;
      rows[at + LAST] = value;
    }
    const firstTime = rows[at + FIRST_TIME]!;
    if (timeUs < firstTime || (timeUs === firstTime && value < rows[at + FIRST]!)) {
      rows[at + FIRST_TIME] = timeUs;
      rows[at + FIRST] = value;
    }
  }

  #sum(row: number, at: number, value: number): void {
    const rows = this.#rows;
    const power = POW10[rows[at + SCALE]!]!;
    const m = Math.round(value * power);
    if (m / power !== value || m > MAX_MANTISSA || m < -MAX_MANTISSA) {
      this.#sumElsewhere(row, at, value);
      return;
    }
    if (rows[at + FAST] === 0) rows[at + SHIFT] = m;
    const y = m - rows[at + SHIFT]!;
    const s2 = rows[at + S2]! + y * y;
    if (y > MAX_SHIFTED || y < -MAX_SHIFTED || s2 > MAX_SAFE) {
      this.#spill(row, at);
      this.#sum(row, at, value); // y is 0 now, so this ends
      return;
    }
    rows[at + FAST]! += 1;
    rows[at + S1]! += y; // |Σy| ≤ Σy², as the y are integers: exact as long as S2 is
    rows[at + S2] = s2;
  }

  /** A value that the row's scale cannot hold: a finer scale where there is one, else big integers. */
  #sumElsewhere(row: number, at: number, value: number): void {
    const rows = this.#rows;
    for (let scale = 0; scale <= 15; scale++) {
      if (Number.isNaN(scaledInteger(value, scale))) continue;
      this.#spill(row, at);
      rows[at + SCALE] = scale;
      this.#sum(row, at, value);
      return;
    }
    const { mantissa, scale } = decimalOf(value);
    this.#addSpilled(row, at, canonicalSums(scale, mantissa, mantissa * mantissa));
  }

  /** Moves the fast sums of a row into its big-integer sums. */
  #spill(row: number, at: number): void {
    const rows = this.#rows;
    if (rows[at + FAST] === 0) return;
    this.#addSpilled(row, at, this.#fastSums(at));
    rows[at + FAST] = rows[at + S1] = rows[at + S2] = 0;
  }

  #addSpilled(row: number, at: number, sums: ExactSums): void {
    this.#spilled[row] = addSums(this.#spilled[row] ?? EMPTY_SUMS, sums);
    this.#rows[at + SPILLED] = 1;
  }

  #fastSums(at: number): ExactSums {
    const rows = this.#rows;
    const n = BigInt(rows[at + FAST]!);
    const shift = BigInt(rows[at + SHIFT]!);
    const s1 = BigInt(rows[at + S1]!);
    const s2 = BigInt(rows[at + S2]!);
    // Σm = Σ(y + shift), Σm² = Σ(y + shift)²
    return canonicalSums(rows[at + SCALE]!, s1 + n * shift, s2 + 2n * shift * s1 + n * shift * shift);
  }

  scaleOf(row: number): number {
    return this.#rows[row * STRIDE + SCALE]!;
  }

  /** The row as a summary; the row stays as it is. */
  summary(row: number): MetricSummary {
    const rows = this.#rows;
    const at = row * STRIDE;
    const fast = rows[at + FAST] === 0 ? EMPTY_SUMS : this.#fastSums(at);
    return {
      n: rows[at + N]!,
      sums: rows[at + SPILLED] === 1 ? addSums(this.#spilled[row]!, fast) : fast,
      min: rows[at + MIN]!,
      max: rows[at + MAX]!,
      first: { timeUs: rows[at + FIRST_TIME]!, value: rows[at + FIRST]! },
      last: { timeUs: rows[at + LAST_TIME]!, value: rows[at + LAST]! },
      sketch: this.#sketches.sketch(row),
    };
  }

  /** A row that goes on from a stored summary. */
  restore(summary: MetricSummary): number {
    const row = this.allocate(Math.min(summary.sums.scale, 15));
    const rows = this.#rows;
    const at = row * STRIDE;
    rows[at + N] = summary.n;
    rows[at + MIN] = summary.min;
    rows[at + MAX] = summary.max;
    rows[at + FIRST_TIME] = summary.first.timeUs;
    rows[at + FIRST] = summary.first.value;
    rows[at + LAST_TIME] = summary.last.timeUs;
    rows[at + LAST] = summary.last.value;
    this.#addSpilled(row, at, summary.sums);
    this.#sketches.load(row, summary.sketch);
    return row;
  }

  #grow(): void {
    const rows = new Float64Array(this.#rows.length * 2);
    rows.set(this.#rows);
    this.#rows = rows;
  }
}
