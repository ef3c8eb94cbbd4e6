/**
 * Correct rounding: the double nearest to an exact rational, or to its square root, ties to even, subnormals included.
 *
 * Promises: one rounding, at the end; the same bits on every platform (integers and powers of two only).
 */

/** Enough bits that what is below them is only a matter of zero or not: 53, one to round by, and some to spare. */
const GUARDED_BITS = 60;
const MANTISSA_BITS = 53;
const LEAST_EXPONENT = -1074;
const GREATEST_EXPONENT = 971;

/** numerator / denominator; the denominator is positive. */
export function ratioToDouble(numerator: bigint, denominator: bigint): number {
  if (numerator === 0n) return 0;
  const negative = numerator < 0n;
  const top = negative ? -numerator : numerator;
  const shift = GUARDED_BITS - (roughBits(top) - roughBits(denominator));
  const scaledTop = shift > 0 ? top << BigInt(shift) : top;
  const scaledBottom = shift < 0 ? denominator << BigInt(-shift) : denominator;
  const quotient = scaledTop / scaledBottom;
  const rounded = roundBits(quotient, quotient * scaledBottom !== scaledTop, -shift);
  return negative ? -rounded : rounded;
}

/** √(numerator / denominator); the numerator is not negative, the denominator positive. */
export function sqrtRatioToDouble(numerator: bigint, denominator: bigint): number {
  if (numerator === 0n) return 0;
  const shift = GUARDED_BITS - ((roughBits(numerator) - roughBits(denominator)) >> 1);
  const top = shift > 0 ? numerator << BigInt(2 * shift) : numerator;
  const bottom = shift < 0 ? denominator << BigInt(-2 * shift) : denominator;
  const root = integerSqrt(top / bottom);
  return roundBits(root, root * root * bottom !== top, -shift);
}

/** ⌊√x⌋, by Newton from above: falling until it is the floor. x is finite as a double (here below 2^130). */
function integerSqrt(x: bigint): bigint {
  let root = BigInt(Math.ceil(Math.sqrt(Number(x)) * (1 + 2 ** -50))) + 1n;
  for (;;) {
    const next = (root + x / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** (bits + something in (0, 1) if `sticky`)·2^exponent, to the nearest double. */
function roundBits(bits: bigint, sticky: boolean, exponent: number): number {
  const drop = Math.max(bits.toString(2).length - MANTISSA_BITS, LEAST_EXPONENT - exponent);
  const half = 1n << BigInt(drop - 1);
  let mantissa = bits >> BigInt(drop);
  const rest = bits - (mantissa << BigInt(drop));
  if (rest > half || (rest === half && (sticky || (mantissa & 1n) === 1n))) mantissa++;
  const power = exponent + drop;
  return power > GREATEST_EXPONENT ? Number.POSITIVE_INFINITY : Number(mantissa) * powerOfTwo(power);
}

function roughBits(x: bigint): number {
  return x.toString(16).length * 4;
}

const view = new DataView(new ArrayBuffer(8));

/** 2^exponent for −1074 … 1023. Not Math.pow: the language lets that approximate. */
export function powerOfTwo(exponent: number): number {
  if (exponent < -1022) return powerOfTwo(exponent + 60) * 2 ** -60;
  view.setUint32(0, (exponent + 1023) << 20);
  view.setUint32(4, 0);
  return view.getFloat64(0);
}
