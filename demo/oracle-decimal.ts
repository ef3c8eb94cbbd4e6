/**
 * Arithmetic of the oracle: decimals as their digits say, without error, and one rounding at the end, done by JavaScript's
 * own reading of a long decimal text. Shares no code with what it judges.
 */

/** digits · 10^-scale */
export interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
}

/** More digits than any two neighbouring doubles need to be told apart, but for an exact tie: see `numberOf`. */
const DIGITS = 60;

export function parseDecimal(text: string): Decimal {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) throw new Error(`not a number: ${text}`);
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = BigInt(sign + whole + fraction);
  const scale = fraction.length - Number(exponent);
  return scale >= 0 ? { digits, scale } : { digits: digits * tenTo(-scale), scale: 0 };
}

/** The digits at a scale that is at least the decimal's own. */
export function digitsAt(decimal: Decimal, scale: number): bigint {
  return decimal.digits * tenTo(scale - decimal.scale);
}

export function tenTo(power: number): bigint {
  return 10n ** BigInt(power);
}

/** numerator / denominator · 10^-scale as the nearest double. The denominator is above 0. */
export function quotient(numerator: bigint, denominator: bigint, scale: number): number {
  if (numerator < 0n) return -quotient(-numerator, denominator, scale);
  const places = Math.max(0, DIGITS - lengthOf(numerator) + lengthOf(denominator));
  const scaled = numerator * tenTo(places);
  const whole = scaled / denominator;
  return numberOf(whole, scaled % denominator !== 0n, scale + places);
}

/** √(numerator / denominator) · 10^-scale as the nearest double. */
export function squareRoot(numerator: bigint, denominator: bigint, scale: number): number {
  const places = DIGITS + Math.max(0, lengthOf(denominator) - lengthOf(numerator));
  const scaled = numerator * tenTo(2 * places);
  const whole = scaled / denominator;
  const root = integerRoot(whole);
  return numberOf(root, root * root !== whole || scaled % denominator !== 0n, scale + places);
}

/** A digit more stands for all that was cut off, so that a number just above a tie is not taken for one. */
function numberOf(digits: bigint, isCut: boolean, scale: number): number {
  return Number(`${digits}${isCut ? '1' : '0'}e${-scale - 1}`);
}

/** The largest integer whose square is not above the value (Newton). */
function integerRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = tenTo(Math.ceil(lengthOf(value) / 2));
  for (;;) {
    const next = (root + value / root) / 2n;
    if (next >= root) return root;
    root = next;
  }
}

function lengthOf(value: bigint): number {
  return value.toString().length;
}
