/** The blobs of windows and roll-ups: all metrics in one, under the database's ids for their names. */

import type { MetricSummary } from '../../../shared/summary.js';
import { decodeMetrics, encodeMetrics } from '../../../shared/summary-codec.js';
import type { Metrics } from '../store.js';
import type { SqliteDictionary } from './dictionary.js';

/**
 * The codec takes times within a window. A roll-up holds windows that start in it, and may end long after; so it is written
 * as if it were a window of 30 years, which costs nothing: times are told from the start on.
 */
export const ROLL_UP_SPAN_MS = 30 * 366 * 86_400_000;

const NONE: ReadonlyMap<string, MetricSummary> = new Map();

export function encodeSummary(
  dictionary: SqliteDictionary,
  metrics: ReadonlyMap<string, MetricSummary>,
  startMs: number,
  lengthMs: number,
): Uint8Array {
  const byId = new Map<number, MetricSummary>();
  for (const [name, summary] of metrics) byId.set(dictionary.metric(name), summary);
  return encodeMetrics(byId, startMs, lengthMs);
}

export function decodeSummary(
  dictionary: SqliteDictionary,
  blob: Uint8Array,
  startMs: number,
  lengthMs: number,
  wanted: Metrics,
): ReadonlyMap<string, MetricSummary> {
  if (wanted === 'none') return NONE;
  const metrics = new Map<string, MetricSummary>();
  for (const [id, summary] of decodeMetrics(blob, startMs, lengthMs)) {
    const name = dictionary.metricName(id);
    if (wanted === 'all' || wanted.has(name)) metrics.set(name, summary);
  }
  return metrics;
}
