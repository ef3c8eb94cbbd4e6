/**
 * Exact sums to bits or bytes and back, given n, min and range = max − min as integers at one scale.
 *
 * Of the n values one is min and one is max; the others are told, as s = Σd and q = Σd² over the n − 2 of them, d = x − min.
 * Known bounds make that short: s ≤ (n−2)·range, s²/(n−2) ≤ q ≤ range·s, and q is odd where s is (values-codec chooses the
 * scale so). Where n·range is below 2^25 every term is exact in a double, and s and q are told as numbers below their
 * bounds; else as varints of any length.
 *
 * Promises: what is read keeps those bounds and is canonical.
 */

import type { BitWriter } from './bits.js';
import type { ByteReader, ByteWriter } from './bytes.js';
import { invalid } from './decode-error.js';
import { canonicalSums, type ExactSums } from './exact.js';
import type { SummaryReader, SummaryWriter } from './summary-columns.js';

/** Below it the square of n·range is below 2^50: exact, and so are floor and ceiling of its quotients. */
const DENSE = 2 ** 25;
/** The sum of a few such terms is exact in doubles. */
const SMALL = 2 ** 51;

/** `scale` is not below the scale of the sums. */
export function writeSums(to: SummaryWriter, n: number, sums: ExactSums, scale: number, min: number, range: number) {
  if (n * range >= DENSE) {
    writeLongSums(to.sum, n, sums, scale, BigInt(min), BigInt(range));
    return;
  }
  const sum = Number(sums.sum);
  const sumSq = Number(sums.sumSq);
  const cross = 2 * min * sum;
  const square = n * min * min;
  // Typical sums fit doubles, which take a tenth of the time that bigints would. Then √n·|min| < 2^24.5 + 2^25, from which
  // `cross` and `square` are below 2^52.
  if (scale === sums.scale && sumSq < 2 ** 49) {
    writeDense(to.bits, n, range, sum - n * min - range, sumSq - cross + square - range * range);
  } else {
    const { s, q } = othersOf(n, sums, scale, BigInt(min), BigInt(range));
    writeDense(to.bits, n, range, Number(s), Number(q));
  }
}

export function writeLongSums(
  to: ByteWriter,
  n: number,
  sums: ExactSums,
  scale: number,
  min: bigint,
  range: bigint,
): void {
  const { s, q } = othersOf(n, sums, scale, min, range);
  to.bigVarint(s);
  to.bigVarint(q);
}

export function readSums(from: SummaryReader, n: number, scale: number, min: number, range: number): ExactSums {
  if (n * range >= DENSE) return readLongSums(from.sum, n, scale, BigInt(min), BigInt(range));
  if (n < 2) invalid('two values in a summary of one');
  const s = from.bits.below((n - 2) * range + 1);
  const least = leastSquares(n - 2, s);
  const q = least + 2 * from.bits.below(squaresBound(range, s, least));
  const sum = s + range + n * min;
  const cross = 2 * min * (s + range);
  const square = n * min * min;
  if (square < SMALL && cross < SMALL && cross > -SMALL) {
    const sumSq = q + range * range + cross + square;
    // Canonical already, but for one in some hundred.
    if (scale === 0 || sum % 10 !== 0 || sumSq % 100 !== 0) return { scale, sum: BigInt(sum), sumSq: BigInt(sumSq) };
  }
  return sumsOf(n, BigInt(s), BigInt(q), scale, BigInt(min), BigInt(range));
}

export function readLongSums(from: ByteReader, n: number, scale: number, min: bigint, range: bigint): ExactSums {
  if (n < 2) invalid('two values in a summary of one');
  const s = BigInt(from.integer());
  const q = BigInt(from.integer());
  const others = BigInt(n - 2);
  // These two include s ≤ (n−2)·range.
  if (q > range * s || others * q < s * s) invalid('sums that no values have');
  return sumsOf(n, s, q, scale, min, range);
}

function writeDense(to: BitWriter, n: number, range: number, s: number, q: number): void {
  to.below(s, (n - 2) * range + 1);
  const least = leastSquares(n - 2, s);
  to.below((q - least) / 2, squaresBound(range, s, least));
}

/** The least sum of squares of `others` integers of sum s: spread evenly, and as odd as s. */
function leastSquares(others: number, s: number): number {
  if (others === 0) return 0;
  const least = Math.ceil((s * s) / others);
  return least % 2 === s % 2 ? least : least + 1;
}

/** How many sums of squares there can be from `least` on; at least one, as s spread evenly is one of them. */
function squaresBound(range: number, s: number, least: number): number {
  return Math.floor((range * s - least) / 2) + 1;
}

function othersOf(n: number, sums: ExactSums, scale: number, min: bigint, range: bigint): { s: bigint; q: bigint } {
  const lift = 10n ** BigInt(scale - sums.scale);
  const count = BigInt(n);
  const sum = sums.sum * lift;
  const s = sum - count * min - range;
  const q = sums.sumSq * lift * lift - 2n * min * sum + count * min * min - range * range;
  return { s, q };
}

function sumsOf(n: number, s: bigint, q: bigint, scale: number, min: bigint, range: bigint): ExactSums {
  const sumD = s + range;
  const square = BigInt(n) * min * min;
  return canonicalSums(scale, sumD + BigInt(n) * min, q + range * range + 2n * min * sumD + square);
}
