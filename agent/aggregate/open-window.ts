/** One window in memory: which readings it has seen, and one accumulator row for each of its metrics. */
import type { MetricSummary } from '../../shared/summary.js';
import { Seen } from '../seen.js';
import type { StoredWindow, WindowSave } from '../stored-window.js';
import type { Accumulators } from './accumulators.js';

export class OpenWindow {
  readonly device: number;
  readonly startMs: number;
  readonly lengthMs: number;
  readonly part: number;
  revision = 0;
  folded = 0;
  readings = 0;
  #savedReadings = 0;
  seen = new Seen();
  readonly metrics: number[] = [];
  readonly rows: number[] = [];
  /** First block that changed it since it was saved; 0 where it is clean. */
  dirtySince = 0;
  /** Last block with a reading of it, be it a repeated one. */
  touched = 0;
  closesMs = 0;

  constructor(device: number, startMs: number, lengthMs: number, part: number) {
    this.device = device;
    this.startMs = startMs;
    this.lengthMs = lengthMs;
    this.part = part;
  }

  static restore(stored: StoredWindow, seen: Uint8Array, accumulators: Accumulators): OpenWindow {
    const window = new OpenWindow(stored.device, stored.startMs, stored.lengthMs, stored.part);
    window.revision = stored.revision;
    window.folded = stored.folded;
    window.readings = window.#savedReadings = stored.readings;
    window.seen = Seen.decode(seen, stored.readings);
    for (const [metric, summary] of stored.metrics) {
      window.metrics.push(metric);
      window.rows.push(accumulators.restore(summary));
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

  /** The row of a metric. `hint` is where it most likely stands: readings of one shape keep their order. */
  row(metric: number, hint: number, accumulators: Accumulators, scaleGuess: number): number {
    if (this.metrics[hint] === metric) return this.rows[hint]!;
    const index = this.metrics.indexOf(metric);
    if (index >= 0) return this.rows[index]!;
    const row = accumulators.allocate(scaleGuess);
    this.metrics.push(metric);
    this.rows.push(row);
    return row;
  }

  /** The content as of block `folded`, at the next revision. */
  save(folded: number, accumulators: Accumulators): WindowSave {
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

  free(accumulators: Accumulators): void {
    for (const row of this.rows) accumulators.free(row);
  }
}
