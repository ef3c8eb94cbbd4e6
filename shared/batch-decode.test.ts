import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { BATCH_LIMITS, type Batch, decodeBatch, encodeBatch, packBody, sealBatch } from './batch.js';
import { BATCH_COLUMNS, type BatchColumns, columnsOf } from './batch-columns.js';
import { encodeBody } from './batch-encode.js';
import { identity, of, START, small, window } from './batch-sample.js';
import { BitWriter } from './bits.js';
import { ByteReader, ByteWriter } from './bytes.js';
import type { LossRecord } from './loss.js';
import { binOf } from './sketch.js';
import type { MetricSummary } from './summary.js';
import type { WindowSummary } from './window.js';

function refusal(message: Uint8Array, limits?: Parameters<typeof decodeBatch>[1]) {
  const decoded = decodeBatch(message, limits);
  assert.ok(!decoded.ok, 'this was to be refused');
  return decoded;
}

t.test('no bomb goes off', async () => {
  const zeros = new Uint8Array(64 * 1024 * 1024);
  const bomb = sealBatch(identity, packBody({ columns: zeros, bits: new Uint8Array() }));
  assert.ok(bomb.length < 400_000);
  assert.equal(refusal(bomb).reason, 'too-large');
  // The same, telling a harmless length.
  const packed = deflateRawSync(zeros, { level: 1 });
  const content = new ByteWriter();
  content.varint(100);
  content.varint(packed.length);
  content.raw(packed);
  const liar = sealBatch(identity, content.bytes());
  const before = process.memoryUsage().arrayBuffers;
  const { reason, detail } = refusal(liar);
  assert.ok(process.memoryUsage().arrayBuffers - before < 8e6);
  assert.equal(reason, 'corrupt');
  assert.match(detail, /decompress/);
});

type Columns = { -readonly [name in keyof BatchColumns<Uint8Array>]: Uint8Array };

/** A batch with a body that no honest writer makes; its checksums are right again. */
function tampered(batch: Batch, change: (columns: Columns, bits: Uint8Array) => unknown): Uint8Array {
  const body = encodeBody(batch);
  const reader = new ByteReader(body.columns.slice());
  const lengths = BATCH_COLUMNS.map(() => reader.varint());
  let next = 0;
  const columns: Columns = columnsOf(() => reader.raw(lengths[next++]!));
  const bits = body.bits.slice();
  change(columns, bits);
  const writer = new ByteWriter();
  for (const name of BATCH_COLUMNS) writer.varint(columns[name].length);
  for (const name of BATCH_COLUMNS) writer.raw(columns[name]);
  return sealBatch(batch, packBody({ columns: writer.bytes(), bits }));
}

function varints(...values: number[]): Uint8Array {
  const writer = new ByteWriter();
  for (const value of values) writer.varint(value);
  return writer.bytes();
}

t.test('absurd counts are refused before there is room for them', async () => {
  const counts = [START, 1, 1, 2, 1, 0, 1, 1];
  const absurd = 2 ** 50;
  const reasons = counts.slice(1).map((_, i) => {
    const changed = tampered(small, (columns) => {
      columns.counts = varints(...counts.map((count, at) => (at === i + 1 ? absurd : count)));
    });
    return refusal(changed).reason;
  });
  // groups, devices, metrics, shapes, part names, windows, ledger
  const expected = ['invalid', 'invalid', 'too-large', 'invalid', 'invalid', 'too-large', 'too-large'];
  assert.deepEqual(reasons, expected);
  const within = [1, 1, 2, 1, 1, 4000, 4000];
  for (let i = 0; i < within.length; i++) {
    const changed = tampered(small, (columns) => {
      columns.counts = varints(START, ...within.map((count, at) => (at <= i || at > 4 ? count + 5 : count)));
    });
    assert.match(refusal(changed).reason, /corrupt|invalid/);
  }
  const shape = tampered(small, (columns) => {
    columns.shape = varints(absurd, 0);
  });
  assert.equal(refusal(shape).reason, 'invalid');
  const long = packBody({ columns: varints(...BATCH_COLUMNS.map(() => absurd)), bits: new Uint8Array() });
  assert.equal(refusal(sealBatch(identity, long)).reason, 'corrupt');
});

t.test('limits are kept', async () => {
  const bytes = encodeBatch(small);
  assert.equal(refusal(bytes, { maxBytes: bytes.length - 1 }).reason, 'too-large');
  assert.ok(decodeBatch(bytes, { maxBytes: bytes.length }).ok);
  assert.equal(refusal(bytes, { maxBodyBytes: 50 }).reason, 'too-large');
  assert.equal(refusal(bytes, { maxWindows: 0 }).reason, 'too-large');
  const two = encodeBatch({ ...small, windows: [window, { ...window, part: 1 }] });
  assert.equal(refusal(two, { maxWindows: 1 }).reason, 'too-large');
  assert.equal(refusal(two, { maxSummaries: 3 }).reason, 'too-large');
  assert.ok(decodeBatch(two, { maxWindows: 2, maxSummaries: 4 }).ok);
  assert.deepEqual(refusal(two, { maxSummaries: 3 }).header, identity);
  const words = (count: number) => Array.from({ length: count }, (_, i) => ({ ...loss, kind: `k${i}` }));
  assert.equal(refusal(encodeBatch({ ...small, losses: words(200) })).reason, 'too-large');
  assert.equal(refusal(encodeBatch({ ...small, losses: words(2) }), { maxWindows: 1 }).reason, 'too-large');
  const many = Array.from({ length: BATCH_LIMITS.maxWindows + 1 }, (_, part) => ({
    ...window,
    metrics: new Map(),
    part,
  }));
  assert.throws(() => encodeBatch({ ...small, windows: many }), RangeError);
  assert.ok(decodeBatch(encodeBatch({ ...small, windows: many.slice(1) })).ok);
});

t.test('any body under right checksums is refused or could be', async () => {
  let ok = 0;
  const change = fc.record({ column: fc.nat(), at: fc.nat(), value: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const message = tampered(small, (columns, bits) => {
        const all = [...Object.values(columns), bits, bits, bits].filter(({ length }) => length > 0);
        for (const { column, at, value } of changes) {
          const bytes = all[column % all.length]!;
          bytes[at % bytes.length] = value;
        }
      });
      const decoded = decodeBatch(message);
      if (!decoded.ok) {
        assert.match(decoded.reason, /corrupt|invalid|too-large/);
        assert.doesNotMatch(decoded.detail, /unreadable/);
        assert.deepEqual(decoded.header, identity);
        return;
      }
      ok++;
      // What could be can be written, and comes back.
      assert.deepStrictEqual(decodeBatch(encodeBatch(decoded.batch)), decoded);
    }),
    { numRuns: 2500 },
  );
  assert.ok(ok > 100, `only ${ok} of them could be read: the test shows little`);
});

const loss: LossRecord = {
  dayMs: 0,
  kind: 'values',
  reason: 'bad-number',
  group: 'hall',
  device: 'sensor',
  count: 1,
};
const huge: MetricSummary = {
  ...of(1e120),
  min: 1.1e120,
  max: 1.1e120,
  sketch: { keys: Int32Array.of(binOf(1.1e120)), counts: Float64Array.of(1) },
};
const tooMuch: MetricSummary = { ...of(0, 1e9), sums: { scale: 0, sum: 10n ** 10n, sumSq: 10n ** 20n } };

t.test('what cannot be is refused', async () => {
  const windowCases: [string, Partial<WindowSummary>, RegExp][] = [
    ['a length over a day', { lengthMs: 86_400_001, startMs: 0, metrics: new Map() }, /window length/],
    ['beyond all time', { lengthMs: 1, startMs: 2 ** 44, metrics: new Map() }, /beyond all time/],
    ['revision 0', { revision: 0 }, /revision/],
    ['a revision over 2^32 − 1', { revision: 2 ** 32 }, /revision/],
    ['no readings', { readings: 0, metrics: new Map() }, /readings/],
    ['readings over 10^12', { readings: 1e12 + 1 }, /readings/],
    ['more values than readings', { readings: 3 }, /4 values in 3 readings/],
    ['a value over 10^120', { metrics: new Map([['m', huge]]) }, /does not count/],
    ['a time behind the window', { lengthMs: 1000 }, /outside of its window/],
    ['a sum over n·max', { readings: 1e9, metrics: new Map([['m', tooMuch]]) }, /sums that no values have/],
  ];
  for (const [what, part, detail] of windowCases) {
    const { reason, detail: said } = refusal(encodeBatch({ ...small, windows: [{ ...window, ...part }] }));
    assert.equal(reason, 'invalid', what);
    assert.match(said, detail, what);
  }
  const twice: [string, Partial<Batch>][] = [
    ['a window twice', { windows: [window, { ...window, revision: 9 }] }],
    ['a day beyond all time', { ledger: [{ ...small.ledger[0]!, dayMs: 2 ** 30 * 86_400_000 }] }],
    ['a loss twice', { losses: [loss, { ...loss, count: 2 }] }],
    ['losses out of range: 1000000000001', { losses: [{ ...loss, count: 1e12 + 1 }] }],
    ['losses out of range: 0', { losses: [{ ...loss, count: 0 }] }],
    ['a ledger day twice', { ledger: [small.ledger[0]!, { ...small.ledger[0]!, readings: 9 }] }],
  ];
  for (const [what, part] of twice) {
    const { reason, detail } = refusal(encodeBatch({ ...small, ...part }));
    assert.deepEqual([reason, detail], ['invalid', what]);
  }
});

t.test('what the bytes alone can say, and no writer would, is refused', async () => {
  const nan = new ByteWriter();
  nan.float64(Number.NaN);
  const minusZero = new ByteWriter();
  minusZero.float64(-0);
  const cases: [string, RegExp, (columns: Columns) => void][] = [
    ['a length of 0', /window length/, (columns) => (columns.length = varints(0))],
    ['NaN', /does not count/, (columns) => columns.float.set(nan.bytes())],
    ['−0', /does not count/, (columns) => columns.float.set(minusZero.bytes())],
    ['a control character', /a name that is none/, (columns) => (columns.text[1] = 7)],
    ['text that is not UTF-8', /UTF-8/, (columns) => (columns.text[1] = 0xff)],
    ['an endless name', /name of 300 bytes/, (columns) => (columns.textLength = varints(4, 300, 1, 1))],
    ['no device name', /a name that is none/, (columns) => (columns.textLength = varints(4, 0, 17, 3))],
    ['an unknown device', /unknown device/, (columns) => (columns.device = varints(2))],
    ['a device below 0', /unknown device/, (columns) => (columns.device = varints(1))],
    ['an unknown group', /unknown group/, (columns) => (columns.deviceGroup = varints(1))],
    ['an unknown shape', /unknown shape/, (columns) => (columns.windowShape = varints(1))],
    ['an unknown part', /unknown part/, (columns) => (columns.part = varints(1))],
    ['a metric twice', /metric twice/, (columns) => (columns.shape = varints(2, 1, 1))],
    ['an unknown metric', /unknown metric/, (columns) => (columns.shape = varints(2, 0, 2))],
    ['an unknown kind', /unknown kind/, (columns) => (columns.head[1] = 24)],
    ['relative to no row', /relative to nothing/, (columns) => (columns.head[0]! |= 0x80)],
    ['floats relative to a row', /relative to nothing/, (columns) => (columns.head[1]! |= 0x80)],
    ['the times of no row', /outside of its window/, (columns) => (columns.head[0]! |= 0x40)],
    ['an unknown unit of time', /unit of time/, (columns) => (columns.time[0] = 3)],
    [
      'a summary of nothing',
      /summary of nothing/,
      (columns) => {
        columns.head[0]! &= ~0x20;
        columns.n = varints(0, 2);
      },
    ],
    [
      'a scale over 160',
      /scale out of range/,
      (columns) => {
        columns.sum = Buffer.concat([varints(161), columns.sum.subarray(1)]);
      },
    ],
    ['a scale out of range', /scale out of range/, (columns) => (columns.sum[0] = 3)],
    ['an unknown device of a loss', /unknown device/, (columns) => (columns.loss = varints(2, 0, 0))],
    ['an unknown word', /unknown word/, (columns) => (columns.loss = varints(0, 0, 1))],
    ['a word that is none', /word that is none/, (columns) => (columns.loss = varints(0, 0, 0, 1, 65))],
    ['a word twice', /word listed twice/, (columns) => (columns.loss = varints(0, 0, 0, 1, 97, 0, 1, 97, 1))],
    ['a loss cut off', /ends too early/, (columns) => (columns.loss = varints(0, 0))],
    [
      'the session as the name of another part',
      /part listed twice/,
      (columns) => {
        columns.counts = Buffer.concat([columns.counts.subarray(0, -3), varints(1), columns.counts.subarray(-2)]);
        columns.partName = varints(identity.session);
      },
    ],
    ['more than is told', /left over in column part/, (columns) => (columns.part = varints(0, 0))],
  ];
  for (const [what, detail, change] of cases) {
    const { reason, detail: said, header } = refusal(tampered(small, change));
    assert.match(reason, /corrupt|invalid/, what);
    assert.match(said, detail, what);
    assert.deepEqual(header, identity);
  }
});

t.test('names that come twice are refused', async () => {
  const other = { ...window, device: 'sensoS', metrics: new Map([['temperaturE', of(1)]]) };
  const both = { ...small, windows: [window, other] };
  const text = (from: string, to: string) => (columns: Columns) => {
    columns.text = Buffer.from(Buffer.from(columns.text).toString().replace(from, to));
  };
  assert.match(refusal(tampered(both, text('sensoS', 'sensor'))).detail, /device listed twice/);
  assert.match(refusal(tampered(both, text('temperaturE', 'temperature'))).detail, /metric listed twice/);
});

t.test('a range that falls below 0 is refused', async () => {
  const next = { ...window, part: 1, readings: 1, metrics: new Map([['temperature', of(21.3)]]) };
  const { columns } = encodeBody({ ...small, windows: [{ ...window, metrics: next.metrics, readings: 1 }, next] });
  const forged = (range: number) => {
    const bits = new BitWriter();
    for (const [value, order] of [
      [426, 10],
      [0, 5],
      [0, 9],
      [range, 0],
    ] as const)
      bits.golomb(value, order);
    return sealBatch(identity, packBody({ columns, bits: bits.bytes() }));
  };
  assert.ok(decodeBatch(forged(0)).ok);
  // The zigzag of −1.
  assert.match(refusal(forged(1)).detail, /out of range/);
});
