import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { decodeReceipt, encodeReceipt, type Receipt } from './receipt.js';

const receipt: Receipt = {
  v: 1,
  epoch: 'c0ffee00c0ffee00c0ffee00c0ffee00',
  committed: [{ session: 3, sequences: [1, 2, 70_000] }],
  rejected: [{ session: 3, sequence: 3, reason: 'corrupt', detail: 'ends too early' }],
  timeMs: 1_790_000_040_000,
};

function decode(value: unknown) {
  return decodeReceipt(Buffer.from(JSON.stringify(value)));
}

function refusal(value: unknown) {
  const decoded = decode(value);
  assert.ok(!decoded.ok, 'this was to be refused');
  return decoded;
}

t.test('a receipt comes back', async () => {
  const { v, ...content } = receipt;
  assert.deepEqual(decodeReceipt(encodeReceipt(content)), { ok: true, value: receipt });
  assert.equal(v, 1);
  const empty = { ...content, committed: [], rejected: [] };
  assert.deepEqual(decodeReceipt(encodeReceipt(empty)), { ok: true, value: { v: 1, ...empty } });
});

t.test('what a newer cloud says besides is let through, and left out', async () => {
  const more = { ...receipt, mood: 'good', committed: [{ ...receipt.committed[0], took: 5 }] };
  assert.deepEqual(decode(more), { ok: true, value: receipt });
});

t.test('a newer version is refused with words, whatever is in it', async () => {
  const { reason, detail } = refusal({ v: 2, committed: 'all of them' });
  assert.equal(reason, 'newer-version');
  assert.match(detail, /receipt format 2.*reads up to 1.*upgrade/);
});

t.test('what is missing or wrong is named', async () => {
  for (const key of Object.keys(receipt)) {
    const { reason, detail } = refusal(Object.fromEntries(Object.entries(receipt).filter(([name]) => name !== key)));
    assert.equal(reason, 'invalid');
    assert.match(detail, new RegExp(`receipt: ${key}: `));
  }
  const wrong = [
    { epoch: 'C0FFEE00C0FFEE00C0FFEE00C0FFEE00' },
    { committed: [{ session: 0, sequences: [1] }] },
    { committed: [{ session: 1, sequences: [1.5] }] },
    { committed: [{ session: 1, sequences: [2 ** 53] }] },
    { rejected: [{ session: 1, sequence: 1, reason: '', detail: '' }] },
    { rejected: [{ session: 1, sequence: 1, reason: 'corrupt', detail: 'x'.repeat(1001) }] },
    { timeMs: '2026-11-21' },
    { v: 0 },
  ];
  for (const part of wrong) assert.equal(refusal({ ...receipt, ...part }).reason, 'invalid', JSON.stringify(part));
});

t.test('any bytes are a receipt or a reason', async () => {
  assert.equal(refusal(null).reason, 'invalid');
  assert.equal(refusal([]).reason, 'invalid');
  for (const bytes of [Buffer.alloc(0), Buffer.from('{'), Uint8Array.of(0x22, 0xff, 0x22)]) {
    const decoded = decodeReceipt(bytes);
    assert.ok(!decoded.ok && decoded.reason === 'not-json');
  }
  const large = decodeReceipt(Buffer.alloc(300_000, ' '));
  assert.ok(!large.ok && large.reason === 'too-large');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json().map((text) => Buffer.from(text)),
        fc.uint8Array(),
      ),
      (bytes) => !decodeReceipt(bytes).ok,
    ),
  );
});

t.test('a long detail is cut, so that the receipt can be read', async () => {
  const long = encodeReceipt({ ...receipt, rejected: [{ ...receipt.rejected[0]!, detail: 'ü'.repeat(5000) }] });
  const decoded = decodeReceipt(long);
  assert.ok(decoded.ok);
  assert.equal(decoded.value.rejected[0]?.detail.length, 1000);
});

t.test('the example in docs/wire-format.md can be read', async () => {
  const page = readFileSync(new URL('../../docs/wire-format.md', import.meta.url), 'utf8');
  const text = /```json receipt\n([^`]*)```/.exec(page)?.[1] ?? '';
  assert.deepEqual(decodeReceipt(Buffer.from(text)), { ok: true, value: JSON.parse(text) });
});
