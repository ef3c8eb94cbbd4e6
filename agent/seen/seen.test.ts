/** Each reading once: the memory of what was counted, held to a Set, and how little room it takes. */
import fc from 'fast-check';
import t from 'tap';
import { EdgetallyError } from '../../shared/errors.js';
import { Seen } from './seen.js';

type Key = readonly [lane: string, offsetUs: number, recordId: string | undefined];

const MANY = 1_000_000;
const LANES = ['', '', '', 'temperature', 'humidity'];

/** Times as sensors have them, regular, wavering and wild, and ids that count, count with zeros, or do not count. */
const time = fc.oneof(
  fc.integer({ min: 0, max: 60 }).map((s) => s * 1_000_000),
  fc.integer({ min: 0, max: 900_000 }).map((ms) => ms * 1000),
  fc.integer({ min: 0, max: 86_400_000_000 - 1 }),
);
const id = fc.oneof(
  fc.integer({ min: 0, max: 1200 }).map(String),
  fc.integer({ min: 0, max: 1200 }).map((n) => `pump-${String(n).padStart(6, '0')}`),
  fc.tuple(fc.constantFrom('a', 'b0', '7', '00', ''), fc.constantFrom('0', '00', '10', '010')).map((p) => p.join('')),
  fc.bigInt({ min: 0n, max: 10n ** 24n }).map(String),
  fc.uuid(),
  fc.string({ minLength: 1, maxLength: 24, unit: 'grapheme' }),
);
const key: fc.Arbitrary<Key> = fc.oneof(
  fc.tuple(fc.constantFrom(...LANES), time, fc.constant(undefined)),
  fc.tuple(fc.constantFrom(...LANES), fc.constant(0), id),
);
const keys = fc.array(key, { maxLength: 120 });

const nameOf = ([lane, offset, id]: Key) => JSON.stringify(id === undefined ? [lane, offset] : [lane, id]);
const copy = (seen: Seen) => Seen.decode(seen.encode(), MANY);

function remember(list: readonly Key[]): Seen {
  const seen = new Seen();
  for (const [lane, offset, id] of list) seen.add(lane, offset, id);
  return seen;
}

t.test('it knows what a Set knows, whatever was stored and merged in between', async (t) => {
  fc.assert(
    fc.property(keys, keys, keys, fc.boolean(), (first, second, third, swapped) => {
      const [a, b] = swapped ? [second, first] : [first, second];
      const seen = copy(remember(a));
      seen.merge(copy(remember(b)), 0);
      const truth = new Set([...a, ...b].map(nameOf));
      for (const key of [...third, ...first, ...second]) {
        const isNew = !truth.has(nameOf(key));
        truth.add(nameOf(key));
        if (seen.add(...key) !== isNew) t.fail(`${nameOf(key)} is ${isNew ? 'new' : 'known'}`);
      }
      if (copy(seen).add('', 86_400_000_001, undefined) === false) t.fail('a time that never was');
    }),
    { numRuns: 600 },
  );
});

t.test('the same readings are the same bytes, in whatever order they came', async (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(time, { maxLength: 80 }), (times) => {
      const list = times.map((offset): Key => ['', offset, undefined]);
      const sorted = [...list].sort((a, b) => a[1] - b[1]);
      t.strictSame(remember(list).encode(), remember(sorted).encode());
    }),
  );
});

t.test('thousands out of order', async (t) => {
  const size = 20_011;
  const offsets = Array.from({ length: size }, (_, i) => ((i * 7919) % size) * 17);
  const seen = remember(offsets.map((offset): Key => ['', offset, undefined]));
  const stored = copy(seen);
  for (const memory of [seen, stored]) {
    t.equal(offsets.filter((offset) => memory.add('', offset, undefined)).length, 0, 'each is known');
    t.equal(offsets.filter((offset) => memory.add('', offset + 1, undefined)).length, size, 'and no other');
  }
});

t.test('merging moves the times', async (t) => {
  const quarter = remember([['', 5_000_000, undefined]]);
  const next = remember([
    ['', 5_000_000, undefined],
    ['x', 7, undefined],
  ]);
  quarter.merge(next, 60_000_000);
  t.equal(quarter.add('', 65_000_000, undefined), false);
  t.equal(quarter.add('x', 60_000_007, undefined), false);
  t.equal(quarter.add('', 60_000_007, undefined), true);
});

/** Bytes of the stored form a reading; numbers are deterministic, so these bounds are tight. */
function bytesEach(count: number, keyOf: (i: number) => Key): number {
  const list = Array.from({ length: count }, (_, i) => keyOf(i));
  const bytes = remember(list).encode();
  t.ok(Seen.decode(bytes, count), 'which it reads again');
  return bytes.length / count;
}

/** The same on each machine: a multiplicative generator. */
function dice(): () => number {
  let state = 1;
  return () => {
    state = (state * 48271) % 0x7fffffff;
    return state / 0x7fffffff;
  };
}

t.test('what a reading takes in the stored form', async (t) => {
  const roll = dice();
  const at = (us: number): Key => ['', us, undefined];
  const jitter = (i: number, ms: number) => 1_000_000 * (i + 1) + 1000 * Math.round((2 * roll() - 1) * ms);
  const hex = () => Math.floor(roll() * 2 ** 24).toString(16);
  const cases: [string, number, (i: number) => Key, number][] = [
    ['6 a minute, regular', 6, (i) => at(3_217_000 + i * 10_000_000), 12 / 6],
    ['60 a minute, regular', 60, (i) => at(i * 1_000_000), 10 / 60],
    ['1 Hz ± 20 ms, a minute', 60, (i) => at(jitter(i, 20)), 1.1],
    ['1 Hz ± 20 ms, an hour', 3600, (i) => at(jitter(i, 20)), 0.9],
    ['1 Hz, each tenth missing', 60, (i) => at((i + (i % 10 === 9 ? 1 : 0)) * 1_000_000), 0.4],
    ['60 Hz in whole milliseconds', 3600, (i) => at(Math.floor((i * 1000) / 60) * 1000), 0.3],
    ['1 Hz, microseconds of ± 20 ms', 3600, (i) => at(1_000_000 * (i + 1) + Math.round(roll() * 40_000)), 2.2],
    ['a counter', 60, (i) => ['', 0, String(123_456_700 + i)], 18 / 60],
    ['a counter with zeros before', 60, (i) => ['', 0, `dev-${String(70 + i).padStart(6, '0')}`], 40 / 60],
    ['random numbers of ten digits', 60, () => ['', 0, String(1e9 + Math.floor(roll() * 9e9))], 5],
    ['UUIDs', 60, () => ['', 0, `${hex()}-${hex()}-4000-8000-${hex()}${hex()}f`], 17.5],
    ['short words', 60, (i) => ['', 0, `w${hex()}x${i}x`], 12],
  ];
  for (const [name, count, keyOf, atMost] of cases) {
    const bytes = bytesEach(count, keyOf);
    t.ok(bytes <= atMost, `${name}: ${bytes.toFixed(2)} bytes a reading, at most ${atMost.toFixed(2)}`);
  }
});

t.test('any bytes are a memory or an error of ours', async (t) => {
  const damaged = fc.tuple(keys, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 4 }));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.uint8Array({ maxLength: 60 }).map((rest) => Uint8Array.of(2, 1, 0, ...rest)),
    damaged.map(([list, changes]) => {
      const stored = remember(list).encode();
      for (const [at, byte] of changes) stored[at % stored.length] = byte;
      return stored;
    }),
    keys.chain((list) => {
      const stored = remember(list).encode();
      return fc.nat(stored.length - 1).map((length) => stored.subarray(0, length));
    }),
  );
  const outcome = { read: 0, refused: 0 };
  fc.assert(
    fc.property(bytes, (bytes) => {
      try {
        Seen.decode(bytes, 200).encode();
        outcome.read++;
      } catch (error) {
        if (!(error instanceof EdgetallyError)) throw error;
        outcome.refused++;
      }
    }),
    { numRuns: 4000 },
  );
  t.ok(outcome.refused > 500, `${outcome.refused} refused, ${outcome.read} read`);
});

t.test('never more than there are readings: a run that claims a billion takes no memory', async (t) => {
  const seen = remember(Array.from({ length: 50 }, (_, i): Key => ['', i * 1000, undefined]));
  t.ok(Seen.decode(seen.encode(), 50));
  t.throws(() => Seen.decode(seen.encode(), 49), { code: 'window-damaged' });
  const billion = Uint8Array.of(2, 1, 0, 0x80, 0x94, 0xeb, 0xdc, 0x07, 0, 4, 1, 0);
  t.throws(() => Seen.decode(billion, 1000), { code: 'window-damaged' });
  t.throws(() => Seen.decode(Uint8Array.of(3, 0), 10), { code: 'database-newer' });
});
