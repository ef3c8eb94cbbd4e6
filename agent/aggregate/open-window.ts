/**
 * One window in memory: which readings it has seen, and one accumulator row for each of its metrics.
 *
 * A reading that is newer than all others of its window cannot be a repetition, so it waits in a chunk of raw readings; the
 * chunk is folded when it is full, when another reading needs to know what was seen, and before the window is saved.
 */
import type { MetricSummary } from '../../shared/summary.js';
import type { BlockReading, Shape } from '../block.js';
import { Seen } from '../seen/seen.js';
import type { StoredInterval, WindowSave } from '../stored-window.js';
import type { Accumulators } from './accumulators.js';
import { CHUNK, type RawReadings, type Slab } from './raw-readings.js';

export class OpenWindow {
  readonly device: number;
  readonly startMs: number;
  readonly lengthMs: number;
  /** Given when it first changes. */
  part = 0;
  revision = 0;
  folded = 0;
  readings = 0;
  #savedReadings = 0;
  seen = new Seen();
  /** What other parts of it have counted; undefined where there are none. */
  #known: Seen | undefined;
  readonly metrics: number[] = [];
  readonly rows: number[] = [];
  /** First block that changed it since it was saved; 0 where it is clean. */
  dirtySince = 0;
  /** Last block with a reading of it, be it a repeated one. */
  touched = 0;
  closesMs = 0;
  /** See memory-use.ts. */
  bytes = 0;
  chargedRows = 0;
  /** No reading of the window is newer. */
  #newestUs = Number.NEGATIVE_INFINITY;
  /** The chunk of raw readings: of this shape, in this slab, from there, so many. */
  #rawShape: Shape | undefined;
  #slab: Slab | undefined;
  #chunk = 0;
  #raw = 0;

  constructor(device: number, startMs: number, lengthMs: number) {
    this.device = device;
    this.startMs = startMs;
    this.lengthMs = lengthMs;
  }

  static restore(stored: StoredInterval, accumulators: Accumulators): OpenWindow {
    const { device, startMs, lengthMs, folded, growing } = stored;
    const window = new OpenWindow(device, startMs, lengthMs);
    window.folded = folded;
    for (const { seen, readings } of stored.frozen) {
      window.#known ??= new Seen();
      window.#newestUs = Number.POSITIVE_INFINITY; // any reading may be a repetition
      window.#known.merge(Seen.decode(seen, readings), 0);
    }
    if (growing === undefined) return window;
    window.part = growing.part;
    window.revision = growing.revision;
    window.readings = window.#savedReadings = growing.readings;
    if (growing.seen !== undefined) window.seen = Seen.decode(growing.seen, growing.readings);
    for (const [metric, summary] of growing.metrics) {
      window.metrics.push(metric);
      window.rows.push(accumulators.restore(summary));
      window.#newestUs = Math.max(window.#newestUs, summary.last.timeUs);
    }
    return window;
  }

  /** Readings since it was last saved. */
  get gained(): number {
    return this.readings - this.#savedReadings;
  }

  contains(timeMs: number): boolean {
    return timeMs >= this.startMs && timeMs < this.startMs + this.lengthMs;
  }

  /** Counts a reading, or says by false that it is counted already. */
  add(reading: BlockReading, accumulators: Accumulators, raw: RawReadings, scales: readonly number[]): boolean {
    const { shape, timeUs, recordId } = reading;
    const isKnowable = !shape.undated || recordId !== undefined;
    if (timeUs > this.#newestUs && isKnowable && recordId === undefined) {
      this.#newestUs = timeUs;
      this.#append(reading, accumulators, raw, scales);
      this.readings++;
      return true;
    }
    this.fold(accumulators, scales);
    if (isKnowable && !this.#remember(shape.lane, timeUs - this.startMs * 1000, recordId)) return false;
    this.#newestUs = Math.max(this.#newestUs, timeUs);
    this.readings++;
    const { metrics } = shape;
    for (let i = 0; i < metrics.length; i++) {
      accumulators.add(this.#row(metrics[i]!, i, accumulators, scales), reading.values[i]!, timeUs);
    }
    return true;
  }

  /** False where this or another part has counted it. */
  #remember(lane: string, offsetUs: number, recordId: string | undefined): boolean {
    if (this.#known?.add(lane, offsetUs, recordId) === false) return false;
    return this.seen.add(lane, offsetUs, recordId);
  }

  #append(reading: BlockReading, accumulators: Accumulators, raw: RawReadings, scales: readonly number[]): void {
    const { shape } = reading;
    if (shape !== this.#rawShape) this.#take(shape, accumulators, raw, scales);
    const slab = this.#slab!;
    slab.write(this.#chunk + this.#raw * slab.stride, reading.timeUs, reading.values);
    if (++this.#raw === CHUNK) this.fold(accumulators, scales);
  }

  /** A chunk for readings of this shape. */
  #take(shape: Shape, accumulators: Accumulators, raw: RawReadings, scales: readonly number[]): void {
    this.fold(accumulators, scales);
    this.#rawShape = shape;
    const slab = raw.slab(shape.metrics.length);
    if (slab === this.#slab) return;
    this.#slab?.release(this.#chunk);
    this.#slab = slab;
    this.#chunk = slab.allocate();
  }

  /** Folds what waits. `scales` are guesses by metric. */
  fold(accumulators: Accumulators, scales: readonly number[]): void {
    const count = this.#raw;
    if (count === 0) return;
    const slab = this.#slab!;
    const { lane, metrics } = this.#rawShape!;
    this.#raw = 0;
    const startUs = this.startMs * 1000;
    for (let i = 0; i < count; i++) {
      this.seen.add(lane, slab.rows[this.#chunk + i * slab.stride]! - startUs, undefined);
    }
    for (let i = 0; i < metrics.length; i++) {
      accumulators.addColumn(this.#row(metrics[i]!, i, accumulators, scales), slab, this.#chunk, count, 1 + i);
    }
  }

  /** The row of a metric. `hint` is where it most likely stands: readings of one shape keep their order. */
  #row(metric: number, hint: number, accumulators: Accumulators, scales: readonly number[]): number {
    if (this.metrics[hint] === metric) return this.rows[hint]!;
    const index = this.metrics.indexOf(metric);
    if (index >= 0) return this.rows[index]!;
    const row = accumulators.allocate(scales[metric] ?? 0);
    this.metrics.push(metric);
    this.rows.push(row);
    return row;
  }

  /** The content as of block `folded`, at the next revision. */
  save(folded: number, accumulators: Accumulators, scales: readonly number[]): WindowSave {
    this.fold(accumulators, scales);
    const metrics = new Map<number, MetricSummary>();
    for (let i = 0; i < this.metrics.length; i++) metrics.set(this.metrics[i]!, accumulators.summary(this.rows[i]!));
    return {
      device: this.device,
      startMs: this.startMs,
      lengthMs: this.lengthMs,
      part: this.part,
      revision: this.revision + 1,
      folded,
      readings: this.readings,
      metrics,
      seen: this.seen.encode(),
      gained: this.gained,
      closesMs: this.closesMs,
    };
  }

  /** Gives up its rows, and what was not folded. */
  free(accumulators: Accumulators): void {
    this.#slab?.release(this.#chunk);
    this.#slab = undefined;
    this.#rawShape = undefined;
    this.#raw = 0;
    for (const row of this.rows) accumulators.free(row);
  }
}
