/** Gathers what sources hand over until the next commit: readings by dictionary id, the tally, samples, who waits. */
import type { LossKind } from '../shared/loss.js';
import { utcDayMs } from '../shared/window.js';
import type { Block, BlockReading, Loss, Shape } from './block.js';
import { dated } from './dating.js';
import type { Decoded, Message, Reading, Reject } from './reading.js';
import type { Now } from './time-keeper.js';

/** The buffer's dictionary, as far as it is needed here. */
export interface Ids {
  device(group: string, device: string): number;
  metric(name: string): number;
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
const MAX_SHAPES = 10_000;
/** Devices that are known only by what was lost of them: senders with ever new names must not fill the dictionary. */
const MAX_STRANGERS = 1_000;

export class BlockBuilder {
  readonly #ids: Ids;
  readonly #futureMs: number;
  readonly #shapes = new Map<string, Shape>();
  readonly #shapesOf = new WeakMap<readonly string[], Shape>();
  #readings: BlockReading[] = [];
  #held: BlockReading[] = [];
  #undated: BlockReading[] = [];
  #samples: Sample[] = [];
  #waiting: ((error?: Error) => void)[] = [];
  #in = 0;
  #losses = new Map<string, Loss>();
  #strangers = 0;

  constructor(ids: Ids, futureMs: number) {
    this.#ids = ids;
    this.#futureMs = futureMs;
  }

  get empty(): boolean {
    return this.#waiting.length === 0 && this.#readings.length === 0;
  }

  get size(): number {
    return this.#readings.length + this.#waiting.length;
  }

  /** A message, decoded; `done` is told once it is on disk. */
  add(message: Message, decoded: Decoded, now: Now, done: (error?: Error) => void): void {
    this.#in += decoded.readings.length + decoded.rejects.length;
    const latestUs = (now.latestMs + this.#futureMs) * 1000;
    for (const reading of decoded.readings) this.#sort(this.#blockReading(reading), latestUs, now);
    for (const reject of decoded.rejects) this.#reject('rejected', reject, message, now.wallMs);
    for (const reject of decoded.valueRejects) this.#reject('values', reject, message, now.wallMs);
    this.#waiting.push(done);
  }

  /** A held reading that counts now. It was tallied when it came in. */
  release(reading: BlockReading, nowMs: number, isEstimate = false): void {
    this.#readings.push(reading);
    this.#lose('released', reading.shape.undated === true ? 'dated' : 'due', nowMs, reading.device);
    if (isEstimate) this.#lose('estimated', 'restarted', nowMs, reading.device);
  }

  #sort(reading: BlockReading, latestUs: number, now: Now): void {
    const undated = reading.shape.undated === true;
    if (undated && now.offsetMs !== undefined) this.#readings.push(dated(reading, now.offsetMs));
    else if (!undated && reading.timeUs <= latestUs) this.#readings.push(reading);
    else {
      (undated ? this.#undated : this.#held).push(reading);
      this.#lose('held', undated ? 'undated' : 'future', now.wallMs, reading.device);
    }
  }

  /** What a block that could not be stored held is lost, unless its senders send it again: the next block says so. */
  refused({ tally }: Block): void {
    if (tally.in > 0) this.#lose('refused', 'not-stored', tally.atMs, 0, tally.in);
    for (const { kind, reason, dayMs, device, count } of tally.losses) {
      if (kind === 'refused') this.#lose(kind, reason, dayMs, device, count);
    }
  }

  take(nowMs: number): Gathered {
    const gathered: Gathered = {
      block: { readings: this.#readings, tally: { in: this.#in, atMs: nowMs, losses: [...this.#losses.values()] } },
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
    this.#losses = new Map();
    return gathered;
  }

  #blockReading(reading: Reading): BlockReading {
    return {
      device: this.#ids.device(reading.group, reading.device),
      shape: this.#shapeOf(reading),
      timeUs: reading.timeUs,
      recordId: reading.recordId,
      values: reading.values,
    };
  }

  /** Readings of one route with the same metrics share one array of names, so that is looked up first. */
  #shapeOf(reading: Reading): Shape {
    const known = this.#shapesOf.get(reading.metrics);
    if (
      known?.windowMs === reading.windowMs &&
      known.lane === reading.lane &&
      known.undated === (reading.undated ?? false) &&
      known.latenessMs === reading.latenessMs
    ) {
      return known;
    }
    const { windowMs, latenessMs, lane, undated = false, metrics } = reading;
    const key = `${windowMs}/${latenessMs}/${undated}/${lane}\u0000${metrics.join('\u0000')}`;
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      if (this.#shapes.size >= MAX_SHAPES) this.#shapes.clear();
      shape = { windowMs, latenessMs, lane, undated, metrics: metrics.map((name) => this.#ids.metric(name)) };
      this.#shapes.set(key, shape);
    }
    this.#shapesOf.set(metrics, shape);
    return shape;
  }

  #lose(kind: LossKind, reason: string, atMs: number, device: number, count = 1): void {
    const dayMs = utcDayMs(atMs);
    const key = `${dayMs}/${kind}/${reason}/${device}`;
    const before = this.#losses.get(key)?.count ?? 0;
    this.#losses.set(key, { dayMs, kind, reason, device, count: before + count });
  }

  #deviceOf({ of }: Reject): number {
    if (of === undefined) return 0;
    if (this.#ids.hasDevice(of.group, of.device)) return this.#ids.device(of.group, of.device);
    return this.#strangers++ < MAX_STRANGERS ? this.#ids.device(of.group, of.device) : 0;
  }

  #reject(kind: 'rejected' | 'values', reject: Reject, message: Message, nowMs: number): void {
    this.#lose(kind, reject.reason, nowMs, this.#deviceOf(reject));
    const sampled = this.#samples.filter((sample) => sample.reason === reject.reason).length;
    if (sampled >= SAMPLES_PER_REASON) return;
    const { topic, payload } = message;
    this.#samples.push({ reason: reject.reason, detail: reject.detail, atMs: nowMs, topic, payload });
  }
}
