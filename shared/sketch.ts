/**
 * A signed quantile sketch: integer counts in logarithmic bins. Merging adds counts, so it is exactly associative and
 * commutative, and a quantile is within RELATIVE_ERROR of the true one, whatever the distribution.
 *
 * Bins: |x| = 2^e·(1 + s) falls into bin 35·e + ⌊f(s)⌋ with f(s) = 6s³ − 21s² + 50s: 35 bins an octave, a cubic in place
 * of the logarithm (Masson, Rim, Lee: DDSketch), so plain arithmetic on the bits of the double gives the same bins on every
 * platform. f′(s)·(1 + s) = 50 + 18s·(s − 2/3)² ≥ 50, so no bin is wider than 1/50 in ln x. More in docs/exact-numbers.md.
 *
 * Keys are one integer order over all values: bin i of a positive value is i + 16384, zero is 0, of a negative −(i + 16384).
 * Never: a logarithm, a collapsed bin, a count that is not an integer.
 */

import { powerOfTwo } from './round.js';

export interface Sketch {
  /** Strictly ascending. */
  readonly keys: Int32Array;
  /** Parallel to `keys`; integers from 1 on. */
  readonly counts: Float64Array;
}

/** The stated bound. The true one is tanh(0.01) = 0.0099997. */
export const RELATIVE_ERROR = 0.01;

const BINS_PER_OCTAVE = 35;
const KEY_OFFSET = 16384;
const STEPS = 2 ** 32;
/** Slots worth clearing for each entry to be added, before merging in pairs is cheaper. */
const DENSE_SPAN = 16;

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const HIGH = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0;
const LOW = 1 - HIGH;

/** The key of x; 0, or 1e-120 ≤ |x| ≤ 1e120. */
export function binOf(x: number): number {
  if (x === 0) return 0;
  double[0] = x;
  const high = words[HIGH]!;
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  const step = (high & 0xfffff) * 4096 + (words[LOW]! >>> 20);
  const key = BINS_PER_OCTAVE * exponent + binInOctave(step) + KEY_OFFSET;
  return x < 0 ? -key : key;
}

/**
 * s = step·2^-32. Truncated to 32 bits, one step raises the cubic by 26·2^-32 at least, far above the rounding of these few
 * operations: so the keys are monotone to the last bit, and a bin is wider by 2^-32 at most.
 */
function binInOctave(step: number): number {
  const s = step / STEPS;
  return Math.floor(((6 * s - 21) * s + 50) * s);
}

/** Where the bins of an octave begin, as 1 + s; found with the very function that places values. */
const EDGES: readonly number[] = Array.from({ length: BINS_PER_OCTAVE + 1 }, (_, bin) => {
  let low = 0;
  let high = STEPS;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (binInOctave(middle) >= bin) high = middle;
    else low = middle + 1;
  }
  return 1 + low / STEPS;
});

/** 2lh/(l+h) is off by the same (h−l)/(h+l) at either end of the bin: no other value has a smaller worst case. */
const CENTRES: readonly number[] = EDGES.slice(0, -1).map((low, bin) => {
  const high = EDGES[bin + 1]!;
  return (2 * low * high) / (low + high);
});

/** The value that stands for all values of a bin: the one with the least worst-case relative error. */
export function binValue(key: number): number {
  if (key === 0) return 0;
  const bin = Math.abs(key) - KEY_OFFSET;
  const exponent = Math.floor(bin / BINS_PER_OCTAVE);
  const value = CENTRES[bin - exponent * BINS_PER_OCTAVE]! * powerOfTwo(exponent);
  return key < 0 ? -value : value;
}

export function sketchOf(values: Iterable<number>): Sketch {
  const counts = new Map<number, number>();
  for (const x of values) {
    const key = binOf(x);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const keys = Int32Array.from(counts.keys()).sort();
  return { keys, counts: Float64Array.from(keys, (key) => counts.get(key)!) };
}

export function mergeSketches(a: Sketch, b: Sketch): Sketch {
  const length = unionLength(a.keys, b.keys);
  // Two windows of one sensor mostly fill the same bins: then the keys can be shared, for nobody writes to them.
  const keys = length === a.keys.length ? a.keys : length === b.keys.length ? b.keys : unionOf(a.keys, b.keys, length);
  const counts = new Float64Array(length);
  let i = 0;
  let j = 0;
  for (let at = 0; at < length; at++) {
    const key = keys[at]!;
    let count = 0;
    if (i < a.keys.length && a.keys[i] === key) count += a.counts[i++]!;
    if (j < b.keys.length && b.keys[j] === key) count += b.counts[j++]!;
    counts[at] = count;
  }
  return { keys, counts };
}

function unionLength(a: Int32Array, b: Int32Array): number {
  let length = 0;
  let j = 0;
  for (let i = 0; i < a.length; i++, length++) {
    const key = a[i]!;
    for (; j < b.length && b[j]! < key; j++) length++;
    if (j < b.length && b[j] === key) j++;
  }
  return length + b.length - j;
}

function unionOf(a: Int32Array, b: Int32Array, length: number): Int32Array {
  const keys = new Int32Array(length);
  let i = 0;
  let j = 0;
  for (let at = 0; at < length; at++) {
    const takeA = j >= b.length || (i < a.length && a[i]! <= b[j]!);
    const key = takeA ? a[i]! : b[j]!;
    keys[at] = key;
    if (i < a.length && a[i] === key) i++;
    if (j < b.length && b[j] === key) j++;
  }
  return keys;
}

/** All of them as one; the same as merging in pairs, and many times faster for a day of windows. */
export function mergeAllSketches(sketches: readonly Sketch[]): Sketch {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  let entries = 0;
  for (const { keys } of sketches) {
    if (keys.length === 0) continue;
    entries += keys.length;
    least = Math.min(least, keys[0]!);
    greatest = Math.max(greatest, keys[keys.length - 1]!);
  }
  const span = entries === 0 ? 0 : greatest - least + 1;
  if (sketches.length === 2 || span > DENSE_SPAN * entries) return sketches.reduce(mergeSketches);
  const dense = new Float64Array(span);
  for (const { keys, counts } of sketches) {
    for (let i = 0; i < keys.length; i++) dense[keys[i]! - least]! += counts[i]!;
  }
  return fromDense(dense, least);
}

function fromDense(dense: Float64Array, least: number): Sketch {
  let length = 0;
  for (let i = 0; i < dense.length; i++) if (dense[i] !== 0) length++;
  const keys = new Int32Array(length);
  const counts = new Float64Array(length);
  for (let i = 0, at = 0; i < dense.length; i++) {
    if (dense[i] === 0) continue;
    keys[at] = i + least;
    counts[at++] = dense[i]!;
  }
  return { keys, counts };
}

export function countOf(sketch: Sketch): number {
  let total = 0;
  for (let i = 0; i < sketch.counts.length; i++) total += sketch.counts[i]!;
  return total;
}

/** The value of rank ⌊q·(n−1)⌋, counted from 0, as its bin shows it. */
export function quantileOf(sketch: Sketch, q: number): number {
  const rank = Math.floor(q * (countOf(sketch) - 1));
  let seen = 0;
  for (let i = 0; i < sketch.keys.length; i++) {
    seen += sketch.counts[i]!;
    if (seen > rank) return binValue(sketch.keys[i]!);
  }
  throw new RangeError('a sketch of nothing has no quantiles');
}
