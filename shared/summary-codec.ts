/**
 * One metric summary to bytes and back, bit-equal: the rows of docs/wire-format.md. With a writer of its own for every field
 * it is a columnar layout (batches), with one writer for all it is a row (the blobs that databases hold).
 *
 * Everything is told relative to the least value: where the values are short decimals, min, max, first and last are
 * integers at one scale, and Σ(x−min) and Σ(x−min)² are small ones. Of the sketch only counts are told: its first and last
 * key are the bins of min and max, and its last count is what is missing to n.
 *
 * Promises: reading is total (a value or a DecodeError), and what it returns could have been observed: min ≤ first, last ≤
 * max, sums that some values between min and max could have, a sketch that counts n. Never: NaN, −0, a value out of range.
 */

import { ByteReader, ByteWriter, corrupt, crc32, DecodeError, invalid } from './bytes.js';
import { EdgetallyError } from './errors.js';
import { readBins, usesSpan, writeBins } from './sketch-codec.js';
import type { MetricSummary, Observation } from './summary.js';
import { kindOf, readValues, writeValues } from './values-codec.js';

/** One writer or reader a field. */
export interface SummaryColumns<T> {
  readonly head: T;
  readonly n: T;
  readonly time: T;
  readonly min: T;
  readonly max: T;
  readonly first: T;
  readonly last: T;
  readonly sum: T;
  readonly sumSq: T;
  readonly gap: T;
  readonly count: T;
}

export const SUMMARY_COLUMNS = [
  'head',
  'n',
  'time',
  'min',
  'max',
  'first',
  'last',
  'sum',
  'sumSq',
  'gap',
  'count',
] as const satisfies readonly (keyof SummaryColumns<unknown>)[];

/** What both sides remember of rows before: a field that repeats costs one bit. */
export interface RowContext {
  /** Of the window: its start and length, µs. */
  startUs: number;
  lengthUs: number;
  /** Of the row before in the same window. */
  n: number;
  firstUs: number;
  lastUs: number;
  /** Of the row before of the same metric, where it had integers; scale −1 where not. */
  scale: number;
  min: number;
}

/** A context that remembers nothing. */
export function newContext(startMs: number, lengthMs: number): RowContext {
  return { startUs: startMs * 1000, lengthUs: lengthMs * 1000, n: 0, firstUs: -1, lastUs: -1, scale: -1, min: 0 };
}

/** The head byte: the kind of the values in five bits, and three flags. */
const KIND = 0x1f;
const SAME_N = 0x20;
const SAME_TIMES = 0x40;
const SPAN = 0x80;

export function writeSummary(to: SummaryColumns<ByteWriter>, summary: MetricSummary, context: RowContext): void {
  const { n, min, max, first, last, sketch } = summary;
  const kind = kindOf(summary);
  const sameN = n === context.n;
  const firstUs = first.timeUs - context.startUs;
  const lastUs = last.timeUs - context.startUs;
  const sameTimes = firstUs === context.firstUs && lastUs === context.lastUs;
  const span = usesSpan(sketch);
  to.head.byte(kind | (sameN ? SAME_N : 0) | (sameTimes ? SAME_TIMES : 0) | (span ? SPAN : 0));
  if (!sameN) to.n.varint(n);
  if (!sameTimes) {
    writeOffset(to.time, firstUs);
    writeOffset(to.time, lastUs - firstUs);
  }
  context.n = n;
  context.firstUs = firstUs;
  context.lastUs = lastUs;
  writeValues(to, summary, kind, context);
  if (min !== max) writeBins(to.gap, to.count, summary, span);
}

export function readSummary(from: SummaryColumns<ByteReader>, context: RowContext): MetricSummary {
  const head = from.head.byte();
  const kind = head & KIND;
  if ((head & SAME_N) === 0) context.n = from.n.varint();
  if ((head & SAME_TIMES) === 0) {
    context.firstUs = readOffset(from.time);
    context.lastUs = context.firstUs + readOffset(from.time);
  }
  const { n, firstUs, lastUs } = context;
  if (n < 1) invalid('a summary of nothing');
  if (firstUs < 0 || lastUs >= context.lengthUs) invalid('a time outside its window');
  const values = readValues(from, kind, context);
  const { min, max, sums } = values;
  const first: Observation = { timeUs: context.startUs + firstUs, value: values.first };
  const last: Observation = { timeUs: context.startUs + lastUs, value: values.last };
  if (firstUs === lastUs ? first.value > last.value : n === 1) invalid('first after last');
  const sketch = readBins(from.gap, from.count, n, min, max, (head & SPAN) !== 0);
  return { n, sums, min, max, first, last, sketch };
}

/** A time span with its unit in the two lowest bits: most devices tell whole seconds or milliseconds. */
function writeOffset(to: ByteWriter, us: number): void {
  if (us % 1000 !== 0) to.varint(us * 4);
  else if (us % 1_000_000 !== 0) to.varint((us / 1000) * 4 + 1);
  else to.varint((us / 1_000_000) * 4 + 2);
}

const UNITS_US = [1, 1000, 1_000_000];

function readOffset(from: ByteReader): number {
  const value = from.varint();
  const unit = UNITS_US[value % 4];
  if (unit === undefined) corrupt('an unknown unit of time');
  return Math.floor(value / 4) * unit;
}

const BLOB_VERSION = 1;
/** Kept for its room. */
const blob = new ByteWriter(4096);
const blobColumns = sameForAll(blob);

/** How many bytes a summary takes at most in a batch, uncompressed: a row of its own, and room for two indexes of it. */
export function summaryBytes(summary: MetricSummary, startMs: number, lengthMs: number): number {
  blob.clear();
  writeSummary(blobColumns, summary, newContext(startMs, lengthMs));
  return blob.length + 8;
}

/** The metrics of one window as a row for a database: version, checksum, rows. Keys are ids of the database's own. */
export function encodeMetrics(
  metrics: ReadonlyMap<number, MetricSummary>,
  startMs: number,
  lengthMs: number,
): Uint8Array {
  blob.clear();
  const context = newContext(startMs, lengthMs);
  for (const [id, summary] of metrics) {
    blob.varint(id);
    context.scale = -1;
    writeSummary(blobColumns, summary, context);
  }
  const rows = blob.bytes();
  const bytes = new Uint8Array(5 + rows.length);
  bytes[0] = BLOB_VERSION;
  new DataView(bytes.buffer).setUint32(1, crc32(rows));
  bytes.set(rows, 5);
  return bytes;
}

/** Throws EdgetallyError: 'database-newer', or 'window-damaged' where the bytes are not what encodeMetrics wrote. */
export function decodeMetrics(bytes: Uint8Array, startMs: number, lengthMs: number): Map<number, MetricSummary> {
  if (bytes.length > 0 && bytes[0]! > BLOB_VERSION) {
    throw new EdgetallyError(
      'database-newer',
      `A window is stored in layout ${bytes[0]}; this program knows ${BLOB_VERSION}.`,
    );
  }
  try {
    const reader = new ByteReader(bytes);
    if (reader.byte() !== BLOB_VERSION) corrupt('an unknown layout');
    if (reader.uint32() !== crc32(bytes.subarray(5))) corrupt('a wrong checksum');
    return readMetrics(reader, newContext(startMs, lengthMs));
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new EdgetallyError('window-damaged', `A stored window cannot be read: ${cause.message}.`, { cause });
  }
}

function readMetrics(reader: ByteReader, context: RowContext): Map<number, MetricSummary> {
  const columns = sameForAll(reader);
  const metrics = new Map<number, MetricSummary>();
  while (reader.remaining > 0) {
    const id = reader.varint();
    context.scale = -1;
    if (metrics.has(id)) invalid('a metric twice');
    metrics.set(id, readSummary(columns, context));
  }
  return metrics;
}

function sameForAll<T>(one: T): SummaryColumns<T> {
  return Object.fromEntries(SUMMARY_COLUMNS.map((name) => [name, one])) as Record<keyof SummaryColumns<T>, T>;
}
