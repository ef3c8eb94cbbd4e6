import assert from 'node:assert/strict';
import t from 'tap';
import { BitWriter } from './bits.js';
import { ByteWriter } from './bytes.js';
import { crc32 } from './crc32.js';
import { type MetricSummary, summarize } from './summary.js';
import { decodeMetrics, encodeMetrics } from './summary-codec.js';

const MINUTE = 60_000;
const START = 1_790_000_040_000;

function of(...values: number[]): MetricSummary {
  return summarize(values.map((value, index) => ({ timeUs: START * 1000 + index, value })));
}

function encode(summary: MetricSummary): Uint8Array {
  return encodeMetrics(new Map([[1, summary]]), START, MINUTE);
}

t.test('what no observations have is refused when it is written', async () => {
  const good = of(1, 2, 4);
  const wrong: [string, MetricSummary][] = [
    ['a sum over n·max', { ...good, sums: { scale: 0, sum: 20n, sumSq: 21n } }],
    ['a square sum below (Σx)²/n', { ...good, sums: { scale: 0, sum: 7n, sumSq: 9n } }],
    ['a sketch of other values', { ...good, sketch: of(1, 2, 5).sketch }],
    ['a sketch of more values', { ...good, sketch: of(1, 2, 2, 4).sketch }],
    ['first over max', { ...good, first: { ...good.first, value: 5 } }],
    ['before the window', { ...good, first: { ...good.first, timeUs: START * 1000 - 1 } }],
    ['last before first', { ...good, first: { ...good.first, timeUs: good.last.timeUs + 1 } }],
  ];
  for (const [what, summary] of wrong) {
    assert.throws(() => encode(summary), RangeError, what);
  }
});

/** A blob that no honest writer makes; its checksum is right. */
function forged(row: readonly number[], write: (bits: BitWriter) => void, count = 1): Uint8Array {
  const bits = new BitWriter();
  write(bits);
  const rows = new ByteWriter();
  for (const value of row) rows.varint(value);
  const writer = new ByteWriter();
  for (const value of [1, count, rows.length]) writer.varint(value);
  writer.raw(rows.bytes());
  writer.raw(bits.bytes());
  writer.uint32(crc32(writer.bytes()));
  return writer.bytes();
}

t.test('what the bytes alone can say, and no writer would, is refused', async () => {
  /** Kind 0, n = 2, first and last in the first second. */
  const row = [1, 0, 2, 2, 6];
  const values = (min: number, range: number) => (bits: BitWriter) => {
    bits.golomb(min < 0 ? -2 * min - 1 : 2 * min, 10);
    bits.golomb(range, 5);
    if (range === 0) return;
    bits.below(0, range + 1);
    bits.below(range, range + 1);
  };
  const oneAndTwo = (bits: BitWriter) => {
    values(1, 1)(bits);
    // 36 keys from 1 to 2: one value in the first, none in the next 34.
    bits.golomb(1, 0);
    bits.golomb(0, 0);
    bits.golomb(33, 0);
  };
  assert.deepStrictEqual(decodeMetrics(forged(row, oneAndTwo), START, MINUTE).get(1)?.sums, {
    scale: 0,
    sum: 3n,
    sumSq: 5n,
  });
  const then =
    (write: (bits: BitWriter) => void, ...golomb: number[]) =>
    (bits: BitWriter) => {
      write(bits);
      for (const value of golomb) bits.golomb(value, 0);
    };
  const cases: [string, RegExp, Uint8Array][] = [
    ['a value over 10^15', /out of range/, forged(row, values(1e15 + 1, 0))],
    ['a value below −10^15', /out of range/, forged(row, values(-1e15 - 1, 1))],
    ['max over 10^15', /out of range/, forged(row, values(1e15, 1))],
    ['a sketch without min', /sketch of other values/, forged(row, then(values(1, 1), 0, 0, 1))],
    ['a sketch that goes over max', /sketch of other values/, forged(row, then(values(1, 1), 1, 0, 34))],
    ['a sketch of too many', /more than n/, forged(row, then(values(1, 1), 2, 0, 33))],
    ['two values in one', /two values/, forged([1, 0, 1, 2, 2], values(1, 1))],
    ['a byte too many', /left over/, forged([...row, 1], oneAndTwo)],
    ['a bit too many', /left over/, forged(row, then(oneAndTwo, 0))],
    ['a metric twice', /metric twice/, forged([...row, ...row], then(oneAndTwo, 0), 2)],
    ['two times for one value', /first after last/, forged([1, 0, 1, 2, 6], values(1, 0))],
    ['q over range·s', /no values have/, forged([1, 0, 3, 2, 6, 1, 2 ** 27], values(1, 2 ** 25))],
    ['(n−2)·q below s²', /no values have/, forged([1, 0, 3, 2, 6, 5, 24], values(1, 2 ** 25))],
  ];
  for (const [what, detail, bytes] of cases) {
    assert.throws(() => decodeMetrics(bytes, START, MINUTE), { code: 'window-damaged', message: detail }, what);
  }
  const [early, late] = [of(1, 2), of(2, 1)];
  const tied = { ...early, first: late.first, last: { ...early.last, timeUs: late.first.timeUs, value: 1 } };
  assert.throws(
    () => decodeMetrics(encode(tied), START, MINUTE),
    { message: /first after last/ },
    'of one time, the least is the first',
  );
});
