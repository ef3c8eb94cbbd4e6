/** The blobs of windows and roll-ups, the same in every database: all metrics in one, under its own ids for their names. */

import type { MetricSummary } from '../../shared/summary.js';
import { decodeMetrics, encodeMetrics } from '../../shared/summary-codec.js';
import type { Metrics } from './store.js';

/**
 * The codec takes times within a window. A roll-up holds windows that start in it, and may end long after; so it is written
 * as if it were a window of 30 years, which costs nothing: times are told from the start on.
 */
export const ROLL_UP_SPAN_MS = 30 * 366 * 86_400_000;

/** Ids for the names of metrics, both ways, from 0 on. */
export interface MetricNames {
  metric(name: string): number;
  /** Throws where there is none. */
  metricName(id: number): string;
}

const NONE: ReadonlyMap<string, MetricSummary> = new Map();

export function encodeSummary(
  names: MetricNames,
  metrics: ReadonlyMap<string, MetricSummary>,
  startMs: number,
  lengthMs: number,
): Uint8Array {
  const byId = new Map<number, MetricSummary>();
  for (const [name, summary] of metrics) byId.set(names.metric(name), summary);
  return encodeMetrics(byId, startMs, lengthMs);
}

export function decodeSummary(
  names: MetricNames,
  blob: Uint8Array,
  startMs: number,
  lengthMs: number,
  wanted: Metrics,
): ReadonlyMap<string, MetricSummary> {
  if (wanted === 'none') return NONE;
  const metrics = new Map<string, MetricSummary>();
  for (const [id, summary] of decodeMetrics(blob, startMs, lengthMs)) {
    const name = names.metricName(id);
    if (wanted === 'all' || wanted.has(name)) metrics.set(name, summary);
  }
  return metrics;
}
