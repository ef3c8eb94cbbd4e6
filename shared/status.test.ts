import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { decodeStatus, encodeStatus, type Status } from './status.js';

const status: Status = {
  v: 1,
  state: 'online',
  epoch: 'c0ffee00c0ffee00c0ffee00c0ffee00',
  version: '0.1.0',
  sentMs: 1_790_000_040_000,
  backlog: { windows: 12, bytes: 3456, oldestMs: 1_789_999_980_000 },
  open: { windows: 2, readings: 5, oldestMs: 1_790_000_040_000 },
  readings: { in: 10, counted: 6, duplicate: 2, rejected: 1, held: 1 },
  reasons: { rejected: { 'not-json': 1 }, values: {} },
};

function decode(value: unknown) {
  return decodeStatus(Buffer.from(JSON.stringify(value)));
}

t.test('a status comes back', async () => {
  const { v, ...content } = status;
  assert.deepEqual(decodeStatus(encodeStatus(content)), { ok: true, value: status });
  assert.equal(v, 1);
  const { open: _, ...older } = status;
  assert.deepEqual(decode(older), { ok: true, value: older }, 'an older agent tells nothing of open windows');
  const stopped = { ...status, state: 'offline', final: true };
  assert.deepEqual(decode(stopped), { ok: true, value: stopped });
  const drained = { ...content, state: 'offline', backlog: { windows: 0, bytes: 0, oldestMs: null } } as const;
  assert.deepEqual(decodeStatus(encodeStatus(drained)), { ok: true, value: { v: 1, ...drained } });
});

t.test('what a newer gateway says besides is let through; a newer version is refused with words', async () => {
  assert.deepEqual(decode({ ...status, mood: 'good', readings: { ...status.readings, lost: 0 } }), {
    ok: true,
    value: status,
  });
  const newer = decode({ v: 7 });
  assert.ok(!newer.ok && newer.reason === 'newer-version');
  assert.match(newer.detail, /status format 7.*reads up to 1.*upgrade/);
});

t.test('reasons: kinds that this program does not know are kept; a gateway that gives none has none', async () => {
  const reasons = { ...status.reasons, coarsened: { hour: 7 } };
  assert.deepEqual(decode({ ...status, reasons }), { ok: true, value: { ...status, reasons } });
  const { reasons: _, ...without } = status;
  assert.deepEqual(decode(without), { ok: true, value: { ...status, reasons: {} } });
});

t.test('what is missing or wrong is named', async () => {
  for (const key of Object.keys(status).filter((name) => name !== 'reasons' && name !== 'open')) {
    const decoded = decode(Object.fromEntries(Object.entries(status).filter(([name]) => name !== key)));
    assert.ok(!decoded.ok && decoded.reason === 'invalid');
    assert.match(decoded.detail, new RegExp(`status: ${key}: `));
  }
  const wrong = [
    { state: 'asleep' },
    { epoch: 'c0ffee' },
    { version: '' },
    { sentMs: -1 },
    { backlog: { windows: 1, bytes: 1 } },
    { open: { windows: 1, readings: -1, oldestMs: null } },
    { final: 'yes' },
    { backlog: { windows: 1.5, bytes: 1, oldestMs: null } },
    { readings: { ...status.readings, held: '1' } },
    { reasons: { rejected: { 'not-json': -1 } } },
    { reasons: { rejected: { '\u001b[2J': 1 } } },
    { reasons: { 'Not a word': {} } },
    { reasons: { rejected: 1 } },
    { reasons: { rejected: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`r${i}`, 1])) } },
  ];
  for (const part of wrong) assert.equal(decode({ ...status, ...part }).ok, false, JSON.stringify(part));
});

t.test('any bytes are a status or a reason', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json().map((text) => Buffer.from(text)),
        fc.uint8Array(),
      ),
      (bytes) => !decodeStatus(bytes).ok,
    ),
  );
});

t.test('the example in docs/wire-format.md can be read', async () => {
  const page = readFileSync(new URL('../../docs/wire-format.md', import.meta.url), 'utf8');
  const text = /```json status\n([^`]*)```/.exec(page)?.[1] ?? '';
  assert.deepEqual(decodeStatus(Buffer.from(text)), { ok: true, value: JSON.parse(text) });
});
