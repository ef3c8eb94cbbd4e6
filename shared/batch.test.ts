import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { batch as anyBatch } from './arbitrary.js';
import { BATCH_LIMITS, type Batch, decodeBatch, encodeBatch, packBody, sealBatch } from './batch.js';
import { BATCH_COLUMNS } from './batch-columns.js';
import { encodeBody } from './batch-encode.js';
import { identity, of, small, window } from './batch-sample.js';
import { BitWriter } from './bits.js';
import { ByteReader } from './bytes.js';
import type { LossRecord } from './loss.js';
import { writeSketch } from './sketch-codec.js';
import { CALM, LIVELY, typicalBatch, typicalWindows } from './typical.js';
import type { WindowSummary } from './window.js';

/** Decodes, and insists that it is there. */
function read(message: Uint8Array): Batch {
  const decoded = decodeBatch(message);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.batch;
}

function refusal(message: Uint8Array, limits?: Parameters<typeof decodeBatch>[1]) {
  const decoded = decodeBatch(message, limits);
  assert.ok(!decoded.ok, 'this was to be refused');
  return decoded;
}

const bytes = encodeBatch(small);
const loss: LossRecord = {
  dayMs: 0,
  kind: 'rejected',
  reason: 'not-json',
  group: undefined,
  device: undefined,
  count: 1,
};

t.test('any batch comes back bit-equal, in order', async () => {
  fc.assert(
    fc.property(anyBatch, (batch) => {
      const decoded = read(encodeBatch(batch));
      assert.deepStrictEqual(decoded, batch);
      const order = ({ windows }: Batch) => windows.map(({ metrics }) => [...metrics.keys()]);
      assert.deepEqual(order(decoded), order(batch));
    }),
    { numRuns: 200 },
  );
});

t.test('windows of one device after another come back', async () => {
  for (const sensors of [CALM, LIVELY]) {
    const batch = typicalBatch(typicalWindows({ sensors, devices: 7, minutes: 9 }));
    assert.deepStrictEqual(read(encodeBatch(batch)), batch);
  }
  assert.deepStrictEqual(read(encodeBatch({ ...small, windows: [], ledger: [] })), {
    ...small,
    windows: [],
    ledger: [],
  });
});

t.test('names that objects have are names like any other', async () => {
  const metrics = new Map(['__proto__', 'constructor', 'toString'].map((name) => [name, of(1, 2)]));
  const batch = { ...small, windows: [{ ...window, group: '__proto__', device: '__proto__', metrics }] };
  assert.deepStrictEqual(read(encodeBatch(batch)), batch);
});

t.test('typical batches are small', async (t) => {
  for (const [what, sensors, minutes, most, mostSketch] of [
    ['calm, 100 devices', CALM, 1, 8.5, 1.2],
    ['calm, backlog of 10 devices', CALM, 10, 7.5, 1.2],
    ['lively, 100 devices', LIVELY, 1, 20, 9],
    ['lively, backlog of 10 devices', LIVELY, 10, 19, 9],
  ] as const) {
    const windows = typicalWindows({ sensors, devices: 100 / minutes, minutes });
    const summaries = windows.flatMap(({ metrics }) => [...metrics.values()]);
    const each = encodeBatch(typicalBatch(windows)).length / summaries.length;
    const bits = new BitWriter();
    for (const summary of summaries) writeSketch(bits, summary);
    const sketch = bits.bytes().length / summaries.length;
    const bins = summaries.reduce((total, { sketch }) => total + sketch.keys.length, 0) / summaries.length;
    t.comment(
      `${what}: ${each.toFixed(2)} bytes a summary, ${(each - sketch).toFixed(2)} without its sketch of ${bins.toFixed(1)} bins`,
    );
    assert.ok(each <= most && sketch <= mostSketch, `${each}, ${sketch}`);
    assert.ok(each <= (sensors === CALM ? 8.5 : 24) && (sensors === CALM ? each - sketch <= 8 : bins > 14));
  }
});

t.test('losses: a batch without any is a byte or two larger for them at most, and some are small', async (t) => {
  const loss = (reason: string, device: string | undefined, count: number): LossRecord => {
    const group = device === undefined ? undefined : 'hall';
    return { dayMs: 1_789_948_800_000, kind: 'rejected', reason, group, device, count };
  };
  const none = encodeBatch(small).length;
  // As the columns were before there were losses: one length less.
  const { columns, bits } = encodeBody(small);
  const at = BATCH_COLUMNS.indexOf('loss');
  const reader = new ByteReader(columns.slice());
  const lengths = BATCH_COLUMNS.map(() => reader.varint());
  t.equal(lengths[at], 0);
  const start = lengths.slice(0, at).reduce((sum, length) => sum + (length < 128 ? 1 : 2), 0);
  const without = Buffer.concat([columns.subarray(0, start), columns.subarray(start + 1)]);
  const before = sealBatch(identity, packBody({ columns: without, bits })).length;
  t.comment(`${before} bytes without a column for losses, ${none} with it`);
  assert.ok(none <= before + 2);
  const losses = [loss('not-json', undefined, 3), loss('bad-time', 'sensor', 1), loss('bad-number', 'sensor', 700)];
  const some = encodeBatch({ ...small, losses });
  t.comment(`${some.length - none} bytes for three loss records`);
  assert.ok(some.length - none < 60);
  assert.deepStrictEqual(read(some).losses, losses);
  assert.deepStrictEqual(read(encodeBatch({ ...small, windows: [], ledger: [], losses })).losses, losses, 'alone');
});

t.test('speed', async (t) => {
  for (const [what, sensors] of [['calm', CALM] as const, ['lively', LIVELY] as const]) {
    const batch = typicalBatch(typicalWindows({ sensors, devices: 100 }));
    const message = encodeBatch(batch);
    const nanoseconds = (work: () => void) => {
      for (let i = 0; i < 20; i++) work();
      const began = process.cpuUsage();
      for (let i = 0; i < 20; i++) work();
      const { user, system } = process.cpuUsage(began);
      return Math.round(((user + system) * 1000) / 20 / 500);
    };
    const [encode, decode] = [nanoseconds(() => encodeBatch(batch)), nanoseconds(() => decodeBatch(message))];
    t.comment(`${what}: ${encode} ns to encode a summary, ${decode} ns to decode it`);
    // Not a benchmark: only what an accident in a hot path would break.
    assert.ok(encode < 20_000 && decode < 20_000);
  }
});

t.test('what cannot be told is refused by the writer', async () => {
  const cases: [string, Partial<Batch>][] = [
    ['an epoch in capitals', { epoch: small.epoch.toUpperCase() }],
    ['session 0', { session: 0 }],
    ['sequence 0', { sequence: 0 }],
    ['a window that is not aligned', { windows: [{ ...window, startMs: window.startMs + 1, metrics: new Map() }] }],
    ['a ledger entry within a day', { ledger: [{ ...small.ledger[0]!, dayMs: 1 }] }],
    ['a loss within a day', { losses: [{ ...loss, dayMs: 1 }] }],
    ['a kind that is no word', { losses: [{ ...loss, kind: 'Two words' }] }],
    ['no device name', { windows: [{ ...window, device: '' }] }],
    ['a name too long', { windows: [{ ...window, device: 'ä'.repeat(129) }] }],
    ['a control character', { windows: [{ ...window, group: 'a\u0085b' }] }],
    ['too many windows', { windows: Array<WindowSummary>(BATCH_LIMITS.maxWindows + 1).fill(window) }],
    ['half a character', { windows: [{ ...window, metrics: new Map([['\ud83c', of(1)]]) }] }],
  ];
  for (const [what, part] of cases) assert.throws(() => encodeBatch({ ...small, ...part }), RangeError, what);
  assert.deepStrictEqual(read(encodeBatch(small)), small, 'and the next batch is none the worse for it');
});

t.test('a message that was cut or changed is refused, and never misnamed', async () => {
  for (let length = 0; length < bytes.length; length++) {
    const { header } = refusal(bytes.subarray(0, length));
    if (header !== undefined) assert.deepEqual(header, identity);
  }
  for (let i = 0; i < bytes.length * 8; i++) {
    const changed = bytes.slice();
    changed[i >> 3]! ^= 1 << (i & 7);
    const { reason, header } = refusal(changed);
    assert.equal(reason, i < 24 ? 'not-a-batch' : 'checksum');
    if (header !== undefined) assert.deepEqual(header, identity);
  }
  assert.equal(refusal(Buffer.concat([bytes, Uint8Array.of(0)])).reason, 'checksum');
});

t.test('any bytes are refused or a batch', async () => {
  const start = fc.constantFrom(new Uint8Array(), bytes.subarray(0, 4), bytes.subarray(0, 32));
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 200 }), (head, tail) => {
      assert.doesNotMatch(refusal(Buffer.concat([head, tail])).detail, /unreadable/);
    }),
    { numRuns: 1000 },
  );
});

t.test('a newer format is named and told apart, whatever is in it', async () => {
  const newer = sealBatch(identity, Uint8Array.of(9, 9, 9, 9), 2);
  const { reason, detail, header } = refusal(newer);
  assert.equal(reason, 'newer-version');
  assert.match(detail, /format 2.*reads up to 1.*upgrade/);
  assert.deepEqual(header, identity);
  assert.equal(refusal(newer.subarray(0, newer.length - 3)).reason, 'newer-version');
});

t.test('a body that is longer or shorter than it says is refused', async () => {
  const { columns, bits } = encodeBody(small);
  const sealed = (body: { columns: Uint8Array; bits: Uint8Array }) =>
    refusal(sealBatch(identity, packBody(body))).detail;
  assert.match(sealed({ columns, bits: Buffer.concat([bits, Uint8Array.of(0)]) }), /bits left over/);
  assert.match(sealed({ columns, bits: bits.subarray(0, -1) }), /ends too early/);
  const unclean = bits.slice();
  unclean[bits.length - 1]! |= 1;
  assert.match(sealed({ columns, bits: unclean }), /bits left over/);
  assert.match(sealed({ columns: Buffer.concat([columns, Uint8Array.of(0)]), bits }), /bytes left over/);
  const packed = packBody({ columns, bits });
  for (const by of [-1, 1]) {
    const changed = packed.slice();
    // The length of the columns fits one byte.
    changed[0]! += by;
    assert.match(refusal(sealBatch(identity, changed)).detail, by < 0 ? /decompress/ : /another length/);
  }
  assert.equal(refusal(sealBatch({ ...identity, session: 0 }, packed)).reason, 'invalid');
  assert.equal(refusal(sealBatch({ ...identity, sequence: 0 }, packed)).reason, 'invalid');
});

t.test('the example in docs/wire-format.md is what it says', async () => {
  const page = readFileSync(new URL('../../docs/wire-format.md', import.meta.url), 'utf8');
  const message = Buffer.from(between(page, '```hex\n', '```').replaceAll(/\s/g, ''), 'hex');
  const expected = fromJson(between(page, '```json batch\n', '```'));
  assert.deepStrictEqual(read(message), expected);
  const { columns, bits } = encodeBody(expected);
  const example = page.slice(page.indexOf('## An example'));
  const hex = (bytes: Uint8Array) =>
    Buffer.from(bytes)
      .toString('hex')
      .replaceAll(/..(?=.)/g, '$& ');
  const reader = new ByteReader(columns);
  const lengths = BATCH_COLUMNS.map(() => reader.varint());
  for (const [index, name] of BATCH_COLUMNS.entries()) {
    assert.ok(example.includes(`| ${name} | \`${hex(reader.raw(lengths[index]!))}\` |`), name);
  }
  const told = [...example.matchAll(/^\| `([01]+)` \|/gm)].map((match) => match[1]).join('');
  assert.equal(told.padEnd(bits.length * 8, '0'), [...bits].map((byte) => byte.toString(2).padStart(8, '0')).join(''));
  assert.ok(example.includes(`The bits are \`${hex(bits)}\``));
});

function between(text: string, start: string, end: string): string {
  const from = text.indexOf(start);
  assert.ok(from >= 0, `${start} is on the page`);
  return text.slice(from + start.length, text.indexOf(end, from + start.length));
}

function fromJson(text: string): Batch {
  return JSON.parse(text, (key, value) => {
    if (key === 'sum' || key === 'sumSq') return BigInt(value);
    if (key === 'keys') return Int32Array.from(value);
    if (key === 'counts') return Float64Array.from(value);
    if (key === 'losses') return value.map((loss: object) => ({ group: undefined, device: undefined, ...loss }));
    return key === 'metrics' ? new Map(Object.entries(value)) : value;
  });
}
