import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import {
  addSums,
  canonicalSums,
  decimalOf,
  EMPTY_SUMS,
  isCountable,
  MAX_MAGNITUDE,
  MIN_MAGNITUDE,
  meanOf,
  scaledInteger,
  stddevOf,
  sumsOf,
  totalOf,
} from './exact.js';
import { expectedOf, nearest, rootOf } from './oracle.js';
import { powerOfTwo, ratioToDouble, sqrtRatioToDouble } from './round.js';

const short = fc
  .tuple(fc.integer({ min: -1e6, max: 1e6 }), fc.integer({ min: 0, max: 4 }))
  .map(([m, k]) => m / 10 ** k);
const anyDouble = fc.double({ noNaN: true, noDefaultInfinity: true }).filter(isCountable);
const float32 = fc.float({ noNaN: true, noDefaultInfinity: true }).filter(isCountable);
const edge = fc.constantFrom(
  0,
  -0,
  1e120,
  -1e120,
  1e-120,
  2 ** 53,
  -(2 ** 53) - 2,
  1e15,
  1e21,
  1e22,
  5e-7,
  2 ** 70,
  0.1,
);
const value = fc.oneof(short, short, anyDouble, float32, edge);

t.test('a value is the shortest decimal that reads back as its double', async () => {
  const read = (x: number) => `${decimalOf(x).mantissa}e-${decimalOf(x).scale}`;
  assert.equal(read(-21.4), '-214e-1');
  assert.equal(read(18.899999618530273), '18899999618530273e-15');
  assert.equal(read(1.5e-7), '15e-8');
  assert.equal(read(2 ** 70), '1180591620717411300000e-0');
  assert.equal(read(-0), '0e-0');
  fc.assert(
    fc.property(value, (x) => {
      const { mantissa, scale } = decimalOf(x);
      assert.equal(Number(`${mantissa}e-${scale}`), x + 0);
      assert.ok(scale === 0 || (scale > 0 && mantissa % 10n !== 0n), 'the scale is the smallest');
      const digits = String(mantissa).replace('-', '').replace(/0+$/, '').length;
      // Just above a power of two the doubles below lie closer: the nearest shorter decimal may miss where another hits.
      const powerOf2 = Number.isInteger(Math.log2(Math.abs(x)));
      if (digits > 1 && !powerOf2) assert.notEqual(Number(x.toPrecision(digits - 1)), x, 'nothing shorter reads back');
    }),
    { numRuns: 500 },
  );
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => decimalOf(bad), RangeError);
});

t.test('scaledInteger is the decimal at that scale, or NaN: never another integer', async () => {
  fc.assert(
    fc.property(value, fc.integer({ min: 0, max: 25 }), (x, scale) => {
      const decimal = decimalOf(x);
      const exact = decimal.mantissa * 10n ** BigInt(Math.max(0, scale - decimal.scale));
      const fits = scale <= 22 && decimal.scale <= scale && exact <= 10n ** 15n && exact >= -(10n ** 15n);
      assert.ok(Object.is(scaledInteger(x, scale), fits ? Number(exact) : Number.NaN));
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.integer({ min: 0, max: 22 }), (seed, scale) => {
      const m = seed % 1e15;
      assert.equal(scaledInteger(Number(`${m}e-${scale}`), scale), m + 0);
    }),
    { numRuns: 500 },
  );
  // The double next to a short decimal is not that decimal, however close.
  assert.ok(Number.isNaN(scaledInteger(0.1 + 0.2, 1)));
  assert.equal(scaledInteger(0.3, 1), 3);
});

t.test('sums are those of the decimals, whatever the order and the parts', async () => {
  assert.deepEqual(sumsOf([0.1, 0.2]), { scale: 1, sum: 3n, sumSq: 5n });
  assert.deepEqual(sumsOf([0.5, 0.5, -1]), { scale: 1, sum: 0n, sumSq: 150n });
  assert.deepEqual(sumsOf([]), EMPTY_SUMS);
  fc.assert(
    fc.property(fc.array(fc.tuple(value, fc.nat(3)), { maxLength: 30 }), (tagged) => {
      const whole = sumsOf(tagged.map(([x]) => x));
      assert.deepEqual(sumsOf(tagged.map(([x]) => x).reverse()), whole);
      const parts = [3, 1, 0, 2].map((part) => sumsOf(tagged.filter(([, tag]) => tag === part).map(([x]) => x)));
      assert.deepEqual(parts.reduce(addSums), whole);
      assert.deepEqual(parts.reduceRight(addSums, EMPTY_SUMS), whole);
      assert.deepEqual(canonicalSums(whole.scale + 3, whole.sum * 1000n, whole.sumSq * 1_000_000n), whole);
    }),
    { numRuns: 200 },
  );
  // Past 2^52 the small lane hands over to big integers.
  const many = new Array(3001).fill(2 ** 26 - 1);
  const one = 2n ** 26n - 1n;
  assert.deepEqual(sumsOf(many), { scale: 0, sum: 3001n * one, sumSq: 3001n * one * one });
});

t.test('total, mean and standard deviation are rounded once, correctly', async () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 20 }), (values) => {
      const sums = sumsOf(values);
      const n = values.length;
      assert.deepEqual({ sum: totalOf(sums), mean: meanOf(n, sums), stddev: stddevOf(n, sums) }, expectedOf(values));
    }),
    { numRuns: 300 },
  );
  assert.equal(totalOf(sumsOf([0.1, 0.2])), 0.3);
  assert.equal(meanOf(2, sumsOf([2 ** 53, 2 ** 53 + 2])), 2 ** 53, 'a tie goes to the even neighbour');
  assert.equal(meanOf(2, sumsOf([2 ** 53 + 2, 2 ** 53 + 4])), 2 ** 53 + 4, 'a tie goes to the even neighbour');
  assert.equal(stddevOf(3, sumsOf([1e15 + 1, 1e15 + 2, 1e15 + 3])), 1);
  assert.equal(stddevOf(2, sumsOf([0.1, 0.1])), 0);
  assert.equal(stddevOf(1, sumsOf([7])), undefined);
  const extremes = [MAX_MAGNITUDE, -MAX_MAGNITUDE, MIN_MAGNITUDE];
  assert.equal(totalOf(sumsOf(extremes)), MIN_MAGNITUDE, 'the least value survives the greatest');
});

t.test('rounding holds from the least subnormal to overflow, ties included', async () => {
  const big = fc.bigInt({ min: 1n, max: 2n ** 130n });
  const exponent = fc.integer({ min: -1150, max: 1030 });
  const scaled = (x: bigint, power: number) => (power < 0 ? x : x << BigInt(power));
  fc.assert(
    fc.property(big, fc.oneof(big, fc.constant(1n)), exponent, (top, divisor, power) => {
      const ratio = { top: scaled(top, power), bottom: divisor * scaled(1n, -power) };
      assert.equal(ratioToDouble(ratio.top, ratio.bottom), nearest(ratio));
      assert.equal(ratioToDouble(-ratio.top, ratio.bottom), -nearest(ratio));
      assert.equal(sqrtRatioToDouble(ratio.top, ratio.bottom), rootOf(ratio));
    }),
    { numRuns: 150, endOnFailure: true },
  );
  fc.assert(
    fc.property(
      fc.bigInt({ min: 2n ** 52n, max: 2n ** 53n - 1n }),
      fc.integer({ min: -1130, max: 900 }),
      (m, power) => {
        for (const nudge of [-1n, 0n, 1n]) {
          const near = ((2n * m + 1n) << 60n) + nudge; // exactly between two doubles, or a hair beside it
          const expected =
            power < 0 ? Number(`${near * 5n ** BigInt(-power)}e${power}`) : Number(near << BigInt(power));
          assert.equal(ratioToDouble(scaled(near, power), scaled(1n, -power)), expected);
          assert.equal(sqrtRatioToDouble(scaled(near ** 2n, 2 * power), scaled(1n, -2 * power)), expected);
        }
      },
    ),
    { numRuns: 60, endOnFailure: true },
  );
  const greatest = BigInt(Number.MAX_VALUE);
  const halfStep = 2n ** 970n;
  assert.equal(ratioToDouble(greatest + halfStep - 1n, 1n), Number.MAX_VALUE);
  assert.equal(ratioToDouble(greatest + halfStep, 1n), Number.POSITIVE_INFINITY);
  for (let power = -1074, expected = Number.MIN_VALUE; power <= 1023; power++, expected *= 2) {
    assert.equal(powerOfTwo(power), expected);
  }
});
