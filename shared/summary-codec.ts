/**
 * One metric summary to bytes and back, bit-equal: the rows of docs/wire-format.md, and the blobs in which databases keep
 * the metrics of a window.
 *
 * Promises: reading is total (a value, or a DecodeError), and what it returns could have been observed: times within the
 * window, first not after last, values and sums as values-codec promises, a sketch as sketch-codec does.
 */

import { BitReader, BitWriter } from './bits.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { crc32 } from './crc32.js';
import { corrupt, DecodeError, invalid } from './decode-error.js';
import { EdgetallyError } from './errors.js';
import { readSketch, writeSketch } from './sketch-codec.js';
import { readSpan, writeSpan } from './span-codec.js';
import type { MetricSummary, Observation } from './summary.js';
import {
  enterWindow,
  type MetricMemory,
  newMetricMemory,
  newWindowMemory,
  type SummaryReader,
  type SummaryWriter,
  type WindowMemory,
} from './summary-columns.js';
import { isRelative, kindOf, readValues, writeValues } from './values-codec.js';

/** The head byte: the kind of the values in five bits, and three flags. */
const KIND = 0x1f;
const SAME_N = 0x20;
const SAME_TIMES = 0x40;
const RELATIVE = 0x80;

export function writeSummary(
  to: SummaryWriter,
  summary: MetricSummary,
  window: WindowMemory,
  metric: MetricMemory,
): void {
  const { n, min, max } = summary;
  const kind = kindOf(summary);
  const firstUs = summary.first.timeUs - window.startUs;
  const lastUs = summary.last.timeUs - window.startUs;
  const sameN = n === window.n;
  const sameTimes = firstUs === window.firstUs && lastUs === window.lastUs;
  const relative = isRelative(summary, kind, metric);
  to.head.byte(kind | (sameN ? SAME_N : 0) | (sameTimes ? SAME_TIMES : 0) | (relative ? RELATIVE : 0));
  if (!sameN) to.n.varint(n);
  if (!sameTimes) {
    writeSpan(to.time, firstUs);
    writeSpan(to.time, lastUs - firstUs);
  }
  window.n = n;
  window.firstUs = firstUs;
  window.lastUs = lastUs;
  writeValues(to, summary, kind, relative, metric);
  if (min !== max) writeSketch(to.bits, summary);
}

export function readSummary(from: SummaryReader, window: WindowMemory, metric: MetricMemory): MetricSummary {
  const head = from.head.byte();
  if ((head & SAME_N) === 0) window.n = from.n.varint();
  if ((head & SAME_TIMES) === 0) {
    window.firstUs = readSpan(from.time);
    window.lastUs = window.firstUs + readSpan(from.time);
  }
  const { n, startUs, firstUs, lastUs } = window;
  if (n < 1) invalid('a summary of nothing');
  if (firstUs < 0 || lastUs >= window.lengthUs || !Number.isSafeInteger(startUs + lastUs))
    invalid('a time outside of its window');
  const { min, max, first, last, sums } = readValues(from, head & KIND, (head & RELATIVE) !== 0, n, metric);
  if (firstUs === lastUs ? first > last : n === 1) invalid('first after last');
  const sketch = readSketch(from.bits, n, min, max);
  const firstSeen: Observation = { timeUs: startUs + firstUs, value: first };
  const lastSeen: Observation = { timeUs: startUs + lastUs, value: last };
  return { n, sums, min, max, first: firstSeen, last: lastSeen, sketch };
}

const BLOB_VERSION = 1;
/** Kept for their room. */
const rows = new ByteWriter(1024);
const rowBits = new BitWriter(1024);
const rowWriter: SummaryWriter = { head: rows, n: rows, time: rows, float: rows, sum: rows, bits: rowBits };

/** The metrics of one window as a blob for a database. Keys are ids of the database's own, from 0 on. */
export function encodeMetrics(
  metrics: ReadonlyMap<number, MetricSummary>,
  startMs: number,
  lengthMs: number,
): Uint8Array {
  rows.clear();
  rowBits.clear();
  const window = newWindowMemory();
  enterWindow(window, startMs, lengthMs, 0);
  for (const [id, summary] of metrics) {
    rows.varint(id);
    writeSummary(rowWriter, summary, window, newMetricMemory());
  }
  const content = new ByteWriter(16 + rows.length);
  content.byte(BLOB_VERSION);
  content.varint(metrics.size);
  content.varint(rows.length);
  content.raw(rows.bytes());
  content.raw(rowBits.bytes());
  content.uint32(crc32(content.bytes()));
  return content.bytes().slice();
}

/** Throws EdgetallyError: 'database-newer', or 'window-damaged' where the bytes are not what encodeMetrics wrote. */
export function decodeMetrics(bytes: Uint8Array, startMs: number, lengthMs: number): Map<number, MetricSummary> {
  try {
    return readMetrics(contentOf(bytes), startMs, lengthMs);
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new EdgetallyError('window-damaged', `A stored window cannot be read: ${cause.message}.`, { cause });
  }
}

const CHECKSUM_BYTES = 4;

/** In every layout the checksum comes last, so that one byte that changed is no newer layout. */
function contentOf(bytes: Uint8Array): Uint8Array {
  const end = Math.max(0, bytes.length - CHECKSUM_BYTES);
  const content = bytes.subarray(0, end);
  if (new ByteReader(bytes, end).uint32() !== crc32(content)) throw new DecodeError('checksum', 'a wrong checksum');
  const version = content[0] ?? 0;
  if (version <= BLOB_VERSION) return content;
  const message = `A window is stored in layout ${version}; this program knows ${BLOB_VERSION}.`;
  throw new EdgetallyError('database-newer', message);
}

function readMetrics(content: Uint8Array, startMs: number, lengthMs: number): Map<number, MetricSummary> {
  const reader = new ByteReader(content);
  if (reader.byte() !== BLOB_VERSION) corrupt('layout 0');
  const count = reader.varint();
  const row = reader.part(reader.varint());
  const bits = new BitReader(reader.raw(reader.remaining));
  const from: SummaryReader = { head: row, n: row, time: row, float: row, sum: row, bits };
  const window = newWindowMemory();
  enterWindow(window, startMs, lengthMs, 0);
  const metrics = new Map<number, MetricSummary>();
  for (let i = 0; i < count; i++) {
    const id = row.varint();
    if (metrics.has(id)) invalid('a metric twice');
    metrics.set(id, readSummary(from, window, newMetricMemory()));
  }
  if (row.remaining > 0 || !bits.done) corrupt('bytes left over');
  return metrics;
}
