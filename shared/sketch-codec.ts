/**
 * A sketch to bits and back, given n, min and max of the same summary. The bins of min and max are its first and last, so
 * they are not told, and the last count is what is missing to n. In between: the count of every key, and behind a 0 how
 * many more keys have none.
 *
 * Promises: what is read has strictly ascending keys, counts from 1 on, and a total of n. Never: room for more bins than
 * bits were there to tell them.
 */

import { type BitReader, type BitWriter, bitLength } from './bits.js';
import { invalid } from './decode-error.js';
import { binOf, type Sketch } from './sketch.js';
import type { MetricSummary } from './summary.js';

/** The order of the code for the next count: as if what is left were spread evenly. */
function orderOf(rest: number, keysLeft: number): number {
  const length = bitLength(Math.floor(rest / keysLeft));
  return length === 0 ? 0 : length - 1;
}

export function writeSketch(to: BitWriter, { n, min, max, sketch }: MetricSummary): void {
  const { keys, counts } = sketch;
  const last = keys.length - 1;
  const lastKey = keys[last]!;
  if (keys[0] !== binOf(min) || lastKey !== binOf(max)) throw new RangeError('a sketch of other values');
  let rest = n;
  let key = keys[0]!;
  for (let i = 0; i < last; i++) {
    const empty = keys[i]! - key;
    if (empty > 0) {
      to.golomb(0, orderOf(rest, lastKey - key + 1));
      to.golomb(empty - 1, 0);
      key += empty;
    }
    to.golomb(counts[i]!, orderOf(rest, lastKey - key + 1));
    rest -= counts[i]!;
    key++;
  }
  if (key < lastKey) {
    to.golomb(0, orderOf(rest, lastKey - key + 1));
    to.golomb(lastKey - key - 1, 0);
  }
  if (rest !== counts[last]) throw new RangeError('a sketch that does not count n');
}

/** Where bins gather before their number is known. Never kept: the sketch gets copies. */
let keysRead = new Int32Array(64);
let countsRead = new Float64Array(64);

export function readSketch(from: BitReader, n: number, min: number, max: number): Sketch {
  const firstKey = binOf(min);
  const lastKey = binOf(max);
  let rest = n;
  let length = 0;
  // Not at all where min and max share a bin.
  for (let key = firstKey; key < lastKey; key++) {
    const count = from.golomb(orderOf(rest, lastKey - key + 1));
    if (count === 0) {
      key += from.golomb(0);
      if (length === 0 || key >= lastKey) invalid('a sketch of other values');
      continue;
    }
    if (length + 1 === keysRead.length) makeRoom();
    keysRead[length] = key;
    countsRead[length++] = count;
    rest -= count;
    if (rest < 1) invalid('a sketch that counts more than n');
  }
  keysRead[length] = lastKey;
  countsRead[length++] = rest;
  return copy(length);
}

const POOL_BYTES = 8192;
const BIN_BYTES = Float64Array.BYTES_PER_ELEMENT + Int32Array.BYTES_PER_ELEMENT;
let pool = new ArrayBuffer(POOL_BYTES);
let pooled = 0;

/**
 * Sketches share small buffers, as Buffer.from does: a buffer of its own for every array would take most of the time of
 * reading a batch.
 */
function copy(length: number): Sketch {
  const bytes = Math.ceil((length * BIN_BYTES) / 8) * 8;
  if (bytes > POOL_BYTES / 8) return { keys: keysRead.slice(0, length), counts: countsRead.slice(0, length) };
  if (pooled + bytes > POOL_BYTES) {
    pool = new ArrayBuffer(POOL_BYTES);
    pooled = 0;
  }
  const counts = new Float64Array(pool, pooled, length);
  const keys = new Int32Array(pool, pooled + counts.byteLength, length);
  pooled += bytes;
  for (let i = 0; i < length; i++) {
    counts[i] = countsRead[i]!;
    keys[i] = keysRead[i]!;
  }
  return { keys, counts };
}

function makeRoom(): void {
  const keys = new Int32Array(2 * keysRead.length);
  const counts = new Float64Array(keys.length);
  keys.set(keysRead);
  counts.set(countsRead);
  keysRead = keys;
  countsRead = counts;
}
