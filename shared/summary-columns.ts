/** Where the fields of a summary go to and come from, and what both sides remember of the rows before. */

import type { BitReader, BitWriter } from './bits.js';
import type { ByteReader, ByteWriter } from './bytes.js';

/** One writer or reader a field: columns, as in a batch; or the same one for all: rows, as in a blob. */
export interface ByteColumns<T> {
  readonly head: T;
  readonly n: T;
  readonly time: T;
  /** Values that are no short decimals. */
  readonly float: T;
  /** Sums too large for the bits. */
  readonly sum: T;
}

/** In the order in which they are written. */
export const SUMMARY_COLUMNS = ['head', 'n', 'time', 'float', 'sum'] as const satisfies (keyof ByteColumns<unknown>)[];

/** The dense part: all that is told as integers below known bounds. */
export interface SummaryWriter extends ByteColumns<ByteWriter> {
  readonly bits: BitWriter;
}

export interface SummaryReader extends ByteColumns<ByteReader> {
  readonly bits: BitReader;
}

/** Of the row before in the same window. A field that repeats costs one bit. */
export interface WindowMemory {
  /** Of the window itself: its start and length, µs. */
  startUs: number;
  lengthUs: number;
  n: number;
  /** Offsets from the start; −1 where there is no row before. */
  firstUs: number;
  lastUs: number;
}

/** Of the row before of the same metric. Its integers are expected to be like those. */
export interface MetricMemory {
  /** −1 where there is no such row, or it had no integers. */
  scale: number;
  min: number;
  range: number;
  /** About how far apart the minima of two rows are. */
  step: number;
}

/** Forgets the window before. `n` is what the first row is expected to have. */
export function enterWindow(memory: WindowMemory, startMs: number, lengthMs: number, n: number): void {
  memory.startUs = startMs * 1000;
  memory.lengthUs = lengthMs * 1000;
  memory.n = n;
  memory.firstUs = -1;
  memory.lastUs = -1;
}

export function newWindowMemory(): WindowMemory {
  return { startUs: 0, lengthUs: 0, n: 0, firstUs: -1, lastUs: -1 };
}

export function newMetricMemory(): MetricMemory {
  return { scale: -1, min: 0, range: 0, step: 0 };
}
