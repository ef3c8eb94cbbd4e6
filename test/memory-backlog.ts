/** The backlog of a gateway in memory, for tests with many gateways or many windows: no disk, and no readings behind it. */
import type { Backlog } from '../agent/push/backlog.js';
import { keyOf } from '../agent/push/backlog.js';
import type { BacklogWindow, RefusedWindow, WindowId, WindowRef } from '../agent/stored-window.js';
import { type MetricSummary, summarize } from '../shared/summary.js';

const STORED_BYTES = 40;

export class MemoryBacklog implements Backlog {
  /** In the order of their start, then of their device. */
  readonly #windows: BacklogWindow[] = [];
  readonly #owed = new Map<string, BacklogWindow>();
  readonly refusals: RefusedWindow[] = [];
  readonly losses = { untold: () => [], receipted: () => undefined };
  /** Called for each window that has its receipt. */
  onReceipt: (ref: WindowRef) => void = () => undefined;
  readonly #metricsOf: (startMs: number, device: number) => ReadonlyMap<string, MetricSummary>;

  /** `metrics`: what is in a window. */
  constructor(metrics: (startMs: number, device: number) => ReadonlyMap<string, MetricSummary> = metricsOf) {
    this.#metricsOf = metrics;
  }

  get owed(): number {
    return this.#owed.size;
  }

  get oldestMs(): number | null {
    return this.#windows.find(({ ref }) => this.#owed.has(keyOf(ref)))?.ref.startMs ?? null;
  }

  /** Windows of devices 1 to `devices`, none of them before those that are there. */
  add(devices: number, startMs: number, lengthMs: number): WindowRef[] {
    const refs: WindowRef[] = [];
    for (let device = 1; device <= devices; device++) {
      const ref = { device, startMs, lengthMs, part: 0, revision: 1 };
      const summary = {
        group: 'hall',
        device: `sensor-${device}`,
        startMs,
        lengthMs,
        part: 0,
        revision: 1,
        readings: 4,
      };
      const window = { ref, summary: { ...summary, metrics: this.#metricsOf(startMs, device) }, bytes: STORED_BYTES };
      this.#windows.push(window);
      this.#owed.set(keyOf(ref), window);
      refs.push(ref);
    }
    return refs;
  }

  /** Many windows that are older than all that are there. */
  addBefore(windows: number, devices: number, endMs: number, lengthMs: number): void {
    const later = this.#windows.splice(0);
    const firstMs = Math.floor(endMs / lengthMs) * lengthMs - windows * lengthMs;
    for (let i = 0; i < windows; i++) this.add(devices, firstMs + i * lengthMs, lengthMs);
    this.#windows.push(...later);
  }

  page(after: WindowId, limit: number): BacklogWindow[] {
    const page: BacklogWindow[] = [];
    for (let index = this.#behind(after); index < this.#windows.length && page.length < limit; index++) {
      const window = this.#windows[index]!;
      if (this.#owed.has(keyOf(window.ref))) page.push(window);
    }
    return page;
  }

  unsent(id: WindowId): BacklogWindow | undefined {
    return this.#owed.get(keyOf(id));
  }

  ledger() {
    return [];
  }

  attempted(refs: readonly WindowRef[]): WindowRef[] {
    return [...refs];
  }

  receipted(refs: readonly WindowRef[]): void {
    for (const ref of refs) if (this.#owed.delete(keyOf(ref))) this.onReceipt(ref);
  }

  refused(): RefusedWindow[] {
    return this.refusals;
  }

  refuse(ref: WindowRef, reason: string, detail: string): void {
    this.refusals.push({ ref, reason, detail, atMs: 0 });
  }

  #behind({ startMs, device }: WindowId): number {
    let low = 0;
    let high = this.#windows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { ref } = this.#windows[middle]!;
      if (ref.startMs < startMs || (ref.startMs === startMs && ref.device <= device)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The times of first and last lie in the window, so each start has its own. */
let latest: { startMs: number; metrics: ReadonlyMap<string, MetricSummary> } | undefined;

function metricsOf(startMs: number): ReadonlyMap<string, MetricSummary> {
  if (latest?.startMs === startMs) return latest.metrics;
  const readings = [21.4, 21.5, 21.3, 21.5].map((value, i) => ({ timeUs: (startMs + i * 100) * 1000, value }));
  latest = { startMs, metrics: new Map([['temperature', summarize(readings)]]) };
  return latest.metrics;
}
