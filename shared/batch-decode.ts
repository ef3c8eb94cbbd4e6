/**
 * The body of a batch, read. Promises: total (a batch or a DecodeError); no more memory than the limits and the bytes
 * justify; every value within its range, no key twice, no byte left over.
 */

import type { Batch, BatchIdentity, BatchLimits, LedgerEntry } from './batch.js';
import { BATCH_COLUMNS, type BatchColumns, columnsOf, DAY_MS, MAX_READINGS, MAX_REVISION } from './batch-columns.js';
import type { BitReader } from './bits.js';
import { ByteReader } from './bytes.js';
import { corrupt, DecodeError, invalid } from './decode-error.js';
import { type LossRecord, WORD } from './loss.js';
import { isName, MAX_NAME_BYTES } from './name.js';
import type { MetricSummary } from './summary.js';
import { readSummary } from './summary-codec.js';
import { enterWindow, newMetricMemory, newWindowMemory, type SummaryReader } from './summary-columns.js';
import type { WindowSummary } from './window.js';

interface Device {
  readonly group: string;
  readonly device: string;
}

/** What windows and ledger refer to by index. */
interface Tables {
  readonly devices: readonly Device[];
  readonly metrics: readonly string[];
  /** Each a list of indexes into `metrics`. */
  readonly shapes: readonly (readonly number[])[];
  /** The session of the batch first. */
  readonly parts: readonly number[];
}

export function decodeBody(body: Uint8Array, bits: BitReader, identity: BatchIdentity, limits: BatchLimits): Batch {
  const columns = readColumns(body);
  const { counts } = columns;
  const sentMs = counts.varint();
  const groups = counts.varint();
  const devices = counts.varint();
  const metrics = counts.varint();
  const shapes = counts.varint();
  const parts = counts.varint();
  const windowCount = counts.varint();
  const ledgerCount = counts.varint();
  if (windowCount > limits.maxWindows) tooLarge(windowCount, 'windows', limits.maxWindows);
  if (ledgerCount > limits.maxWindows) tooLarge(ledgerCount, 'ledger entries', limits.maxWindows);
  if (metrics > limits.maxSummaries) tooLarge(metrics, 'metrics', limits.maxSummaries);
  const uses = windowCount + ledgerCount + Math.floor(columns.loss.remaining / LOSS_BYTES);
  if (groups > devices || devices > uses || shapes > windowCount || parts > windowCount) invalid('names without a use');
  const tables = {
    ...readTables(columns, groups, devices, metrics, shapes),
    parts: readParts(columns.partName, parts, identity.session),
  };
  const windows = readWindows(columns, bits, windowCount, tables, limits);
  const ledger = readLedger(columns, ledgerCount, tables);
  const losses = readLosses(columns.loss, tables, limits.maxWindows);
  for (const name of BATCH_COLUMNS) if (columns[name].remaining > 0) corrupt(`bytes left over in column ${name}`);
  if (!bits.done) corrupt('bits left over');
  return { ...identity, sentMs, windows, ledger, losses };
}

function readColumns(body: Uint8Array): BatchColumns<ByteReader> {
  const reader = new ByteReader(body);
  const lengths = BATCH_COLUMNS.map(() => reader.varint());
  let next = 0;
  const columns = columnsOf(() => reader.part(lengths[next++]!));
  if (reader.remaining > 0) corrupt('bytes left over');
  return columns;
}

function readTables(
  columns: BatchColumns<ByteReader>,
  groupCount: number,
  deviceCount: number,
  metricCount: number,
  shapeCount: number,
): Omit<Tables, 'parts'> {
  const groups = readNames(columns, groupCount, true);
  const names = readNames(columns, deviceCount, false);
  const metrics = readNames(columns, metricCount, false);
  const known = new Set<string>();
  const devices = names.map((device) => {
    const group = at(groups, columns.deviceGroup.varint(), 'group');
    // No name has a NUL.
    known.add(`${group}\0${device}`);
    return { group, device };
  });
  if (known.size < devices.length) invalid('a device listed twice');
  if (new Set(metrics).size < metrics.length) invalid('a metric listed twice');
  const shapes: number[][] = [];
  for (let i = 0; i < shapeCount; i++) shapes.push(readShape(columns.shape, metrics.length));
  return { devices, metrics, shapes };
}

function readNames(columns: BatchColumns<ByteReader>, count: number, mayBeEmpty: boolean): string[] {
  const names: string[] = [];
  for (let i = 0; i < count; i++) {
    const length = columns.textLength.varint();
    if (length > MAX_NAME_BYTES) invalid(`a name of ${length} bytes`);
    const name = columns.text.text(length);
    if (!isName(name) && !(mayBeEmpty && name === '')) invalid(`a name that is none: ${JSON.stringify(name)}`);
    names.push(name);
  }
  return names;
}

function readParts(column: ByteReader, count: number, session: number): number[] {
  const parts = [session];
  for (let i = 0; i < count; i++) parts.push(column.varint());
  if (new Set(parts).size < parts.length) invalid('a part listed twice');
  return parts;
}

function readShape(column: ByteReader, metricCount: number): number[] {
  const length = column.varint();
  if (length > metricCount) invalid('a metric twice in a window');
  const ids: number[] = [];
  for (let i = 0; i < length; i++) {
    const id = column.varint();
    if (id >= metricCount) corrupt('an unknown metric');
    ids.push(id);
  }
  if (new Set(ids).size < length) invalid('a metric twice in a window');
  return ids;
}

function readWindows(
  columns: BatchColumns<ByteReader>,
  bits: BitReader,
  count: number,
  tables: Tables,
  limits: BatchLimits,
): WindowSummary[] {
  const { head, n, time, float, sum } = columns;
  const from: SummaryReader = { head, n, time, float, sum, bits };
  const memory = newWindowMemory();
  const metricMemories = tables.metrics.map(newMetricMemory);
  const windows: WindowSummary[] = [];
  const keys = new Set<string>();
  let device = 0;
  let previousMs = 0;
  let index = 0;
  let summaries = 0;
  for (let i = 0; i < count; i++) {
    device += columns.device.zigzag();
    const { group, device: name } = at(tables.devices, device, 'device');
    const lengthMs = inRange(columns.length.varint(), 1, DAY_MS, 'window length');
    index = columns.start.zigzag() + (lengthMs === previousMs ? index : 0);
    previousMs = lengthMs;
    const startMs = startOf(index, lengthMs);
    const part = at(tables.parts, columns.part.varint(), 'part');
    const revision = inRange(columns.revision.varint(), 1, MAX_REVISION, 'revision');
    const readings = inRange(columns.readings.varint(), 1, MAX_READINGS, 'readings');
    const shape = at(tables.shapes, columns.windowShape.varint(), 'shape');
    summaries += shape.length;
    if (summaries > limits.maxSummaries) tooLarge(summaries, 'summaries', limits.maxSummaries);
    keys.add(`${device} ${index} ${lengthMs} ${part}`);
    enterWindow(memory, startMs, lengthMs, readings);
    const metrics = new Map<string, MetricSummary>();
    for (const id of shape) {
      const summary = readSummary(from, memory, metricMemories[id]!);
      if (summary.n > readings) invalid(`${summary.n} values in ${readings} readings`);
      metrics.set(tables.metrics[id]!, summary);
    }
    // A spread here would take longer than all the rest of a window.
    windows.push({ group, device: name, startMs, lengthMs, part, revision, readings, metrics });
  }
  if (keys.size < count) invalid('a window twice');
  return windows;
}

/** Both ends of a window are safe integers, in µs too. */
function startOf(index: number, lengthMs: number): number {
  const startMs = index * lengthMs;
  if (!Number.isSafeInteger(startMs * 1000) || !Number.isSafeInteger((startMs + lengthMs) * 1000)) {
    invalid('a window beyond all time');
  }
  return startMs;
}

function readLedger(columns: BatchColumns<ByteReader>, count: number, tables: Tables): LedgerEntry[] {
  const ledger: LedgerEntry[] = [];
  const keys = new Set<string>();
  let device = 0;
  let day = 0;
  for (let i = 0; i < count; i++) {
    device += columns.ledgerDevice.zigzag();
    day += columns.ledgerDay.zigzag();
    const dayMs = dayStart(day);
    const readings = inRange(columns.ledgerReadings.varint(), 0, MAX_READINGS, 'readings');
    keys.add(`${device} ${day}`);
    const { group, device: name } = at(tables.devices, device, 'device');
    ledger.push({ group, device: name, dayMs, readings });
  }
  if (keys.size < count) invalid('a ledger day twice');
  return ledger;
}

/** A loss record takes as much at least. */
const LOSS_BYTES = 5;
const MAX_WORDS = 128;

function readLosses(column: ByteReader, tables: Tables, limit: number): LossRecord[] {
  const losses: LossRecord[] = [];
  const words: string[] = [];
  const keys = new Set<string>();
  let day = 0;
  while (column.remaining > 0) {
    if (losses.length === limit) tooLarge(limit + 1, 'loss records', limit);
    const index = column.varint();
    const { group, device } = index === 0 ? NO_DEVICE : at(tables.devices, index - 1, 'device');
    day += column.zigzag();
    const dayMs = dayStart(day);
    const kind = readWord(column, words);
    const reason = readWord(column, words);
    const count = inRange(column.varint(), 1, MAX_READINGS, 'losses');
    keys.add(`${index} ${day} ${kind} ${reason}`);
    losses.push({ dayMs, kind, reason, group, device, count });
  }
  if (keys.size < losses.length) invalid('a loss twice');
  return losses;
}

const NO_DEVICE = { group: undefined, device: undefined };

function readWord(column: ByteReader, words: string[]): string {
  const number = column.varint();
  if (number > 0) return at(words, number - 1, 'word');
  const word = column.string();
  if (!WORD.test(word)) invalid('a word that is none');
  if (words.length === MAX_WORDS) tooLarge(MAX_WORDS + 1, 'kinds and reasons', MAX_WORDS);
  if (words.includes(word)) invalid('a word listed twice');
  words.push(word);
  return word;
}

function dayStart(day: number): number {
  const dayMs = day * DAY_MS;
  if (!Number.isSafeInteger(dayMs * 1000)) invalid('a day beyond all time');
  return dayMs;
}

function at<T>(list: readonly T[], index: number, what: string): T {
  const item = list[index];
  if (item === undefined) corrupt(`an unknown ${what}`);
  return item;
}

function inRange(value: number, least: number, greatest: number, what: string): number {
  if (value < least || value > greatest) invalid(`${what} out of range: ${value}`);
  return value;
}

function tooLarge(count: number, what: string, limit: number): never {
  throw new DecodeError('too-large', `${count} ${what}, limit ${limit}`);
}
