/**
 * Ascending integers as few bytes: times of readings in µs, numbers of records.
 *
 * count·2 + packed | first (span) | unit (span): the greatest common divisor of all differences | the differences, each
 * as d = difference / unit − 1, in the shorter of two ways:
 * - runs: d·2 + (is repeated), and then how often (0: to the end). A regular sensor is one run, whatever its period.
 * - packed: a centre, an order, the number of bytes, and in bits the exponential Golomb code of each d from the centre,
 *   zigzag. A sensor that wavers by ±20 ms around its period takes less than a byte a reading.
 * A count of 1 ends behind the first, a count of 2 behind the unit. Integers are below 2^51.
 *
 * Promises: reading is total (the integers, or a DecodeError), and takes no more memory than `atMost` integers do.
 */
import { BitReader, BitWriter, bitLength } from '../../shared/bits.js';
import { type ByteReader, ByteWriter } from '../../shared/bytes.js';
import { corrupt, invalid } from '../../shared/decode-error.js';
import { MAX_SPAN, readSpan, writeSpan } from '../../shared/span-codec.js';
import { greatestCommonDivisor } from '../common-divisor.js';
import { SortedIntegers } from './seen-integers.js';

const MAX_ORDER = 52;
/** What is told in fewer bytes is not worth trying in two ways. */
const SHORT_BYTES = 8;

/** Kept for their room. */
const runs = new ByteWriter(1024);
const packed = new ByteWriter(1024);
const bits = new BitWriter(1024);

export function writeIntegers(to: ByteWriter, integers: SortedIntegers): void {
  const values = [...integers];
  const differences = values.slice(1).map((value, i) => value - values[i]!);
  const unit = differences.reduce(greatestCommonDivisor, 0);
  const ds = differences.map((difference) => difference / unit - 1);
  writeRuns(ds);
  let isPacked = false;
  if (runs.length > SHORT_BYTES) {
    writePacked(ds);
    isPacked = packed.length < runs.length;
  }
  to.varint(values.length * 2 + (isPacked ? 1 : 0));
  writeSpan(to, values[0]!);
  if (values.length > 1) writeSpan(to, unit);
  if (values.length > 2) to.raw((isPacked ? packed : runs).bytes());
}

export function readIntegers(from: ByteReader, atMost: number): SortedIntegers {
  const head = from.varint();
  const count = Math.floor(head / 2);
  if (count < 1 || count > atMost) invalid('more readings remembered than there are');
  let value = readSpan(from);
  if (value > MAX_SPAN) invalid('a number over 2^51');
  const integers = new SortedIntegers(value);
  if (count === 1) return integers;
  const unit = readSpan(from);
  const add = (d: number): void => {
    value += (d + 1) * unit;
    if (!(value <= MAX_SPAN && integers.add(value))) invalid('integers that do not ascend');
  };
  if (count === 2) add(0);
  else if (head % 2 === 1) readPacked(from, count - 1, add);
  else readRuns(from, count - 1, add);
  return integers;
}

function writeRuns(ds: readonly number[]): void {
  runs.clear();
  for (let i = 0; i < ds.length; ) {
    const d = ds[i]!;
    let end = i + 1;
    while (end < ds.length && ds[end] === d) end++;
    const times = end - i;
    runs.varint(d * 2 + (times > 1 ? 1 : 0));
    if (times > 1) runs.varint(end === ds.length ? 0 : times);
    i = end;
  }
}

function readRuns(from: ByteReader, count: number, add: (d: number) => void): void {
  for (let left = count; left > 0; ) {
    const head = from.varint();
    let times = head % 2 === 1 ? from.varint() : 1;
    if (times === 0) times = left;
    if (times > left) corrupt('a run beyond the end');
    for (let i = 0; i < times; i++) add(Math.floor(head / 2));
    left -= times;
  }
}

function writePacked(ds: readonly number[]): void {
  const centre = [...ds].sort((a, b) => a - b)[ds.length >> 1]!;
  const codes = ds.map((d) => (d < centre ? 2 * (centre - d) - 1 : 2 * (d - centre)));
  const order = orderOf(codes);
  bits.clear();
  for (const code of codes) bits.golomb(code, order);
  const dense = bits.bytes();
  packed.clear();
  packed.varint(centre);
  packed.byte(order);
  packed.varint(dense.length);
  packed.raw(dense);
}

/** About the bits of the middle code: outliers (a sensor that was away) cost themselves only. */
function orderOf(codes: readonly number[]): number {
  const middle = [...codes].sort((a, b) => a - b)[codes.length >> 1]!;
  return Math.min(MAX_ORDER, bitLength(middle));
}

function readPacked(from: ByteReader, count: number, add: (d: number) => void): void {
  const centre = from.varint();
  const order = from.byte();
  if (order > MAX_ORDER) corrupt('an unknown order');
  const dense = new BitReader(from.raw(from.varint()));
  for (let i = 0; i < count; i++) {
    const code = dense.golomb(order);
    const d = code % 2 === 1 ? centre - (code + 1) / 2 : centre + code / 2;
    if (d < 0) invalid('integers that do not ascend');
    add(d);
  }
  if (!dense.done) corrupt('bits left over');
}
