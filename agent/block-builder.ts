/** Gathers what sources hand over until the next commit: readings by dictionary id, the tally, samples, who waits. */
import type { LossKind } from '../shared/loss.js';
import { utcDayMs } from '../shared/window.js';
import type { Block, BlockReading, Loss, Shape } from './block.js';
import { type Deliveries, RECORD_BYTES } from './deliveries.js';
import type { Decoded, Delivery, Message, Reading, Reject } from './reading.js';
import { dated } from './time/dating.js';
import type { Now } from './time/time-keeper.js';

/** The buffer's dictionary, as far as it is needed here. */
export interface Ids {
  /** Undefined where there is no room for a new name. */
  device(group: string, device: string): number | undefined;
  metric(name: string): number | undefined;
  hasDevice(group: string, device: string): boolean;
}

export interface Sample extends Omit<Reject, 'of'> {
  readonly atMs: number;
  readonly topic: string;
  readonly payload: Uint8Array;
}

export interface Gathered {
  readonly block: Block;
  /** From the future. */
  readonly held: readonly BlockReading[];
  /** Without a time of their own, and nobody knows the time. */
  readonly undated: readonly BlockReading[];
  readonly samples: readonly Sample[];
  readonly waiting: readonly ((error?: Error) => void)[];
}

/** Samples of one reason kept of one commit: a flood must not wear the disk. */
const SAMPLES_PER_REASON = 2;
/** Senders with ever new sets of metrics must not fill the memory. */
const MAX_SHAPE_BYTES = 4 * 1024 * 1024;
/** Devices that are known only by what was lost of them: senders with ever new names must not fill the dictionary. */
const MAX_STRANGERS = 1_000;
/** What waits takes about so much memory. */
const MESSAGE_BYTES = 64;
const READING_BYTES = 64;
const VALUE_BYTES = 8;
const SHAPE_BYTES = 200;

/** There are as many names as there may be. */
type NoRoom = 'too-many-devices' | 'too-many-names';

function noRoomFor(reason: NoRoom, { group, device }: Reading): Reject {
  const what =
    reason === 'too-many-devices' ? 'it is new, and there are buffer.maxDevices' : 'one of its metrics is new';
  return { reason, detail: `${group === '' ? '' : `${group} / `}${device.slice(0, 80)}: ${what}` };
}

export class BlockBuilder {
  readonly #ids: Ids;
  readonly #futureMs: number;
  readonly #deliveries: Deliveries;
  readonly #shapes = new Map<string, Shape>();
  readonly #shapesOf = new WeakMap<readonly string[], Shape>();
  /** Of the last reading: the next one mostly has the same. */
  #lastMetrics: readonly string[] | undefined;
  #lastShape: Shape | undefined;
  #readings: BlockReading[] = [];
  #held: BlockReading[] = [];
  #undated: BlockReading[] = [];
  #samples: Sample[] = [];
  #waiting: ((error?: Error) => void)[] = [];
  #in = 0;
  #losses = new Map<string, Loss>();
  #strangers = 0;
  #shapeBytes = 0;
  #bytes = 0;

  constructor(ids: Ids, futureMs: number, deliveries: Deliveries) {
    this.#ids = ids;
    this.#futureMs = futureMs;
    this.#deliveries = deliveries;
  }

  get empty(): boolean {
    return this.#waiting.length === 0 && this.#readings.length === 0;
  }

  /** What waits takes about so much memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** So many messages wait. */
  get messages(): number {
    return this.#waiting.length;
  }

  /** A message, decoded; `done` is told once it is on disk. */
  add(message: Message, decoded: Decoded, now: Now, done: (error?: Error) => void): void {
    this.#in += decoded.readings.length + decoded.rejects.length;
    const latestUs = (now.latestMs + this.#futureMs) * 1000;
    const isRepeated = message.delivery !== undefined && this.#isRepeated(message, message.delivery, decoded);
    for (const reading of decoded.readings) {
      const known = this.#blockReading(reading);
      if (typeof known === 'string') this.#reject('rejected', noRoomFor(known, reading), message, now.wallMs);
      else if (isRepeated && reading.undated) this.#lose('duplicate', 'redelivered', now.wallMs, known.device);
      else this.#sort(known, latestUs, now);
    }
    for (const reject of decoded.rejects) this.#reject('rejected', reject, message, now.wallMs);
    for (const reject of decoded.valueRejects) this.#reject('values', reject, message, now.wallMs);
    this.#waiting.push(done);
    this.#bytes += MESSAGE_BYTES;
  }

  /** Asked only where nothing in the message would tell. */
  #isRepeated({ topic, payload }: Message, delivery: Delivery, { readings }: Decoded): boolean {
    if (!readings.some((reading) => reading.undated)) return false;
    this.#bytes += RECORD_BYTES;
    return this.#deliveries.isRepeated(delivery, topic, payload);
  }

  /** A held reading that counts now. It was tallied when it came in. */
  release(reading: BlockReading, nowMs: number, isEstimate = false): void {
    this.#readings.push(reading);
    this.#lose('released', reading.shape.undated === true ? 'dated' : 'due', nowMs, reading.device);
    if (isEstimate) this.#lose('estimated', 'restarted', nowMs, reading.device);
  }

  #sort(reading: BlockReading, latestUs: number, now: Now): void {
    this.#bytes += READING_BYTES + VALUE_BYTES * reading.values.length + (reading.recordId?.length ?? 0);
    const undated = reading.shape.undated === true;
    if (undated && now.offsetMs !== undefined) this.#readings.push(dated(reading, now.offsetMs));
    else if (!undated && reading.timeUs <= latestUs) this.#readings.push(reading);
    else {
      (undated ? this.#undated : this.#held).push(reading);
      this.#lose('held', undated ? 'undated' : 'future', now.wallMs, reading.device);
    }
  }

  /** What a block that could not be stored held is lost, unless its senders send it again: the next block says so. */
  refused({ tally, deliveries = [] }: Block): void {
    this.#deliveries.undo(deliveries);
    if (tally.in > 0) this.#lose('unstored', 'commit-failed', tally.atMs, 0, tally.in);
    for (const { kind, reason, dayMs, device, count } of tally.losses) {
      if (kind === 'unstored') this.#lose(kind, reason, dayMs, device, count);
    }
  }

  take(nowMs: number): Gathered {
    const tally = { in: this.#in, atMs: nowMs, losses: [...this.#losses.values()] };
    const gathered: Gathered = {
      block: { readings: this.#readings, tally, deliveries: this.#deliveries.take() },
      held: this.#held,
      undated: this.#undated,
      samples: this.#samples,
      waiting: this.#waiting,
    };
    this.#readings = [];
    this.#held = [];
    this.#undated = [];
    this.#samples = [];
    this.#waiting = [];
    this.#in = 0;
    this.#bytes = 0;
    this.#losses = new Map();
    return gathered;
  }

  /** With ids for its names, or why there are none. */
  #blockReading(reading: Reading): BlockReading | NoRoom {
    const shape = this.#shapeOf(reading);
    if (shape === undefined) return 'too-many-names';
    const device = this.#ids.device(reading.group, reading.device);
    if (device === undefined) return 'too-many-devices';
    return { device, shape, timeUs: reading.timeUs, recordId: reading.recordId, values: reading.values };
  }

  /** Readings of one route with the same metrics share one array of names, so that is looked up first. */
  #shapeOf(reading: Reading): Shape | undefined {
    const known = reading.metrics === this.#lastMetrics ? this.#lastShape : this.#shapesOf.get(reading.metrics);
    if (
      known?.windowMs === reading.windowMs &&
      known.lane === reading.lane &&
      known.undated === (reading.undated ?? false) &&
      known.latenessMs === reading.latenessMs
    ) {
      this.#lastMetrics = reading.metrics;
      this.#lastShape = known;
      return known;
    }
    const { windowMs, latenessMs, lane, undated = false, metrics } = reading;
    const key = `${windowMs}/${latenessMs}/${undated}/${lane}\u0000${metrics.join('\u0000')}`;
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      const ids = metrics.map((name) => this.#ids.metric(name));
      if (!ids.every((id) => id !== undefined)) return undefined;
      shape = { windowMs, latenessMs, lane, undated, metrics: ids };
      this.#rememberShape(key, shape);
    }
    this.#shapesOf.set(metrics, shape);
    return shape;
  }

  #rememberShape(key: string, shape: Shape): void {
    if (this.#shapeBytes > MAX_SHAPE_BYTES) {
      this.#shapes.clear();
      this.#shapeBytes = 0;
    }
    this.#shapes.set(key, shape);
    this.#shapeBytes += SHAPE_BYTES + key.length + 8 * shape.metrics.length;
  }

  #lose(kind: LossKind, reason: string, atMs: number, device: number, count = 1): void {
    const dayMs = utcDayMs(atMs);
    const key = `${dayMs}/${kind}/${reason}/${device}`;
    const before = this.#losses.get(key)?.count ?? 0;
    this.#losses.set(key, { dayMs, kind, reason, device, count: before + count });
  }

  #deviceOf({ of }: Reject): number {
    if (of === undefined) return 0;
    const mayBeNew = this.#ids.hasDevice(of.group, of.device) || this.#strangers++ < MAX_STRANGERS;
    return (mayBeNew ? this.#ids.device(of.group, of.device) : undefined) ?? 0;
  }

  #reject(kind: 'rejected' | 'values', reject: Reject, message: Message, nowMs: number): void {
    this.#lose(kind, reject.reason, nowMs, this.#deviceOf(reject));
    const sampled = this.#samples.filter((sample) => sample.reason === reject.reason).length;
    if (sampled >= SAMPLES_PER_REASON) return;
    const { topic, payload } = message;
    this.#samples.push({ reason: reject.reason, detail: reject.detail, atMs: nowMs, topic, payload });
  }
}
