/**
 * A sketch to bytes and back, given n, min and max of the same summary. The bins of min and max are its first and last, so
 * they are not told, and the last count is what is missing to n. In between: where bins are close, one count for every key
 * (0 for an empty bin); where they are sparse, key distances and counts.
 *
 * Promises: what is read has strictly ascending keys, counts from 1 on, and a total of n. Never: room for more bins than
 * bytes were there to tell them.
 */

import { type ByteReader, type ByteWriter, invalid } from './bytes.js';
import { binOf, type Sketch } from './sketch.js';
import type { MetricSummary } from './summary.js';

/** Whether one count a key is shorter. */
export function usesSpan({ keys }: Sketch): boolean {
  return keys[keys.length - 1]! - keys[0]! < 2 * keys.length;
}

export function writeBins(gap: ByteWriter, count: ByteWriter, summary: MetricSummary, span: boolean): void {
  const { keys, counts } = summary.sketch;
  const last = keys.length - 1;
  if (keys[0] !== binOf(summary.min) || keys[last] !== binOf(summary.max)) {
    throw new RangeError('a sketch of other values');
  }
  if (last === 0) return;
  if (span) {
    let key = keys[0]!;
    for (let i = 0; i < last; i++) {
      while (key < keys[i]!) {
        count.varint(0);
        key++;
      }
      count.varint(counts[i]!);
      key++;
    }
    while (key++ < keys[last]!) count.varint(0);
    return;
  }
  gap.varint(last - 1);
  for (let i = 0; i < last; i++) {
    if (i > 0) gap.varint(keys[i]! - keys[i - 1]! - 1);
    count.varint(counts[i]! - 1);
  }
}

/** Where bins gather before their number is known. Never kept: the sketch gets copies. */
let keysRead = new Int32Array(256);
let countsRead = new Float64Array(256);

export function readBins(
  gap: ByteReader,
  count: ByteReader,
  n: number,
  min: number,
  max: number,
  span: boolean,
): Sketch {
  const firstKey = binOf(min);
  const lastKey = binOf(max);
  if (firstKey === lastKey) return { keys: Int32Array.of(firstKey), counts: Float64Array.of(n) };
  const length = span ? readSpan(count, firstKey, lastKey) : readGaps(gap, count, firstKey, lastKey);
  let rest = n;
  for (let i = 0; i < length; i++) rest -= countsRead[i]!;
  if (!(rest >= 1)) invalid('a sketch that counts more than n');
  keysRead[length] = lastKey;
  countsRead[length] = rest;
  return { keys: keysRead.slice(0, length + 1), counts: countsRead.slice(0, length + 1) };
}

function readSpan(count: ByteReader, firstKey: number, lastKey: number): number {
  reserve(Math.min(lastKey - firstKey, count.remaining) + 1);
  let length = 0;
  for (let key = firstKey; key < lastKey; key++) {
    const counted = count.varint();
    if (counted > 0) {
      keysRead[length] = key;
      countsRead[length++] = counted;
    } else if (key === firstKey) invalid('a sketch without its least value');
  }
  return length;
}

function readGaps(gap: ByteReader, count: ByteReader, firstKey: number, lastKey: number): number {
  const length = gap.varint() + 1;
  reserve(Math.min(length, count.remaining) + 1);
  let key = firstKey;
  for (let i = 0; i < length; i++) {
    if (i > 0) key += gap.varint() + 1;
    if (key >= lastKey) invalid('sketch keys out of range');
    keysRead[i] = key;
    countsRead[i] = count.varint() + 1;
  }
  return length;
}

function reserve(length: number): void {
  if (length <= keysRead.length) return;
  keysRead = new Int32Array(2 * length);
  countsRead = new Float64Array(2 * length);
}
