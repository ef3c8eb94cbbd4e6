/**
 * min, max, first, last and the sums of a summary to bits or bytes and back, bit-equal. Three kinds: integers at a scale
 * (short decimals: almost every sensor), binary32 (decimals that a float was widened to), binary64 (the rest).
 *
 * Integers are told relative to what is known: min and range to those of the same metric in the row before, first and last
 * as numbers up to range.
 *
 * Promises: what is read has min ≤ first, last ≤ max, and sums as sums-codec promises. Never: NaN, −0, a value that does not
 * count.
 */

import { bitLength, golombLength } from './bits.js';
import type { ByteReader, ByteWriter } from './bytes.js';
import { corrupt, invalid } from './decode-error.js';
import { canonicalSums, type Decimal, decimalOf, type ExactSums, isCountable, scaledInteger } from './exact.js';
import type { MetricSummary } from './summary.js';
import type { MetricMemory, SummaryReader, SummaryWriter } from './summary-columns.js';
import { readLongSums, readSums, writeLongSums, writeSums } from './sums-codec.js';

/** Kinds of values: 0 to 22 are integers at that scale. */
const MAX_INTEGER_SCALE = 22;
const FLOAT32 = 30;
const FLOAT64 = 31;

const MAX_MANTISSA = 1e15;
/** 17 digits from 1e-120 on. */
const MAX_SCALE = 160;

/** What is expected where nothing is remembered: minima of some hundred, ranges of some ten. */
const MIN_ORDER = 10;
const RANGE_ORDER = 5;
const FIRST_STEP = 512;

const POWERS = Float64Array.from({ length: MAX_INTEGER_SCALE + 1 }, (_, scale) => Number(`1e${scale}`));

export interface Values {
  readonly min: number;
  readonly max: number;
  readonly first: number;
  readonly last: number;
  readonly sums: ExactSums;
}

/** How the values of this summary are told. */
export function kindOf(summary: MetricSummary): number {
  const scale = commonScale(summary);
  if (scale >= 0) return scale;
  return fitsFloat32(summary) ? FLOAT32 : FLOAT64;
}

/**
 * The least scale at which sums, min, max, first and last are integers, the values of at most 15 digits, and Σx² is odd
 * where Σx is; −1 where there is none.
 *
 * The sums alone do not tell it. A hundred times 0.1 is 10, its square sum is 1: both are integers at scale 0, but no sums of
 * integers, as those are odd together. At the next scale they are even together, whatever the values were.
 */
function commonScale({ sums, min, max, first, last }: MetricSummary): number {
  const largest = Math.max(-min, max);
  for (
    let scale = isOdd(sums.sum) === isOdd(sums.sumSq) ? sums.scale : sums.scale + 1;
    scale <= MAX_INTEGER_SCALE;
    scale++
  ) {
    // A sum with NaN is NaN.
    const all = scaledInteger(min, scale) + scaledInteger(max, scale);
    const both = scaledInteger(first.value, scale) + scaledInteger(last.value, scale);
    if (!Number.isNaN(all + both)) return scale;
    if (largest * POWERS[scale]! > MAX_MANTISSA) return -1;
  }
  return -1;
}

function isOdd(value: bigint): boolean {
  return (value & 1n) === 1n;
}

function fitsFloat32({ min, max, first, last }: MetricSummary): boolean {
  return [min, max, first.value, last.value].every((value) => Math.fround(value) === value);
}

export function writeValues(
  to: SummaryWriter,
  summary: MetricSummary,
  kind: number,
  relative: boolean,
  memory: MetricMemory,
): void {
  if (kind <= MAX_INTEGER_SCALE) writeIntegers(to, summary, kind, relative, memory);
  else writeFloats(to, summary, kind, memory);
}

export function readValues(
  from: SummaryReader,
  kind: number,
  relative: boolean,
  n: number,
  memory: MetricMemory,
): Values {
  if (kind <= MAX_INTEGER_SCALE) return readIntegers(from, kind, relative, n, memory);
  if (relative) corrupt('relative to nothing');
  return readFloats(from, kind, n, memory);
}

function writeIntegers(
  to: SummaryWriter,
  summary: MetricSummary,
  scale: number,
  relative: boolean,
  memory: MetricMemory,
): void {
  const { bits } = to;
  const min = scaledInteger(summary.min, scale);
  const range = scaledInteger(summary.max, scale) - min;
  if (relative) {
    bits.golomb(zigzag(min - memory.min), stepOrder(memory));
    bits.golomb(zigzag(range - memory.range), rangeOrder(memory));
  } else {
    bits.golomb(zigzag(min), MIN_ORDER);
    bits.golomb(range, RANGE_ORDER);
  }
  remember(memory, scale, min, range);
  if (range === 0) return;
  bits.below(scaledInteger(summary.first.value, scale) - min, range + 1);
  bits.below(scaledInteger(summary.last.value, scale) - min, range + 1);
  writeSums(to, summary.n, summary.sums, scale, min, range);
}

function readIntegers(from: SummaryReader, scale: number, relative: boolean, n: number, memory: MetricMemory): Values {
  const { bits } = from;
  if (relative && memory.scale !== scale) corrupt('relative to nothing');
  const min = relative ? memory.min + unzigzag(bits.golomb(stepOrder(memory))) : unzigzag(bits.golomb(MIN_ORDER));
  const range = relative ? memory.range + unzigzag(bits.golomb(rangeOrder(memory))) : bits.golomb(RANGE_ORDER);
  if (Math.abs(min) > MAX_MANTISSA || range < 0 || min + range > MAX_MANTISSA) invalid('an integer out of range');
  remember(memory, scale, min, range);
  const power = POWERS[scale]!;
  const least = min / power;
  if (range === 0) return constant(n, least, { mantissa: BigInt(min), scale });
  const first = bits.below(range + 1);
  const last = bits.below(range + 1);
  const sums = readSums(from, n, scale, min, range);
  const max = (min + range) / power;
  return { min: least, max, first: (min + first) / power, last: (min + last) / power, sums };
}

/** Whether the row before of the same metric makes this one shorter. */
export function isRelative(summary: MetricSummary, kind: number, memory: MetricMemory): boolean {
  if (memory.scale !== kind) return false;
  const min = scaledInteger(summary.min, kind);
  const range = scaledInteger(summary.max, kind) - min;
  const relative =
    golombLength(zigzag(min - memory.min), stepOrder(memory)) +
    golombLength(zigzag(range - memory.range), rangeOrder(memory));
  return relative < golombLength(zigzag(min), MIN_ORDER) + golombLength(range, RANGE_ORDER);
}

function remember(memory: MetricMemory, scale: number, min: number, range: number): void {
  if (memory.scale === scale) memory.step += Math.floor((zigzag(min - memory.min) - memory.step) / 4);
  else memory.step = FIRST_STEP;
  memory.scale = scale;
  memory.min = min;
  memory.range = range;
}

function stepOrder(memory: MetricMemory): number {
  return Math.max(0, bitLength(memory.step) - 1);
}

function rangeOrder(memory: MetricMemory): number {
  return Math.max(0, bitLength(memory.range) - 2);
}

/** n times the same value. */
function constant(n: number, value: number, { mantissa, scale }: Decimal): Values {
  const sum = BigInt(n) * mantissa;
  return { min: value, max: value, first: value, last: value, sums: canonicalSums(scale, sum, sum * mantissa) };
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function writeFloats(to: SummaryWriter, summary: MetricSummary, kind: number, memory: MetricMemory): void {
  memory.scale = -1;
  writeFloat(to.float, kind, summary.min);
  writeFloat(to.float, kind, summary.max);
  if (summary.min === summary.max) return;
  writeFloat(to.float, kind, summary.first.value);
  writeFloat(to.float, kind, summary.last.value);
  const { n, sums } = summary;
  const least = decimalOf(summary.min);
  const greatest = decimalOf(summary.max);
  const scale = Math.max(sums.scale, least.scale, greatest.scale);
  const min = mantissaAt(least, scale);
  to.sum.varint(scale);
  writeLongSums(to.sum, n, sums, scale, min, mantissaAt(greatest, scale) - min);
}

function readFloats(from: SummaryReader, kind: number, n: number, memory: MetricMemory): Values {
  if (kind !== FLOAT32 && kind !== FLOAT64) corrupt('an unknown kind of values');
  memory.scale = -1;
  const min = readFloat(from.float, kind);
  const max = readFloat(from.float, kind);
  const least = decimalOf(min);
  if (min === max) return constant(n, min, least);
  const first = readFloat(from.float, kind);
  const last = readFloat(from.float, kind);
  if (!(min < max && first >= min && first <= max && last >= min && last <= max)) invalid('first or last out of range');
  const greatest = decimalOf(max);
  const scale = from.sum.varint();
  if (scale < least.scale || scale < greatest.scale || scale > MAX_SCALE) invalid('a scale out of range');
  const low = mantissaAt(least, scale);
  return { min, max, first, last, sums: readLongSums(from.sum, n, scale, low, mantissaAt(greatest, scale) - low) };
}

function mantissaAt(decimal: Decimal, scale: number): bigint {
  return decimal.mantissa * 10n ** BigInt(scale - decimal.scale);
}

function writeFloat(to: ByteWriter, kind: number, value: number): void {
  // + 0 makes −0 the 0 that it counts as.
  if (kind === FLOAT32) to.float32(value + 0);
  else to.float64(value + 0);
}

function readFloat(from: ByteReader, kind: number): number {
  const value = kind === FLOAT32 ? from.float32() : from.float64();
  if (!isCountable(value) || Object.is(value, -0)) invalid('a value that does not count');
  return value;
}
