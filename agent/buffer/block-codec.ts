/**
 * A block as bytes. Columns rather than rows, so that a five-metric reading of short decimals takes about 20 bytes.
 *
 * version 1 | tally: in, time in ms, losses (count, then each: kind, reason, day since 1970 (zigzag), device, number) |
 * shapes: count, then each windowMs, latenessMs, lane, metric ids, undated (0 or 1) | readings: count, then columns:
 * shape, device (zigzag difference), time in µs
 * (zigzag difference), record ids (0 where there are none, else 1 and one text each, '' for none) | for each shape and
 * metric one column of values: scale + 1 and integers at that scale (zigzag), or 0 and doubles | deliveries: count, then
 * as in delivery-codec.ts | a u32, the checksum of all before it.
 */
import { ByteReader, ByteWriter } from '../../shared/bytes.js';
import { EdgetallyError } from '../../shared/errors.js';
import { scaledInteger } from '../../shared/exact.js';
import type { LossKind } from '../../shared/loss.js';
import { DAY_MS } from '../../shared/window.js';
import type { Block, BlockReading, Loss, Shape, Tally } from '../block.js';
import { readDelivery, writeDelivery } from './delivery-codec.js';
import { seal, unseal } from './sealed.js';

const VERSION = 1;
const MAX_SCALE = 15;

export function encodeBlock(block: Block): Uint8Array {
  const writer = new ByteWriter();
  writer.varint(VERSION);
  writeTally(writer, block.tally);
  const shapes = [...new Set(block.readings.map((reading) => reading.shape))];
  writer.varint(shapes.length);
  for (const shape of shapes) writeShape(writer, shape);
  writeReadings(writer, block.readings, new Map(shapes.map((shape, index) => [shape, index])));
  for (const shape of shapes) {
    const readings = block.readings.filter((reading) => reading.shape === shape);
    for (let i = 0; i < shape.metrics.length; i++) writeColumn(writer, readings, i);
  }
  const deliveries = block.deliveries ?? [];
  writer.varint(deliveries.length);
  for (const record of deliveries) writeDelivery(writer, record);
  return seal(writer.bytes());
}

/** Throws EdgetallyError where the bytes are not those that were written. */
export function decodeBlock(bytes: Uint8Array): Block {
  const reader = new ByteReader(unseal(bytes, 'block-damaged'));
  const version = reader.varint();
  if (version !== VERSION) {
    throw new EdgetallyError('database-newer', `a journal block has version ${version}, expected ${VERSION}`);
  }
  const tally = readTally(reader);
  const shapes = Array.from({ length: reader.varint() }, () => readShape(reader));
  const readings = readReadings(reader, shapes);
  for (const shape of shapes) {
    const ofShape = readings.filter((reading) => reading.shape === shape);
    for (let i = 0; i < shape.metrics.length; i++) readColumn(reader, ofShape, i);
  }
  const deliveries = Array.from({ length: reader.varint() }, () => readDelivery(reader));
  return { readings, tally, deliveries };
}

function writeTally(writer: ByteWriter, tally: Tally): void {
  writer.varint(tally.in);
  writer.zigzag(tally.atMs);
  writer.varint(tally.losses.length);
  for (const { kind, reason, dayMs, device, count } of tally.losses) {
    writer.string(kind);
    writer.string(reason);
    writer.zigzag(dayMs / DAY_MS);
    writer.varint(device);
    writer.varint(count);
  }
}

function readTally(reader: ByteReader): Tally {
  const all = reader.varint();
  const atMs = reader.zigzag();
  const losses = Array.from({ length: reader.varint() }, () => readLoss(reader));
  return { in: all, atMs, losses };
}

function readLoss(reader: ByteReader): Loss {
  const kind = reader.string() as LossKind;
  const reason = reader.string();
  return { kind, reason, dayMs: reader.zigzag() * DAY_MS, device: reader.varint(), count: reader.varint() };
}

function writeShape(writer: ByteWriter, shape: Shape): void {
  writer.varint(shape.windowMs);
  writer.varint(shape.latenessMs);
  writer.string(shape.lane);
  writer.varint(shape.metrics.length);
  for (const metric of shape.metrics) writer.varint(metric);
  writer.varint(shape.undated === true ? 1 : 0);
}

function readShape(reader: ByteReader): Shape {
  const windowMs = reader.varint();
  const latenessMs = reader.varint();
  const lane = reader.string();
  const metrics = Array.from({ length: reader.varint() }, () => reader.varint());
  const shape = { windowMs, latenessMs, lane, metrics };
  return reader.varint() === 1 ? { ...shape, undated: true } : shape;
}

function writeReadings(writer: ByteWriter, readings: readonly BlockReading[], shapes: Map<Shape, number>): void {
  writer.varint(readings.length);
  for (const reading of readings) writer.varint(shapes.get(reading.shape)!);
  let device = 0;
  for (const reading of readings) {
    writer.zigzag(reading.device - device);
    device = reading.device;
  }
  let timeUs = 0;
  for (const reading of readings) {
    writer.zigzag(reading.timeUs - timeUs);
    timeUs = reading.timeUs;
  }
  const hasIds = readings.some((reading) => reading.recordId !== undefined);
  writer.varint(hasIds ? 1 : 0);
  if (hasIds) for (const reading of readings) writer.string(reading.recordId ?? '');
}

function readReadings(reader: ByteReader, shapes: readonly Shape[]): (BlockReading & { values: number[] })[] {
  const count = reader.varint();
  const ofShape = Array.from({ length: count }, () => shapes[reader.varint()]!);
  const column = (): number[] => {
    let value = 0;
    return Array.from({ length: count }, () => {
      value += reader.zigzag();
      return value;
    });
  };
  const devices = column();
  const times = column();
  const hasIds = reader.varint() === 1;
  return ofShape.map((shape, i) => ({
    shape,
    device: devices[i]!,
    timeUs: times[i]!,
    recordId: hasIds ? reader.string() || undefined : undefined,
    values: [],
  }));
}

function writeColumn(writer: ByteWriter, readings: readonly BlockReading[], metric: number): void {
  const scale = scaleOf(readings, metric);
  writer.varint(scale === undefined ? 0 : scale + 1);
  for (const reading of readings) {
    const value = reading.values[metric]!;
    if (scale === undefined) writer.float64(value);
    else writer.zigzag(scaledInteger(value, scale));
  }
}

/** The least scale at which every value of the column is an integer; undefined where there is none. */
function scaleOf(readings: readonly BlockReading[], metric: number): number | undefined {
  let scale = 0;
  for (const reading of readings) {
    while (Number.isNaN(scaledInteger(reading.values[metric]!, scale))) if (++scale > MAX_SCALE) return undefined;
  }
  // a value that came before the scale grew may be too large for it
  return readings.every((reading) => !Number.isNaN(scaledInteger(reading.values[metric]!, scale))) ? scale : undefined;
}

function readColumn(reader: ByteReader, readings: readonly { values: number[] }[], metric: number): void {
  const scale = reader.varint() - 1;
  const power = 10 ** Math.max(scale, 0);
  for (const reading of readings) reading.values[metric] = scale < 0 ? reader.float64() : reader.zigzag() / power;
}
