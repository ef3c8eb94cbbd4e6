import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { summaryIn } from './arbitrary.js';
import { crc32 } from './crc32.js';
import { EdgetallyError } from './errors.js';
import { canonicalSums } from './exact.js';
import { binOf } from './sketch.js';
import { type MetricSummary, mergeAll, summarize } from './summary.js';
import { decodeMetrics, encodeMetrics } from './summary-codec.js';
import { CALM, LIVELY, typicalWindows } from './typical.js';

const MINUTE = 60_000;
const START = 1_790_000_040_000;

const metrics = fc
  .array(fc.tuple(fc.oneof(fc.nat(20), fc.maxSafeNat()), summaryIn(START, MINUTE)), { maxLength: 5 })
  .map((pairs) => new Map(pairs));

function of(...values: number[]): MetricSummary {
  return summarize(values.map((value, index) => ({ timeUs: START * 1000 + index, value })));
}

function backAndForth(summary: MetricSummary): MetricSummary {
  return decodeMetrics(encodeMetrics(new Map([[1, summary]]), START, MINUTE), START, MINUTE).get(1)!;
}

t.test('a window of any summaries comes back bit-equal', async () => {
  fc.assert(
    fc.property(metrics, (all) => {
      assert.deepStrictEqual(decodeMetrics(encodeMetrics(all, START, MINUTE), START, MINUTE), all);
    }),
    { numRuns: 500 },
  );
});

t.test('merged summaries come back bit-equal', async () => {
  fc.assert(
    fc.property(fc.array(summaryIn(START, MINUTE), { minLength: 1, maxLength: 6 }), (parts) => {
      const merged = mergeAll(parts);
      assert.deepStrictEqual(backAndForth(merged), merged);
    }),
    { numRuns: 150 },
  );
});

t.test('sums whose scale is less than that of their values come back', async () => {
  const tenths = Array<number>(100).fill(0.1);
  const cases = [
    of(0.5, 0.5),
    of(...tenths),
    // Σx = 11 and Σx² = 2 at scale 0, where they are no sums of integers: one is odd, one is not.
    of(0, ...tenths, 1),
    of(-1, ...tenths, 0, 1),
    of(0.05, ...tenths, ...tenths, 0.95),
    of(1, ...Array<number>(400).fill(0.05), 3),
  ];
  for (const summary of cases) assert.deepStrictEqual(backAndForth(summary), summary);
  assert.equal(cases[2]!.sums.scale, 0, 'the case is what it says');
});

t.test('values at the edges of each kind come back', async () => {
  const cases = [
    [0, -0],
    [-0],
    [1e15, 1e15 - 1],
    [1e15 + 2, 1],
    [1e15 - 1, 1e15 - 7, 1e15, 1e15 - 2, 1e15 - 3],
    [-123456789.01, -123456789.05, -123456789.02, -123456789.03],
    [-1e15, 1e15],
    [1e22, 1e21],
    [1e-22, 3e-22],
    [1e-23, 3e-22],
    [1e120, -1e120, 1e-120],
    [2 ** -24, 2 ** 24],
    [Math.fround(18.9), Math.fround(19.2)],
    [Math.fround(18.9), 19.2],
    [0.011737819751470924, 0.0056825985719608325],
    [2 ** 25, 0],
    [(2 ** 25 - 1) / 2, 0],
    Array<number>(5000).fill(1e6),
  ];
  for (const values of cases) {
    const summary = of(...values);
    assert.deepStrictEqual(backAndForth(summary), summary, String(values));
  }
});

t.test('many readings and wide windows come back', async () => {
  const one = of(...Array.from({ length: 200 }, (_, i) => ((i * 37) % 101) / 10));
  const many = {
    ...one,
    n: one.n * 1e9,
    sketch: { keys: one.sketch.keys, counts: one.sketch.counts.map((c) => c * 1e9) },
  };
  const sums = canonicalSums(one.sums.scale, one.sums.sum * 1_000_000_000n, one.sums.sumSq * 1_000_000_000n);
  const summary: MetricSummary = { ...many, sums };
  const decades = 30 * 366 * 86_400_000;
  const bytes = encodeMetrics(new Map([[3, summary]]), START, decades);
  assert.deepStrictEqual(decodeMetrics(bytes, START, decades).get(3), summary);
});

t.test('a damaged row is named, a newer one is left alone', async () => {
  const bytes = encodeMetrics(
    new Map([
      [1, of(1, 2, 3.5)],
      [2, of(7)],
    ]),
    START,
    MINUTE,
  );
  for (let i = 0; i < bytes.length; i++) {
    for (const bit of [1, 128]) {
      const changed = bytes.slice();
      changed[i]! ^= bit;
      const expected = { code: 'window-damaged', name: 'EdgetallyError' };
      assert.throws(() => decodeMetrics(changed, START, MINUTE), expected, 'also of its layout');
    }
    assert.throws(() => decodeMetrics(bytes.subarray(0, i), START, MINUTE), { code: 'window-damaged' });
  }
  const newer = Buffer.of(2, 1, 1, 0, 0, 0, 0);
  newer.writeUInt32BE(crc32(newer.subarray(0, 3)), 3);
  assert.throws(() => decodeMetrics(newer.subarray(0, 7), START, MINUTE), {
    code: 'database-newer',
    message: /layout 2/,
  });
  assert.throws(() => decodeMetrics(bytes, START, 0), { code: 'window-damaged', message: /outside of its window/ });
});

t.test('any bytes under a right checksum give summaries that could be, or an error', async () => {
  const first = encodeMetrics(
    new Map([
      [1, of(1.5, 2, 3.25, 2.75)],
      [2, of(-7, 11, 0.1 + 0.2)],
    ]),
    START,
    MINUTE,
  );
  let read = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(first.length - 6), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (changes) => {
        const bytes = first.slice();
        for (const [at, value] of changes) bytes[at + 1] = value;
        new DataView(bytes.buffer).setUint32(bytes.length - 4, crc32(bytes.subarray(0, -4)));
        try {
          for (const summary of decodeMetrics(bytes, START, MINUTE).values()) couldBe(summary);
          read++;
        } catch (error) {
          assert.ok(error instanceof EdgetallyError, String(error));
        }
      },
    ),
    { numRuns: 1500 },
  );
  assert.ok(read > 100, `only ${read} of them could be read: the test shows little`);
});

function couldBe({ n, min, max, first, last, sums, sketch }: MetricSummary): void {
  assert.ok(n >= 1 && Number.isSafeInteger(n));
  assert.ok(min <= first.value && first.value <= max && min <= last.value && last.value <= max);
  assert.ok(first.timeUs <= last.timeUs && first.timeUs >= START * 1000 && last.timeUs < (START + MINUTE) * 1000);
  assert.equal(sketch.keys[0], binOf(min));
  assert.equal(sketch.keys.at(-1), binOf(max));
  assert.equal(
    sketch.counts.reduce((a, b) => a + b),
    n,
  );
  assert.ok(sketch.keys.every((key, i) => i === 0 || key > sketch.keys[i - 1]!) && sketch.counts.every((c) => c >= 1));
  assert.ok(BigInt(n) * sums.sumSq >= sums.sum * sums.sum, 'no negative variance');
  const mean = Number(sums.sum) / 10 ** sums.scale / n;
  assert.ok(
    mean >= min - Math.abs(min) * 1e-9 && mean <= max + Math.abs(max) * 1e-9,
    'the mean is between min and max',
  );
}

t.test('rows are small', async (t) => {
  for (const [what, sensors, most] of [
    ['calm', CALM, 13],
    ['lively', LIVELY, 24],
  ] as const) {
    const windows = typicalWindows({ sensors, devices: 100 });
    let bytes = 0;
    for (const { metrics, startMs, lengthMs } of windows) {
      bytes += encodeMetrics(
        new Map([...metrics.values()].map((summary, id) => [id, summary])),
        startMs,
        lengthMs,
      ).length;
    }
    const each = bytes / (windows.length * sensors.length);
    t.comment(`${what}: ${each.toFixed(1)} bytes a summary in a stored row`);
    assert.ok(each <= most, `${each}`);
  }
});
