/**
 * For tests only: what the statistics of a list of values are, computed the slow and obvious way from their decimal text
 * with big integers and rounded by the language itself (`Number(text)`). Shares no code with what it checks.
 */

interface Rational {
  readonly top: bigint;
  readonly bottom: bigint;
}

/** No number halfway between two doubles has more digits than 767: what is cut off behind these cannot turn a tie. */
const QUOTIENT_DIGITS = 800;
/** A root is irrational or short; 60 digits tell it from a tie, save for ties that are made on purpose. */
const ROOT_DIGITS = 60;

export interface Expected {
  readonly sum: number;
  readonly mean: number;
  readonly stddev: number | undefined;
}

export function expectedOf(values: readonly number[]): Expected {
  const n = BigInt(values.length);
  const parsed = values.map(parse);
  // All denominators are powers of ten: the product of any two serves, the greatest is smaller.
  const bottom = parsed.map(({ bottom }) => bottom).sort((a, b) => (a < b ? 1 : -1))[0]!;
  const tops = parsed.map((value) => value.top * (bottom / value.bottom));
  const sum = tops.reduce((total, top) => total + top, 0n);
  // Σ(n·x − Σx)² = n²·Σ(x − mean)²: deviations from the mean, not the difference of two sums.
  const squares = tops.reduce((total, top) => total + (n * top - sum) ** 2n, 0n);
  const stddev = n < 2n ? undefined : rootOf({ top: squares, bottom: n * n * (n - 1n) * bottom * bottom });
  return { sum: nearest({ top: sum, bottom }), mean: nearest({ top: sum, bottom: n * bottom }), stddev };
}

/** The decimal that `String` shows, as a rational whose denominator is a power of ten. */
function parse(x: number): Rational {
  const [digits = '', exponent = '0'] = String(x).split('e');
  const [whole = '', fraction = ''] = digits.split('.');
  const power = fraction.length - Number(exponent);
  const top = BigInt(whole + fraction);
  return power < 0 ? { top: top * 10n ** BigInt(-power), bottom: 1n } : { top, bottom: 10n ** BigInt(power) };
}

export function nearest({ top, bottom }: Rational): number {
  if (top < 0n) return -nearest({ top: -top, bottom });
  const shift = QUOTIENT_DIGITS - (String(top).length - String(bottom).length);
  const scaled =
    shift < 0 ? { top, bottom: bottom * 10n ** BigInt(-shift) } : { top: top * 10n ** BigInt(shift), bottom };
  const quotient = scaled.top / scaled.bottom;
  return fromDigits(quotient, quotient * scaled.bottom === scaled.top, shift);
}

export function rootOf({ top, bottom }: Rational): number {
  const half = ROOT_DIGITS - Math.floor((String(top).length - String(bottom).length) / 2);
  const shift = 10n ** BigInt(2 * Math.abs(half));
  const scaled = half < 0 ? { top, bottom: bottom * shift } : { top: top * shift, bottom };
  // By halving, not by Newton: nothing to get subtly wrong.
  let low = 0n;
  let high = 10n ** BigInt(ROOT_DIGITS + 3);
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (middle * middle * scaled.bottom <= scaled.top) low = middle;
    else high = middle;
  }
  return fromDigits(low, low * low * scaled.bottom === scaled.top, half);
}

/** A last digit of 1 stands for all that was cut off, so that no tie is seen where there is none. */
function fromDigits(digits: bigint, exact: boolean, places: number): number {
  return Number(`${digits}${exact ? 0 : 1}e${-places - 1}`);
}
