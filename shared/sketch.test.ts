import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { isCountable, MAX_MAGNITUDE, MIN_MAGNITUDE } from './exact.js';
import {
  binOf,
  binValue,
  countOf,
  mergeAllSketches,
  mergeSketches,
  quantileOf,
  RELATIVE_ERROR,
  type Sketch,
  sketchOf,
} from './sketch.js';

const value = fc.double({ min: -MAX_MAGNITUDE, max: MAX_MAGNITUDE, noNaN: true }).filter(isCountable);
const near = fc.integer({ min: 1800, max: 2600 }).map((m) => m / 100);
const values = fc.oneof(fc.array(value, { maxLength: 40 }), fc.array(near, { maxLength: 40 }));

function relativeError(x: number): number {
  return Math.abs(binValue(binOf(x)) - x) / Math.abs(x);
}

/** Where the bins of an octave begin, as steps of 2^-32, from the definition in whole numbers: 6s³ − 21s² + 50s ≥ bin. */
function exactEdge(bin: number): bigint {
  let low = 0n;
  let high = 1n << 32n;
  while (low < high) {
    const i = (low + high) >> 1n;
    if (6n * i ** 3n - 21n * ((i ** 2n) << 32n) + 50n * (i << 64n) >= BigInt(bin) << 96n) high = i;
    else low = i + 1n;
  }
  return low;
}
const EDGES = Array.from({ length: 36 }, (_, bin) => exactEdge(bin));

t.test('no bin is wide enough to be off by 1 %', async () => {
  const one = 1n << 32n;
  for (let bin = 0; bin < 35; bin++) {
    const low = one + EDGES[bin]!;
    const high = one + EDGES[bin + 1]!;
    // The best single value for [low, high) is off by (high − low)/(high + low) at its ends. In whole numbers, so exact.
    assert.ok((high - low) * 100n < high + low, `bin ${bin}`);
    const worst = Number(high - low) / Number(high + low);
    assert.ok(Math.abs(relativeError(Number(low) / 2 ** 32) - worst) < 1e-12, `bin ${bin} is not valued at its best`);
  }
});

t.test('bins begin where the definition says, in every octave, and stay within 1 % at both ends', async () => {
  for (let exponent = -399; exponent <= 398; exponent++) {
    for (let bin = 0; bin < 35; bin++) {
      const first = (1 + Number(EDGES[bin]) / 2 ** 32) * 2 ** exponent;
      const ulp = 2 ** (exponent - 52);
      const last = (1 + Number(EDGES[bin + 1]) / 2 ** 32) * 2 ** exponent - ulp;
      const key = 35 * exponent + bin + 16384;
      if (binOf(first) !== key || binOf(last) !== key || binOf(-first) !== -key)
        assert.fail(`2^${exponent}, bin ${bin}`);
      if (relativeError(first) > RELATIVE_ERROR || relativeError(-last) > RELATIVE_ERROR)
        assert.fail(`${first}, ${last}`);
    }
  }
});

t.test('every value is within 1 % of its bin, from 1e-120 to 1e120, both signs', async () => {
  const ends = [MAX_MAGNITUDE, MIN_MAGNITUDE, -MAX_MAGNITUDE, -MIN_MAGNITUDE];
  for (const x of ends) assert.ok(relativeError(x) <= RELATIVE_ERROR);
  for (let x = MIN_MAGNITUDE; x <= MAX_MAGNITUDE; x *= 1.003) {
    if (relativeError(x) > RELATIVE_ERROR || binValue(-binOf(x)) !== -binValue(binOf(x))) assert.fail(String(x));
  }
  fc.assert(
    fc.property(
      value.filter((x) => x !== 0),
      (x) => relativeError(x) <= RELATIVE_ERROR,
    ),
    { numRuns: 2000 },
  );
  assert.equal(binValue(binOf(0)), 0);
  assert.equal(binOf(-0), 0);
});

t.test('keys rise with the value, from one double to the next', async () => {
  const order = [-MAX_MAGNITUDE, -2, -1, -MIN_MAGNITUDE, 0, MIN_MAGNITUDE, 1, 2, MAX_MAGNITUDE];
  const keys = order.map(binOf);
  assert.deepEqual(
    keys,
    [...keys].sort((a, b) => a - b),
  );
  assert.ok(keys.every((key) => Math.abs(key) < 32768) && new Set(keys).size === keys.length);
  fc.assert(
    fc.property(value, value, (a, b) => (a <= b ? binOf(a) <= binOf(b) : binOf(a) >= binOf(b))),
    { numRuns: 2000 },
  );
  // Around every edge, double by double: rounding in the cubic must not let a key fall back.
  assert.equal(binOf(2) - binOf(2 - 2 ** -52), 1);
  for (let bin = 1; bin < 35; bin++) {
    const edge = 1 + Number(EDGES[bin]) / 2 ** 32;
    let before = 0;
    for (let x = edge - 200 * 2 ** -52; x < edge + 200 * 2 ** -52; x += 2 ** -52) {
      const key = binOf(x);
      if (key < before) assert.fail(String(x));
      before = key;
    }
  }
});

t.test('the bins are a file format: they never move', async () => {
  const samples = [1, 2, 20, 21.4, 1000, -3.7, 0.1, 1e120, 1e-120, Math.PI];
  assert.deepEqual(samples.map(binOf), [16384, 16419, 16535, 16538, 16732, -16450, 16267, 30336, 2431, 16441]);
});

function parted(list: readonly number[], parts: number): Sketch[] {
  return Array.from({ length: parts }, (_, part) => sketchOf(list.filter((_, i) => i % parts === part)));
}

t.test('merging is associative and commutative, and loses no count', async () => {
  fc.assert(
    fc.property(values, values, values, (x, y, z) => {
      const [a, b, c] = [sketchOf(x), sketchOf(y), sketchOf(z)];
      const whole = sketchOf([...x, ...y, ...z]);
      assert.deepEqual(mergeSketches(mergeSketches(a, b), c), whole);
      assert.deepEqual(mergeSketches(a, mergeSketches(c, b)), whole);
      assert.deepEqual(mergeAllSketches([c, a, b]), whole);
      assert.equal(countOf(whole), x.length + y.length + z.length);
      assert.ok(whole.keys.every((key, i) => i === 0 || whole.keys[i - 1]! < key));
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.array(near, { minLength: 60, maxLength: 120 }), fc.integer({ min: 3, max: 9 }), (list, parts) => {
      const some = parted(list, parts);
      assert.deepEqual(mergeAllSketches(some), sketchOf(list));
      assert.deepEqual(some.reduce(mergeSketches), sketchOf(list));
    }),
    { numRuns: 50 },
  );
  assert.deepEqual(mergeAllSketches([]), sketchOf([]));
});

t.test('merging leaves what it merges untouched', async () => {
  const a = sketchOf([1, 2, 3]);
  const b = sketchOf([2, 3]);
  mergeSketches(a, b);
  mergeAllSketches([a, b, a]);
  assert.deepEqual([a, b], [sketchOf([1, 2, 3]), sketchOf([2, 3])]);
});

t.test('a quantile is within 1 % of the value of that rank', async () => {
  const q = fc.oneof(fc.constantFrom(0, 0.5, 0.95, 0.99, 1), fc.double({ min: 0, max: 1, noNaN: true }));
  fc.assert(
    fc.property(
      values.filter((list) => list.length > 0),
      q,
      (list, q) => {
        const exact = [...list].sort((a, b) => a - b)[Math.floor(q * (list.length - 1))]!;
        assert.ok(Math.abs(quantileOf(sketchOf(list), q) - exact) <= RELATIVE_ERROR * Math.abs(exact));
      },
    ),
    { numRuns: 500 },
  );
  // Where q·(n − 1) is whole, the double product is that whole number: 0.95 and 0.99 are near enough to what they stand for.
  fc.assert(fc.property(fc.nat(2 ** 31 - 1), (k) => 0.95 * (20 * k) === 19 * k && 0.99 * (100 * k) === 99 * k));
  assert.throws(() => quantileOf(sketchOf([]), 0.5), RangeError);
});
