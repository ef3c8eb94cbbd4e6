/**
 * The summary of one metric of one device in one window: n, exact Σx and Σx², extremes, first and last, a quantile sketch.
 *
 * Promises: merging is exactly associative and commutative: however the observations were ordered and cut into windows, the
 * merged summary is the same to the last bit, and so are the statistics read from it. Never empty: nothing observed is no
 * summary.
 */

import { addSums, type ExactSums, isCountable, meanOf, stddevOf, sumsOf, totalOf } from './exact.js';
import { mergeAllSketches, quantileOf, type Sketch, sketchOf } from './sketch.js';

export interface Observation {
  /** Observation time, whole µs since 1970 UTC. */
  readonly timeUs: number;
  readonly value: number;
}

export interface MetricSummary {
  readonly n: number;
  readonly sums: ExactSums;
  readonly min: number;
  readonly max: number;
  /** The least by (time, value). */
  readonly first: Observation;
  /** The greatest by (time, value). */
  readonly last: Observation;
  readonly sketch: Sketch;
}

export interface Statistics {
  readonly count: number;
  readonly sum: number;
  readonly mean: number;
  /** Of a sample (n − 1); undefined for a single observation. */
  readonly stddev: number | undefined;
  readonly min: number;
  readonly max: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly first: Observation;
  readonly last: Observation;
}

export function summarize(observations: Iterable<Observation>): MetricSummary {
  const values: number[] = [];
  let first: Observation | undefined;
  let last: Observation | undefined;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const observation of observations) {
    if (!isCountable(observation.value)) throw new RangeError(`${observation.value} is not a value that counts`);
    const seen = { timeUs: observation.timeUs, value: observation.value + 0 };
    values.push(seen.value);
    min = Math.min(min, seen.value);
    max = Math.max(max, seen.value);
    first = first === undefined || compareObservations(seen, first) < 0 ? seen : first;
    last = last === undefined || compareObservations(seen, last) > 0 ? seen : last;
  }
  if (first === undefined || last === undefined) throw new RangeError('a summary of nothing');
  return { n: values.length, sums: sumsOf(values), min, max, first, last, sketch: sketchOf(values) };
}

export function mergeSummaries(a: MetricSummary, b: MetricSummary): MetricSummary {
  return mergeAll([a, b]);
}

/** All of them as one; at least one. */
export function mergeAll(summaries: readonly MetricSummary[]): MetricSummary {
  const head = summaries[0];
  if (head === undefined) throw new RangeError('a summary of nothing');
  let { n, sums, min, max, first, last } = head;
  for (let i = 1; i < summaries.length; i++) {
    const next = summaries[i]!;
    n += next.n;
    sums = addSums(sums, next.sums);
    min = Math.min(min, next.min);
    max = Math.max(max, next.max);
    if (compareObservations(next.first, first) < 0) first = next.first;
    if (compareObservations(next.last, last) > 0) last = next.last;
  }
  return { n, sums, min, max, first, last, sketch: mergeAllSketches(summaries.map((summary) => summary.sketch)) };
}

export function statisticsOf(summary: MetricSummary): Statistics {
  const { n, sums, min, max, first, last } = summary;
  const quantile = (q: number) => Math.min(max, Math.max(min, quantileOf(summary.sketch, q)));
  return {
    count: n,
    sum: totalOf(sums),
    mean: meanOf(n, sums),
    stddev: stddevOf(n, sums),
    min,
    max,
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
    first,
    last,
  };
}

function compareObservations(a: Observation, b: Observation): number {
  return a.timeUs - b.timeUs || a.value - b.value;
}
