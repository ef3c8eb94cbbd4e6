/** Readings, windows and batches for tests. */
import { type Observation, summarize } from '../../shared/summary.js';
import { type WindowSummary, windowStartMs } from '../../shared/window.js';
import type { BatchChange } from './store.js';

export interface SampleReading {
  readonly group?: string;
  readonly device?: string;
  readonly timeMs: number;
  readonly values: Readonly<Record<string, number>>;
}

/** Noon of a summer day. */
export const NOON = Date.UTC(2026, 6, 1, 12);
export const EPOCH_A = 'a'.repeat(32);
export const EPOCH_B = 'b'.repeat(32);

/** The windows that an aggregator would make of these readings. */
export function windowsOf(
  readings: readonly SampleReading[],
  lengthMs = 60_000,
  revision = 1,
  part = 0,
): WindowSummary[] {
  const byKey = new Map<string, SampleReading[]>();
  for (const reading of readings) {
    const key = JSON.stringify([
      reading.group ?? '',
      reading.device ?? 'd1',
      windowStartMs(reading.timeMs * 1000, lengthMs),
    ]);
    byKey.set(key, [...(byKey.get(key) ?? []), reading]);
  }
  return [...byKey].map(([key, members]) => {
    const [group, device, startMs] = JSON.parse(key) as [string, string, number];
    const observed = new Map<string, Observation[]>();
    for (const { timeMs, values } of members) {
      for (const [metric, value] of Object.entries(values)) {
        observed.set(metric, [...(observed.get(metric) ?? []), { timeUs: timeMs * 1000, value }]);
      }
    }
    const metrics = new Map([...observed].map(([metric, list]) => [metric, summarize(list)]));
    return { group, device, startMs, lengthMs, part, revision, readings: members.length, metrics };
  });
}

export function batchOf(windows: readonly WindowSummary[], more: Partial<BatchChange> = {}): BatchChange {
  const identity = { epoch: EPOCH_A, session: 1, sequence: 1 };
  return { kind: 'batch', gateway: 'gw', ...identity, receivedMs: NOON, windows, ledger: [], losses: [], ...more };
}
