/**
 * The body of a batch, before compression: names once, then one column for every field of windows, summaries and ledger.
 *
 * Promises: order is kept. Never: a name that the receiver would refuse; that is a RangeError here.
 */

import type { Batch, LedgerEntry } from './batch.js';
import { BATCH_COLUMNS, type BatchColumns, columnsOf, DAY_MS } from './batch-columns.js';
import { BitWriter } from './bits.js';
import { ByteWriter, utf8 } from './bytes.js';
import { type LossRecord, WORD } from './loss.js';
import { isName } from './name.js';
import { writeSummary } from './summary-codec.js';
import {
  enterWindow,
  type MetricMemory,
  newMetricMemory,
  newWindowMemory,
  type SummaryWriter,
} from './summary-columns.js';
import type { WindowSummary } from './window.js';

/** Kept between batches for their room. */
const columns: BatchColumns<ByteWriter> = columnsOf(() => new ByteWriter());
const bits = new BitWriter(1024);
const { head, n, time, float, sum } = columns;
const summaryWriter: SummaryWriter = { head, n, time, float, sum, bits };

export interface BatchBody {
  /** To be compressed. */
  readonly columns: Uint8Array;
  /** Dense already. */
  readonly bits: Uint8Array;
}

/** Both are views that the next batch overwrites. */
export function encodeBody({ session, sentMs, windows, ledger, losses }: Batch): BatchBody {
  for (const name of BATCH_COLUMNS) columns[name].clear();
  bits.clear();
  const names = new Names(session);
  writeWindows(windows, names);
  writeLedger(ledger, names);
  writeLosses(losses, names);
  const { counts } = columns;
  counts.varint(sentMs);
  counts.varint(names.groups.size);
  counts.varint(names.deviceCount);
  counts.varint(names.metrics.size);
  counts.varint(names.shapes.size);
  counts.varint(names.parts.size - 1);
  counts.varint(windows.length);
  counts.varint(ledger.length);
  names.writeText();
  body.clear();
  for (const name of BATCH_COLUMNS) body.varint(columns[name].length);
  for (const name of BATCH_COLUMNS) body.raw(columns[name].bytes());
  return { columns: body.bytes(), bits: bits.bytes() };
}

const body = new ByteWriter(1024);

function writeWindows(windows: readonly WindowSummary[], names: Names): void {
  const memory = newWindowMemory();
  const metricMemories: MetricMemory[] = [];
  let device = 0;
  let lengthMs = 0;
  let index = 0;
  for (const window of windows) {
    const nextDevice = names.device(window.group, window.device);
    columns.device.zigzag(nextDevice - device);
    device = nextDevice;
    const nextIndex = window.startMs / window.lengthMs;
    if (!Number.isSafeInteger(nextIndex)) throw new RangeError(`window ${window.startMs} is not aligned`);
    columns.length.varint(window.lengthMs);
    columns.start.zigzag(window.lengthMs === lengthMs ? nextIndex - index : nextIndex);
    lengthMs = window.lengthMs;
    index = nextIndex;
    columns.part.varint(names.part(window.part));
    columns.revision.varint(window.revision);
    columns.readings.varint(window.readings);
    enterWindow(memory, window.startMs, lengthMs, window.readings);
    const ids: number[] = [];
    for (const [name, summary] of window.metrics) {
      const id = names.metric(name);
      ids.push(id);
      metricMemories[id] ??= newMetricMemory();
      writeSummary(summaryWriter, summary, memory, metricMemories[id]);
    }
    columns.windowShape.varint(names.shape(ids));
  }
}

function writeLedger(ledger: readonly LedgerEntry[], names: Names): void {
  let device = 0;
  let day = 0;
  for (const entry of ledger) {
    const nextDevice = names.device(entry.group, entry.device);
    columns.ledgerDevice.zigzag(nextDevice - device);
    device = nextDevice;
    const nextDay = dayOf(entry.dayMs);
    columns.ledgerDay.zigzag(nextDay - day);
    day = nextDay;
    columns.ledgerReadings.varint(entry.readings);
  }
}

function writeLosses(losses: readonly LossRecord[], names: Names): void {
  const { loss } = columns;
  const words = new Map<string, number>();
  let day = 0;
  for (const { dayMs, kind, reason, group, device, count } of losses) {
    loss.varint(group === undefined || device === undefined ? 0 : names.device(group, device) + 1);
    const nextDay = dayOf(dayMs);
    loss.zigzag(nextDay - day);
    day = nextDay;
    for (const word of [kind, reason]) writeWord(word, words);
    loss.varint(count);
  }
}

/** A word at its first use, later its number. */
function writeWord(word: string, words: Map<string, number>): void {
  const known = words.get(word);
  columns.loss.varint(known ?? 0);
  if (known !== undefined) return;
  if (!WORD.test(word)) throw new RangeError(`not a word: ${JSON.stringify(word)}`);
  words.set(word, words.size + 1);
  columns.loss.string(word);
}

function dayOf(dayMs: number): number {
  const day = dayMs / DAY_MS;
  if (!Number.isSafeInteger(day)) throw new RangeError(`${dayMs} is not the start of a day`);
  return day;
}

/** Gives every name and every shape an index by first use. */
class Names {
  readonly groups = new Map<string, { readonly id: number; readonly devices: Map<string, number> }>();
  readonly metrics = new Map<string, number>();
  readonly shapes = new Map<string, number>();
  /** The session of the batch is the first, and goes without saying. */
  readonly parts: Map<number, number>;
  deviceCount = 0;
  private readonly devices: string[] = [];
  private lastIds: readonly number[] | undefined;
  private lastShape = 0;

  constructor(session: number) {
    this.parts = new Map([[session, 0]]);
  }

  device(groupName: string, deviceName: string): number {
    let group = this.groups.get(groupName);
    if (group === undefined) {
      if (groupName !== '') checkName(groupName);
      group = { id: this.groups.size, devices: new Map() };
      this.groups.set(groupName, group);
    }
    let id = group.devices.get(deviceName);
    if (id === undefined) {
      checkName(deviceName);
      id = this.deviceCount++;
      group.devices.set(deviceName, id);
      this.devices.push(deviceName);
      columns.deviceGroup.varint(group.id);
    }
    return id;
  }

  metric(name: string): number {
    let id = this.metrics.get(name);
    if (id === undefined) {
      checkName(name);
      id = this.metrics.size;
      this.metrics.set(name, id);
    }
    return id;
  }

  part(name: number): number {
    let part = this.parts.get(name);
    if (part === undefined) {
      part = this.parts.size;
      this.parts.set(name, part);
      columns.partName.varint(name);
    }
    return part;
  }

  shape(ids: readonly number[]): number {
    // Most windows have the metrics of the window before.
    if (this.lastIds !== undefined && equal(this.lastIds, ids)) return this.lastShape;
    const key = ids.join();
    let shape = this.shapes.get(key);
    if (shape === undefined) {
      shape = this.shapes.size;
      this.shapes.set(key, shape);
      columns.shape.varint(ids.length);
      for (const id of ids) columns.shape.varint(id);
    }
    this.lastIds = ids;
    this.lastShape = shape;
    return shape;
  }

  writeText(): void {
    for (const name of this.groups.keys()) writeName(name);
    for (const name of this.devices) writeName(name);
    for (const name of this.metrics.keys()) writeName(name);
  }
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}

function checkName(name: string): void {
  if (!isName(name)) throw new RangeError(`not a name: ${JSON.stringify(name)}`);
}

function writeName(name: string): void {
  const bytes = utf8(name);
  columns.textLength.varint(bytes.length);
  columns.text.raw(bytes);
}
