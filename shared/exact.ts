/**
 * Exact sums. A value *is* the decimal it prints as: the shortest decimal that reads back as the same double
 * (ECMAScript's Number::toString). Σx and Σx² are sums of those decimals, held as integers times a power of ten, so they do
 * not depend on order or on how the values were cut into windows; total, mean and standard deviation are rounded once, at
 * the end, correctly.
 *
 * Promises: nothing here rounds except totalOf, meanOf and stddevOf, and those return the double nearest to the exact
 * result (ties to even). Never: a sum of doubles that could round, a result that depends on the platform.
 */

import { ratioToDouble, sqrtRatioToDouble } from './round.js';

/**
 * Σx = sum·10^-scale and Σx² = sumSq·10^(-2·scale). Canonical: `scale` is the smallest one, from 0 on, for which both are
 * integers. So equal sums are equal objects, however they came about.
 */
export interface ExactSums {
  readonly scale: number;
  readonly sum: bigint;
  readonly sumSq: bigint;
}

/** The value mantissa·10^-scale; `scale` is the smallest from 0 on. */
export interface Decimal {
  readonly mantissa: bigint;
  readonly scale: number;
}

/** The values that count: 0, and anything with 1e-120 ≤ |x| ≤ 1e120. */
export const MAX_MAGNITUDE = 1e120;
export const MIN_MAGNITUDE = 1e-120;

export const EMPTY_SUMS: ExactSums = Object.freeze({ scale: 0, sum: 0n, sumSq: 0n });

/** The powers of ten that a double holds exactly. */
const EXACT_POWERS = [
  1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
  1e21, 1e22,
];
const MAX_EXACT_SCALE = EXACT_POWERS.length - 1;
const MAX_EXACT_MANTISSA = 1e15;
/** Up to here m² added to a sum below 2^52 is still exact in doubles. */
const SMALL_MANTISSA = 2 ** 26;
const FLUSH_AT = 2 ** 52;

export function isCountable(x: number): boolean {
  const magnitude = Math.abs(x);
  return magnitude === 0 || (magnitude >= MIN_MAGNITUDE && magnitude <= MAX_MAGNITUDE);
}

/**
 * The integer m with x = m·10^-scale, where |m| ≤ 1e15 and scale ≤ 22; NaN where there is none.
 *
 * Why m·10^-scale is the shortest decimal of x and not just some decimal near it: m and 10^scale are exact doubles, so the
 * division rounds once and `m / 10^scale === x` says that x is the double nearest to m·10^-scale. That decimal has at most
 * 15 significant digits. Two different decimals of at most 15 digits are never nearest to the same normal double (10^15 <
 * 2^52: their gap is wider than the doubles' there). The shortest decimal of x has no more digits than m, hence at most 15,
 * and x is the double nearest to it too: so they are the same decimal. A wrong Math.round (the product may be off by 1/4 at
 * most) could only yield NaN, never another integer.
 */
export function scaledInteger(x: number, scale: number): number {
  if (scale > MAX_EXACT_SCALE) return Number.NaN;
  const power = EXACT_POWERS[scale]!;
  const m = Math.round(x * power);
  return m / power === x && m <= MAX_EXACT_MANTISSA && m >= -MAX_EXACT_MANTISSA ? m + 0 : Number.NaN;
}

/** The shortest decimal that reads back as x. */
export function decimalOf(x: number): Decimal {
  if (Number.isSafeInteger(x)) return { mantissa: BigInt(x), scale: 0 };
  const match = /^(-?\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(x));
  if (match === null) throw new RangeError(`${x} is not a finite number`);
  const fraction = match[2] ?? '';
  const digits = BigInt(match[1]! + fraction);
  const scale = fraction.length - Number(match[3] ?? 0);
  return scale >= 0 ? { mantissa: digits, scale } : { mantissa: digits * tenTo(-scale), scale: 0 };
}

const tens: bigint[] = [1n];

function tenTo(exponent: number): bigint {
  for (let i = tens.length; i <= exponent; i++) tens.push(tens[i - 1]! * 10n);
  return tens[exponent]!;
}

/** Brings sums at any scale to the canonical one. */
export function canonicalSums(scale: number, sum: bigint, sumSq: bigint): ExactSums {
  while (scale > 0 && sum % 10n === 0n && sumSq % 100n === 0n) {
    scale--;
    sum /= 10n;
    sumSq /= 100n;
  }
  return { scale, sum, sumSq };
}

export function sumsOf(values: Iterable<number>): ExactSums {
  let scale = 0;
  let sum = 0n;
  let sumSq = 0n;
  let smallSum = 0;
  let smallSumSq = 0;
  const flush = () => {
    sum += BigInt(smallSum);
    sumSq += BigInt(smallSumSq);
    smallSum = 0;
    smallSumSq = 0;
  };
  for (const x of values) {
    const m = scaledInteger(x, scale);
    if (m <= SMALL_MANTISSA && m >= -SMALL_MANTISSA) {
      smallSum += m;
      smallSumSq += m * m;
      if (smallSumSq >= FLUSH_AT) flush();
      continue;
    }
    const decimal = decimalOf(x);
    if (decimal.scale > scale) {
      flush();
      sum *= tenTo(decimal.scale - scale);
      sumSq *= tenTo(2 * (decimal.scale - scale));
      scale = decimal.scale;
    }
    const mantissa = decimal.mantissa * tenTo(scale - decimal.scale);
    sum += mantissa;
    sumSq += mantissa * mantissa;
  }
  flush();
  return canonicalSums(scale, sum, sumSq);
}

export function addSums(a: ExactSums, b: ExactSums): ExactSums {
  if (a.scale === b.scale) return canonicalSums(a.scale, a.sum + b.sum, a.sumSq + b.sumSq);
  if (a.scale < b.scale) return addSums(b, a);
  const lift = a.scale - b.scale;
  return canonicalSums(a.scale, a.sum + b.sum * tenTo(lift), a.sumSq + b.sumSq * tenTo(2 * lift));
}

/** Σx, rounded once. */
export function totalOf(sums: ExactSums): number {
  return ratioToDouble(sums.sum, tenTo(sums.scale));
}

/** Σx / n, rounded once. */
export function meanOf(n: number, sums: ExactSums): number {
  return ratioToDouble(sums.sum, BigInt(n) * tenTo(sums.scale));
}

/** The standard deviation of a sample (denominator n − 1), rounded once; undefined where n < 2. */
export function stddevOf(n: number, sums: ExactSums): number | undefined {
  if (n < 2) return undefined;
  const count = BigInt(n);
  const spread = count * sums.sumSq - sums.sum * sums.sum;
  return sqrtRatioToDouble(spread, count * (count - 1n) * tenTo(2 * sums.scale));
}
