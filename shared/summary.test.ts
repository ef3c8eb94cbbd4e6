import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { isCountable } from './exact.js';
import { expectedOf } from './oracle.js';
import { mergeAll, mergeSummaries, type Observation, statisticsOf, summarize } from './summary.js';

const decimal2 = fc.integer({ min: -5000, max: 9999 }).map((m) => m / 100);
const float32 = fc.float({ noNaN: true, min: -100, max: 100 });
const anyDouble = fc.double({ noNaN: true, min: -1e120, max: 1e120 });
const huge = fc.double({ noNaN: true, min: 1e110, max: 1e120 });
const tiny = fc.double({ noNaN: true, min: 1e-120, max: 1e-100 });
const value = fc.oneof(decimal2, decimal2, float32, anyDouble, huge, tiny, fc.constantFrom(0, -0)).filter(isCountable);
/** Few distinct times, so that first and last are often tied. */
const timeUs = fc.oneof(fc.integer({ min: -2, max: 3 }), fc.integer({ min: 1.7e15, max: 1.9e15 }));
const observation: fc.Arbitrary<Observation> = fc.record({ timeUs, value });
/** An observation, its place in the order of arrival, and the window it is cut into. */
const arrival = fc.record({ observation, place: fc.nat(), window: fc.nat(6) });

function inTextOrder(observations: readonly Observation[]): Observation[] {
  return [...observations].sort((a, b) => a.timeUs - b.timeUs || a.value - b.value);
}

t.test('any order, any windows, any tree of merges: the same summary to the last bit', async () => {
  fc.assert(
    fc.property(fc.array(arrival, { minLength: 1, maxLength: 40 }), fc.infiniteStream(fc.nat()), (arrivals, picks) => {
      const whole = summarize(arrivals.map(({ observation }) => observation));
      const shuffled = [...arrivals].sort((a, b) => a.place - b.place);
      const windows = [...new Set(shuffled.map(({ window }) => window))];
      const summaries = windows.map((window) =>
        summarize(shuffled.filter((a) => a.window === window).map(({ observation }) => observation)),
      );
      assert.deepEqual(mergeAll(summaries), whole);
      const tree = [...summaries];
      while (tree.length > 1) {
        const [a] = tree.splice(picks.next().value % tree.length, 1);
        const at = picks.next().value % tree.length;
        tree[at] = mergeSummaries(a!, tree[at]!);
      }
      assert.deepEqual(tree[0], whole);
      assert.deepEqual(statisticsOf(tree[0]!), statisticsOf(whole));
    }),
    { numRuns: 300 },
  );
});

t.test('the statistics are what exact arithmetic on the decimals says, rounded once', async () => {
  fc.assert(
    fc.property(fc.array(observation, { minLength: 1, maxLength: 30 }), (observations) => {
      const values = observations.map(({ value }) => value + 0).sort((a, b) => a - b);
      const statistics = statisticsOf(mergeAll(observations.map((one) => summarize([one]))));
      const { p50, p95, p99, ...rest } = statistics;
      const ordered = inTextOrder(observations.map(({ timeUs, value }) => ({ timeUs, value: value + 0 })));
      const [first, last] = [ordered[0], ordered.at(-1)];
      const count = values.length;
      const [min, max] = [values[0], values.at(-1)];
      assert.deepEqual(rest, { count, ...expectedOf(values), min, max, first, last });
      for (const [q, shown] of [
        [0.5, p50],
        [0.95, p95],
        [0.99, p99],
      ] as const) {
        const exact = values[Math.floor(q * (count - 1))]!;
        assert.ok(Math.abs(shown - exact) <= 0.01 * Math.abs(exact), `p${q * 100} ${shown} is not ${exact}`);
      }
    }),
    { numRuns: 300 },
  );
});

t.test('a mix of 2 and 17 digits does not depend on who shared a window', async () => {
  const observations = [21.6, 18.899999618530273, 21.7, 19.100000381469727].map((value, timeUs) => ({ timeUs, value }));
  const whole = summarize(observations);
  const [a, b, c, d] = observations.map((one) => summarize([one]));
  assert.deepEqual(mergeSummaries(mergeSummaries(a!, c!), mergeSummaries(b!, d!)), whole);
  assert.equal(statisticsOf(whole).sum, 81.3);
});

t.test('first and last: the time decides, then the value; never who came first', async () => {
  const tied = [3, -1, 2].map((value) => ({ timeUs: 5, value }));
  for (const order of [tied, [...tied].reverse()]) {
    const { first, last } = mergeAll(order.map((one) => summarize([one])));
    assert.deepEqual([first, last], [tied[1], tied[0]]);
    assert.deepEqual(summarize(order), mergeAll(order.map((one) => summarize([one]))));
  }
});

t.test('quantiles stay between min and max; one observation is all of them', async () => {
  const { min, max, mean, p50, p99, stddev } = statisticsOf(summarize([{ timeUs: 0, value: 21.37 }]));
  assert.deepEqual([min, max, mean, p50, p99, stddev], [21.37, 21.37, 21.37, 21.37, 21.37, undefined]);
});

t.test('nothing, and what is no countable value, is no summary', async () => {
  assert.throws(() => summarize([]), RangeError);
  assert.throws(() => mergeAll([]), RangeError);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 1.1e120, -1e-121, 5e-324]) {
    assert.throws(() => summarize([{ timeUs: 0, value }]), RangeError);
  }
});
