import fc from 'fast-check';
import t from 'tap';
import { type Observation, summarize } from '../../shared/summary.js';
import { Accumulators } from './accumulators.js';
import { CHUNK, RawReadings } from './raw-readings.js';

/** What sensors send, and what they should not: short decimals, jumps, 17 digits, huge, tiny, negative, zeroes. */
const value = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -5000, max: 5000 }).map((m) => m / 100) },
  { weight: 2, arbitrary: fc.integer({ min: -1e9, max: 1e9 }).map((m) => m / 1000) },
  fc.integer({ min: -1e15, max: 1e15 }),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }).filter((x) => x === 0 || Math.abs(x) >= 1e-120),
  fc.constantFrom(0, -0, 1e120, -1e120, 1e-120, 123456789.123456, 1e15, 0.1, 1e22, 9007199254740992),
);
const observation = fc.record({ timeUs: fc.integer({ min: 0, max: 20 }), value });

function accumulate(observations: readonly Observation[], restoreAfter = -1) {
  const accumulators = new Accumulators();
  let row = accumulators.allocate(0);
  observations.forEach(({ timeUs, value }, i) => {
    accumulators.add(row, value, timeUs);
    if (i === restoreAfter) row = accumulators.restore(accumulators.summary(row));
  });
  return accumulators.summary(row);
}

t.test('the fast path equals the big-integer summary, whatever the values', async (t) => {
  fc.assert(
    fc.property(fc.array(observation, { minLength: 1, maxLength: 60 }), fc.integer({ min: 0, max: 70 }), (list, at) => {
      const expected = summarize(list.map(({ timeUs, value }) => ({ timeUs, value: value + 0 })));
      t.strictSame(accumulate(list), expected);
      t.strictSame(accumulate(list, at), expected, 'and going on from a stored summary');
    }),
    { numRuns: 500 },
  );
});

t.test('a column of raw readings is the same as its values one by one', async (t) => {
  const chunk = fc.record({ values: fc.array(value, { minLength: 1, maxLength: CHUNK }), late: fc.boolean() });
  fc.assert(
    fc.property(fc.array(chunk, { minLength: 1, maxLength: 6 }), (chunks) => {
      const accumulators = new Accumulators();
      const slab = new RawReadings().slab(2);
      const row = accumulators.allocate(0);
      const seen: Observation[] = [];
      chunks.forEach(({ values, late }, c) => {
        const at = slab.allocate();
        const startUs = (late ? chunks.length - c : chunks.length + c) * CHUNK;
        values.forEach((value, i) => {
          slab.write(at + i * slab.stride, startUs + i, [-1, value]);
          seen.push({ timeUs: startUs + i, value });
        });
        accumulators.addColumn(row, slab, at, values.length, 2);
      });
      t.strictSame(accumulators.summary(row), summarize(seen));
    }),
    { numRuns: 300 },
  );
});

t.test('the fast path is left and found again', async (t) => {
  const values = [21.4, 21.5, 1e9 + 0.25, 21.4, 1e15, -1e15, 0.123456789012345, 0.0056825985719608325, 21.4];
  const list = values.map((value, timeUs) => ({ timeUs, value }));
  t.strictSame(accumulate(list), summarize(list));
});

t.test('many values whose squares overflow a double', async (t) => {
  const list = Array.from({ length: 5000 }, (_, i) => ({ timeUs: i, value: (i % 2 === 0 ? 1 : -1) * 30_000_001 }));
  t.strictSame(accumulate(list), summarize(list));
});

t.test('rows are used again', async (t) => {
  const accumulators = new Accumulators();
  const rows = Array.from({ length: 200 }, () => accumulators.allocate(2));
  for (const row of rows) accumulators.add(row, 0.0056825985719608325, 1);
  for (const row of rows) accumulators.free(row);
  const row = accumulators.allocate(0);
  t.ok(rows.includes(row));
  accumulators.add(row, 7, 3);
  t.strictSame(accumulators.summary(row), summarize([{ timeUs: 3, value: 7 }]), 'nothing is left of the last user');
});
