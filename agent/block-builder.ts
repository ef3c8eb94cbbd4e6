/** Gathers what sources hand over until the next commit: readings by dictionary id, the tally, samples, who waits. */
import type { Block, BlockReading, Shape, Tally } from './block.js';
import { emptyTally } from './block.js';
import type { Decoded, Message, Reading, Reject } from './reading.js';

/** The buffer's dictionary, as far as it is needed here. */
export interface Ids {
  device(group: string, device: string): number;
  metric(name: string): number;
}

export interface Sample extends Reject {
  readonly atMs: number;
  readonly topic: string;
  readonly payload: Uint8Array;
}

export interface Gathered {
  readonly block: Block;
  readonly held: readonly BlockReading[];
  readonly samples: readonly Sample[];
  readonly waiting: readonly ((error?: Error) => void)[];
}

/** Samples of one reason kept of one commit: a flood must not wear the disk. */
const SAMPLES_PER_REASON = 2;
/** Senders with ever new sets of metrics must not fill the memory. */
const MAX_SHAPES = 10_000;

export class BlockBuilder {
  readonly #ids: Ids;
  readonly #futureMs: number;
  readonly #shapes = new Map<string, Shape>();
  readonly #shapesOf = new WeakMap<readonly string[], Shape>();
  #readings: BlockReading[] = [];
  #held: BlockReading[] = [];
  #samples: Sample[] = [];
  #waiting: ((error?: Error) => void)[] = [];
  #tally: Tally = emptyTally();

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
  add(message: Message, decoded: Decoded, nowMs: number, done: (error?: Error) => void): void {
    this.#tally.in += decoded.readings.length + decoded.rejects.length;
    const bound = (nowMs + this.#futureMs) * 1000;
    for (const reading of decoded.readings) {
      if (reading.timeUs <= bound) this.#readings.push(this.#blockReading(reading));
      else {
        this.#held.push(this.#blockReading(reading));
        this.#tally.held++;
      }
    }
    for (const reject of decoded.rejects) this.#reject(this.#tally.rejected, reject, message, nowMs);
    for (const reject of decoded.valueRejects) this.#reject(this.#tally.values, reject, message, nowMs);
    this.#waiting.push(done);
  }

  /** A held reading whose time has come. It was tallied when it came in. */
  release(reading: BlockReading): void {
    this.#readings.push(reading);
    this.#tally.held--;
  }

  take(): Gathered {
    const gathered: Gathered = {
      block: { readings: this.#readings, tally: this.#tally },
      held: this.#held,
      samples: this.#samples,
      waiting: this.#waiting,
    };
    this.#readings = [];
    this.#held = [];
    this.#samples = [];
    this.#waiting = [];
    this.#tally = emptyTally();
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
      known.latenessMs === reading.latenessMs
    ) {
      return known;
    }
    const { windowMs, latenessMs, lane, metrics } = reading;
    const key = `${windowMs}/${latenessMs}/${lane}\u0000${metrics.join('\u0000')}`;
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      if (this.#shapes.size >= MAX_SHAPES) this.#shapes.clear();
      shape = { windowMs, latenessMs, lane, metrics: metrics.map((name) => this.#ids.metric(name)) };
      this.#shapes.set(key, shape);
    }
    this.#shapesOf.set(metrics, shape);
    return shape;
  }

  #reject(counts: Tally['rejected'], reject: Reject, message: Message, nowMs: number): void {
    counts[reject.reason] = (counts[reject.reason] ?? 0) + 1;
    const sampled = this.#samples.filter((sample) => sample.reason === reject.reason).length;
    if (sampled >= SAMPLES_PER_REASON) return;
    const { topic, payload } = message;
    this.#samples.push({ ...reject, atMs: nowMs, topic, payload });
  }
}
