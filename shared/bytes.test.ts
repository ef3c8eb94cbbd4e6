import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { BitReader, BitWriter, bitLength, golombLength } from './bits.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { crc32 } from './crc32.js';
import { DecodeError } from './decode-error.js';

const MAX = Number.MAX_SAFE_INTEGER;
const near2 = fc
  .tuple(fc.nat(53), fc.integer({ min: -1, max: 1 }))
  .map(([e, by]) => Math.min(MAX, Math.max(0, 2 ** e + by)));
const safe = fc.oneof(fc.nat(), fc.maxSafeNat(), near2);
const signed = fc.tuple(safe, fc.boolean()).map(([value, minus]) => (minus && value > 0 ? -value : value));
const bignat = fc.oneof(
  safe.map(BigInt),
  fc.bigInt({ min: 0n, max: 2n ** 200n }),
  fc.nat(1990).map((e) => (1n << BigInt(e)) - 1n),
  fc.nat(1990).map((e) => 1n << BigInt(e)),
);

/** One field: how it is written, and how it is read. */
interface Field {
  readonly write: (to: ByteWriter) => void;
  readonly read: (from: ByteReader) => unknown;
  readonly value: unknown;
}

const field: fc.Arbitrary<Field> = fc.oneof(
  safe.map((value) => ({
    value,
    write: (to: ByteWriter) => to.varint(value),
    read: (from: ByteReader) => from.varint(),
  })),
  signed.map((value) => ({
    value,
    write: (to: ByteWriter) => to.zigzag(value),
    read: (from: ByteReader) => from.zigzag(),
  })),
  bignat.map((value) => ({
    value,
    write: (to: ByteWriter) => to.bigVarint(value),
    read: (from: ByteReader) => BigInt(from.integer()),
  })),
  fc.double().map((value) => ({
    value,
    write: (to: ByteWriter) => to.float64(value),
    read: (from: ByteReader) => from.float64(),
  })),
  fc.float().map((value) => ({
    value,
    write: (to: ByteWriter) => to.float32(value),
    read: (from: ByteReader) => from.float32(),
  })),
  fc.string({ unit: 'binary', maxLength: 100 }).map((value) => ({
    value,
    write: (to: ByteWriter) => to.string(value),
    read: (from: ByteReader) => from.string(),
  })),
  fc.nat(2 ** 32 - 1).map((value) => ({
    value,
    write: (to: ByteWriter) => to.uint32(value),
    read: (from: ByteReader) => from.uint32(),
  })),
);

t.test('fields are read as they were written', async () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 40 }), (fields) => {
      const writer = new ByteWriter(1);
      for (const { write } of fields) write(writer);
      const reader = new ByteReader(writer.bytes());
      for (const { read, value } of fields) assert.deepStrictEqual(read(reader), value);
      assert.equal(reader.remaining, 0);
    }),
    { numRuns: 500 },
  );
});

t.test('a number and the same bigint have the same bytes, seven bits each', async () => {
  fc.assert(
    fc.property(safe, (value) => {
      const [one, other] = [new ByteWriter(), new ByteWriter()];
      one.varint(value);
      other.bigVarint(BigInt(value));
      assert.deepEqual(one.bytes(), other.bytes());
      assert.equal(one.length, Math.max(1, Math.ceil(value.toString(2).length / 7)));
    }),
  );
  const writer = new ByteWriter();
  writer.varint(300);
  assert.deepEqual([...writer.bytes()], [0xac, 0x02]);
});

t.test('what does not fit is refused when it is written', async () => {
  const writer = new ByteWriter();
  for (const value of [-1, MAX + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => writer.varint(value), RangeError);
    assert.throws(() => new BitWriter().golomb(value, 3), RangeError);
    assert.throws(() => new BitWriter().below(value, 10), RangeError);
  }
  assert.throws(() => writer.bigVarint(-1n), RangeError);
  assert.throws(() => new BitWriter().below(10, 10), RangeError);
});

t.test('any bytes give values or a DecodeError, and never more than there are', async () => {
  const reads: ((from: ByteReader) => unknown)[] = [
    (from) => from.varint(),
    (from) => from.zigzag(),
    (from) => from.integer(),
    (from) => from.float64(),
    (from) => from.float32(),
    (from) => from.uint32(),
    (from) => from.string(),
    (from) => from.part(from.varint()).varint(),
  ];
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 600 }),
      fc.array(fc.nat(reads.length - 1), { maxLength: 20 }),
      (bytes, picks) => {
        const reader = new ByteReader(bytes);
        try {
          for (const pick of picks) reads[pick]!(reader);
          assert.ok(reader.remaining >= 0);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
  assert.throws(() => new ByteReader(new Uint8Array(2000).fill(0xff)).integer(), {
    kind: 'corrupt',
    message: /endless/,
  });
  assert.throws(() => new ByteReader(Uint8Array.of(2, 0xc3, 0x28)).string(), { kind: 'corrupt', message: /UTF-8/ });
  assert.throws(() => new ByteReader(new Uint8Array(9).fill(0xff)).zigzag(), DecodeError);
});

t.test('bits are read as they were written', async () => {
  const below = fc
    .tuple(safe, safe)
    .map(([a, b]) => ({ code: 'below', value: Math.min(a, b), by: Math.max(a, b) }) as const);
  const golomb = fc
    .tuple(safe, fc.nat(52))
    .map(([value, by]) => ({ code: 'golomb', value: Math.min(value, MAX - 1), by }) as const);
  fc.assert(
    fc.property(fc.array(fc.oneof(below, golomb), { maxLength: 60 }), (numbers) => {
      const writer = new BitWriter(1);
      let length = 0;
      for (const { code, value, by } of numbers) {
        if (code === 'below') writer.below(value, Math.min(MAX, by + 1));
        else writer.golomb(value, by);
        const bound = BigInt(Math.min(MAX, by + 1));
        const width = bound.toString(2).length - 1;
        const short = 2n ** BigInt(width + 1) - bound;
        length += code === 'golomb' ? golombLength(value, by) : BigInt(value) < short ? width : width + 1;
      }
      assert.equal(writer.bytes().length, Math.ceil(length / 8));
      const reader = new BitReader(writer.bytes().slice());
      for (const { code, value, by } of numbers) {
        assert.equal(code === 'below' ? reader.below(Math.min(MAX, by + 1)) : reader.golomb(by), value);
      }
      assert.ok(reader.done);
    }),
    {
      numRuns: 500,
      examples: [[[{ code: 'below', value: MAX - 1, by: MAX - 1 }]], [[{ code: 'below', value: 0, by: 0 }]]],
    },
  );
});

t.test('the bit codes are what docs/wire-format.md says', async () => {
  const bits = (write: (to: BitWriter) => void) => {
    const writer = new BitWriter();
    write(writer);
    // A 1 at the end shows where it is.
    writer.bits(1, 1);
    return [...writer.bytes()]
      .map((byte) => byte.toString(2).padStart(8, '0'))
      .join('')
      .replace(/10*$/, '');
  };
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((value) => bits((to) => to.below(value, 5))),
    ['00', '01', '10', '110', '111'],
  );
  assert.deepEqual(
    [0, 1, 2, 6].map((value) => bits((to) => to.golomb(value, 0))),
    ['1', '010', '011', '00111'],
  );
  assert.deepEqual(
    [0, 3, 4, 11].map((value) => bits((to) => to.golomb(value, 2))),
    ['100', '111', '01000', '01111'],
  );
  assert.equal(
    bits((to) => to.below(0, 1)),
    '',
  );
  assert.deepEqual([0, 1, 2, 255, 256, 2 ** 32 - 1, 2 ** 32, MAX].map(bitLength), [0, 1, 2, 8, 9, 32, 33, 53]);
});

t.test('any bits give numbers or a DecodeError', async () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.array(fc.tuple(fc.boolean(), fc.nat(52), safe)),
      (bytes, reads) => {
        const reader = new BitReader(bytes);
        try {
          for (const [golomb, k, bound] of reads) {
            const value = golomb ? reader.golomb(k) : reader.below(Math.max(1, bound));
            assert.ok(
              Number.isSafeInteger(value) && value >= 0 && (golomb || value < Math.max(1, bound)),
              String(value),
            );
          }
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
  assert.throws(() => new BitReader(new Uint8Array(100)).golomb(0), { kind: 'corrupt', message: /endless/ });
});

t.test('the checksum is that of gzip', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.equal(crc32(bytes), gzipSync(bytes).subarray(-8).readUInt32LE(0));
    }),
  );
  assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926);
});
