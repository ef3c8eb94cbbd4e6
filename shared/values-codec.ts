/**
 * min, max, first, last and the sums of a summary to bytes and back, bit-equal. Three kinds: integers at a scale (short
 * decimals: almost every sensor), binary32 (decimals that a float was widened to), binary64 (the rest).
 *
 * Σ(x−min) and Σ(x−min)² take the place of Σx and Σx²: small, and easy to check. Where every term fits a double exactly they
 * are worked out in doubles, else in bigints; both give the same.
 *
 * Promises: what is read could have been observed: min ≤ first, last ≤ max, and sums that some values between min and max
 * have. Never: NaN, −0, a value that does not count, sums that are not canonical.
 */

import { type ByteReader, type ByteWriter, corrupt, invalid } from './bytes.js';
import { canonicalSums, decimalOf, type ExactSums, isCountable, scaledInteger } from './exact.js';
import type { MetricSummary } from './summary.js';
import type { RowContext, SummaryColumns } from './summary-codec.js';

/** Kinds of values: 0 to 22 are integers at that scale. */
const MAX_INTEGER_SCALE = 22;
const FLOAT32 = 30;
const FLOAT64 = 31;

const MAX_MANTISSA = 1e15;
/** 17 digits from 1e-120 on. */
const MAX_SCALE = 160;
/** Sums of three such terms are exact in doubles. */
const SMALL = 2 ** 51;

const POWERS = Float64Array.from({ length: MAX_INTEGER_SCALE + 1 }, (_, scale) => Number(`1e${scale}`));

/** How the values of this summary are told. */
export function kindOf(summary: MetricSummary): number {
  const scale = commonScale(summary);
  if (scale >= 0) return scale;
  return fitsFloat32(summary) ? FLOAT32 : FLOAT64;
}

export function writeValues(to: SummaryColumns<ByteWriter>, summary: MetricSummary, kind: number, context: RowContext) {
  if (kind <= MAX_INTEGER_SCALE) writeIntegers(to, summary, kind, context);
  else writeFloats(to, summary, kind, context);
}

export function readValues(from: SummaryColumns<ByteReader>, kind: number, context: RowContext): Values {
  return kind <= MAX_INTEGER_SCALE ? readIntegers(from, kind, context) : readFloats(from, kind, context);
}

export interface Values {
  readonly min: number;
  readonly max: number;
  readonly first: number;
  readonly last: number;
  readonly sums: ExactSums;
}

/**
 * The least scale at which sums, min, max, first and last are all integers, the values of at most 15 digits; −1 where there
 * is none. The sums alone do not tell it: a hundred times 0.1 is 10, its square sum is 1, and both are integers.
 */
function commonScale(summary: MetricSummary): number {
  const { sums, min, max, first, last } = summary;
  const largest = Math.max(-min, max);
  for (let scale = sums.scale; scale <= MAX_INTEGER_SCALE; scale++) {
    // A comparison with NaN is false.
    const all =
      scaledInteger(min, scale) +
      scaledInteger(max, scale) +
      scaledInteger(first.value, scale) +
      scaledInteger(last.value, scale);
    if (!Number.isNaN(all)) return scale;
    if (largest * POWERS[scale]! > MAX_MANTISSA) return -1;
  }
  return -1;
}

function fitsFloat32({ min, max, first, last }: MetricSummary): boolean {
  return (
    Math.fround(min) === min &&
    Math.fround(max) === max &&
    Math.fround(first.value) === first.value &&
    Math.fround(last.value) === last.value
  );
}

function writeIntegers(
  to: SummaryColumns<ByteWriter>,
  summary: MetricSummary,
  scale: number,
  context: RowContext,
): void {
  const { n, sums } = summary;
  const min = scaledInteger(summary.min, scale);
  to.min.zigzag(scale === context.scale ? min - context.min : min);
  context.scale = scale;
  context.min = min;
  const range = scaledInteger(summary.max, scale) - min;
  to.max.varint(range);
  if (range === 0) return;
  to.first.varint(scaledInteger(summary.first.value, scale) - min);
  to.last.varint(scaledInteger(summary.last.value, scale) - min);
  const sum = Number(sums.sum);
  const sumSq = Number(sums.sumSq);
  const cross = 2 * min * sum;
  const square = n * min * min;
  if (scale === sums.scale && sumSq < SMALL && square < SMALL && cross < SMALL && cross > -SMALL) {
    to.sum.varint(sum - n * min);
    to.sumSq.varint(sumSq - cross + square);
  } else {
    writeShiftedSums(to, n, sums, scale, BigInt(min));
  }
}

/** Σ(x−min) and Σ(x−min)² at `scale`, which is not below the scale of the sums. */
function writeShiftedSums(
  to: SummaryColumns<ByteWriter>,
  n: number,
  sums: ExactSums,
  scale: number,
  min: bigint,
): void {
  const lift = 10n ** BigInt(scale - sums.scale);
  const count = BigInt(n);
  const sum = sums.sum * lift;
  to.sum.bigVarint(sum - count * min);
  to.sumSq.bigVarint(sums.sumSq * lift * lift - 2n * min * sum + count * min * min);
}

function readIntegers(from: SummaryColumns<ByteReader>, scale: number, context: RowContext): Values {
  const { n } = context;
  const least = from.min.zigzag() + (scale === context.scale ? context.min : 0);
  const range = from.max.varint();
  if (Math.abs(least) > MAX_MANTISSA || least + range > MAX_MANTISSA) corrupt('an integer over 10^15');
  context.scale = scale;
  context.min = least;
  const power = POWERS[scale]!;
  const min = least / power;
  if (range === 0) return { min, max: min, first: min, last: min, sums: constantSums(n, scale, least) };
  const first = from.first.varint();
  const last = from.last.varint();
  if (first > range || last > range) invalid('first or last over max');
  const sums = unshift(n, scale, least, range, from.sum.integer(), from.sumSq.integer());
  return { min, max: (least + range) / power, first: (least + first) / power, last: (least + last) / power, sums };
}

function constantSums(n: number, scale: number, value: number): ExactSums {
  const sum = n * value;
  const sumSq = sum * value;
  if (sumSq < SMALL) return exactSums(scale, sum, sumSq);
  return canonicalSums(scale, BigInt(n) * BigInt(value), BigInt(n) * BigInt(value) * BigInt(value));
}

function exactSums(scale: number, sum: number, sumSq: number): ExactSums {
  if (scale > 0 && sum % 10 === 0 && sumSq % 100 === 0) return canonicalSums(scale, BigInt(sum), BigInt(sumSq));
  return { scale, sum: BigInt(sum), sumSq: BigInt(sumSq) };
}

/**
 * Back from sums of d = x − min. Checks that some values could have them: among n values with 0 ≤ d ≤ range one is 0 and one
 * is range. In doubles where no term can round: typical sums take a tenth of the time that bigints would.
 */
function unshift(
  n: number,
  scale: number,
  min: number,
  range: number,
  sumD: number | bigint,
  sumSqD: number | bigint,
): ExactSums {
  const bound = Math.abs(min) + range;
  if (typeof sumD === 'number' && typeof sumSqD === 'number' && n * n * bound * bound < SMALL) {
    if (!(n > 1 && sumD >= range && sumD <= (n - 1) * range)) invalid('a sum that no values have');
    if (!(sumSqD >= range * range && sumSqD <= sumD * range && n * sumSqD >= sumD * sumD)) {
      invalid('a sum of squares that no values have');
    }
    return exactSums(scale, sumD + n * min, sumSqD + 2 * min * sumD + n * min * min);
  }
  return unshiftBig(n, scale, BigInt(min), BigInt(range), BigInt(sumD), BigInt(sumSqD));
}

function unshiftBig(n: number, scale: number, min: bigint, range: bigint, sumD: bigint, sumSqD: bigint): ExactSums {
  const count = BigInt(n);
  if (!(n > 1 && sumD >= range && sumD <= (count - 1n) * range)) invalid('a sum that no values have');
  if (!(sumSqD >= range * range && sumSqD <= sumD * range && count * sumSqD >= sumD * sumD)) {
    invalid('a sum of squares that no values have');
  }
  return canonicalSums(scale, sumD + count * min, sumSqD + 2n * min * sumD + count * min * min);
}

function writeFloats(to: SummaryColumns<ByteWriter>, summary: MetricSummary, kind: number, context: RowContext): void {
  const { n, sums } = summary;
  context.scale = -1;
  writeFloat(to.min, kind, summary.min);
  writeFloat(to.max, kind, summary.max);
  if (summary.min === summary.max) return;
  writeFloat(to.first, kind, summary.first.value);
  writeFloat(to.last, kind, summary.last.value);
  const min = decimalOf(summary.min);
  const scale = Math.max(sums.scale, min.scale);
  to.sum.varint(scale);
  writeShiftedSums(to, n, sums, scale, min.mantissa * 10n ** BigInt(scale - min.scale));
}

function readFloats(from: SummaryColumns<ByteReader>, kind: number, context: RowContext): Values {
  if (kind !== FLOAT32 && kind !== FLOAT64) corrupt('an unknown kind of values');
  const { n } = context;
  context.scale = -1;
  const min = readFloat(from.min, kind);
  const max = readFloat(from.max, kind);
  const least = decimalOf(min);
  if (min === max) {
    const sum = BigInt(n) * least.mantissa;
    return { min, max, first: min, last: min, sums: canonicalSums(least.scale, sum, sum * least.mantissa) };
  }
  const first = readFloat(from.first, kind);
  const last = readFloat(from.last, kind);
  if (!(min < max && first >= min && first <= max && last >= min && last <= max)) invalid('first or last out of range');
  const scale = from.sum.varint();
  if (scale < least.scale || scale > MAX_SCALE) corrupt('a scale out of range');
  const greatest = decimalOf(max);
  const common = Math.max(scale, greatest.scale);
  const lift = 10n ** BigInt(common - scale);
  const low = least.mantissa * 10n ** BigInt(common - least.scale);
  const range = greatest.mantissa * 10n ** BigInt(common - greatest.scale) - low;
  const sumD = BigInt(from.sum.integer()) * lift;
  const sumSqD = BigInt(from.sumSq.integer()) * lift * lift;
  return { min, max, first, last, sums: unshiftBig(n, common, low, range, sumD, sumSqD) };
}

function writeFloat(to: ByteWriter, kind: number, value: number): void {
  // + 0 makes −0 the 0 that it counts as.
  if (kind === FLOAT32) to.float32(value + 0);
  else to.float64(value + 0);
}

function readFloat(from: ByteReader, kind: number): number {
  const value = kind === FLOAT32 ? from.float32() : from.float64();
  if (!isCountable(value) || Object.is(value, -0)) invalid('a value out of range');
  return value;
}
