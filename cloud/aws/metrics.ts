/**
 * Metrics of CloudWatch as lines of the log (embedded metric format). Of the whole fleet: a metric is paid for by the
 * combination of its dimensions, so there is none but the function, and a gateway is never one.
 */

export const NAMESPACE = 'Edgetally';

/** Writes one line; names are counters since the last line. */
export type WriteMetrics = (counts: Readonly<Record<string, number>>) => void;

export function metricsLine(name: string, counts: Readonly<Record<string, number>>, nowMs: number): string {
  const Metrics = Object.keys(counts).map((metric) => ({ Name: metric, Unit: 'Count' }));
  const CloudWatchMetrics = [{ Namespace: NAMESPACE, Dimensions: [['Function']], Metrics }];
  return JSON.stringify({ _aws: { Timestamp: nowMs, CloudWatchMetrics }, Function: name, ...counts });
}

export function metricsTo(name: string, write: (line: string) => void, now: () => number): WriteMetrics {
  return (counts) => write(`${metricsLine(name, counts, now())}\n`);
}
