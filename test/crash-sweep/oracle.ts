/** A summary held against the raw observations, in exact decimal arithmetic of its own. */
import { digitsAt, parseDecimal } from '../../demo/oracle-decimal.js';
import type { MetricSummary, Observation } from '../../shared/summary.js';

export function compareMetric(summary: MetricSummary, observations: readonly Observation[]): string[] {
  if (observations.length === 0) return ['there is no such reading'];
  const { sums } = summary;
  const decimals = observations.map(({ value }) => parseDecimal(String(value)));
  const scale = Math.max(sums.scale, ...decimals.map((decimal) => decimal.scale));
  const digits = decimals.map((decimal) => digitsAt(decimal, scale));
  const sorted = [...observations].sort((a, b) => a.timeUs - b.timeUs || a.value - b.value);
  const values = observations.map(({ value }) => value).sort((a, b) => a - b);
  const pairs: [string, unknown, unknown][] = [
    ['n', summary.n, observations.length],
    ['sum', digitsAt({ digits: sums.sum, scale: sums.scale }, scale), digits.reduce((a, b) => a + b)],
    [
      'sumSq',
      digitsAt({ digits: sums.sumSq, scale: 2 * sums.scale }, 2 * scale),
      digits.reduce((a, b) => a + b * b, 0n),
    ],
    ['min', summary.min, values[0]],
    ['max', summary.max, values.at(-1)],
    ['first', JSON.stringify(summary.first), JSON.stringify(sorted[0])],
    ['last', JSON.stringify(summary.last), JSON.stringify(sorted.at(-1))],
    ['sketch', summary.sketch.counts.reduce((a, b) => a + b, 0), observations.length],
  ];
  return pairs.filter(([, is, should]) => is !== should).map(([name, is, should]) => `${name} ${is}, not ${should}`);
}

export function groupBy<T>(list: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
