import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { VERSION } from './version.js';
import { windowStartMs } from './window.js';

const LENGTHS_MS = [1, 250, 1000, 10_000, 60_000, 900_000, 3_600_000, 86_400_000];

t.test('a window holds its start and not its end, aligned to UTC', async () => {
  assert.equal(windowStartMs(1_700_000_000_000_000, 60_000), 1_699_999_980_000);
  assert.equal(windowStartMs(59_999_999, 60_000), 0);
  assert.equal(windowStartMs(60_000_000, 60_000), 60_000);
  assert.equal(windowStartMs(-1, 60_000), -60_000);
  assert.ok(Object.is(windowStartMs(0, 60_000), 0));
  assert.equal(windowStartMs(-60_000_000, 60_000), -60_000);
});

t.test('exactly, for every safe time', async () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.constantFrom(...LENGTHS_MS), (timeUs, lengthMs) => {
      const length = BigInt(lengthMs) * 1000n;
      const into = ((BigInt(timeUs) % length) + length) % length;
      const start = (BigInt(timeUs) - into) / 1000n;
      assert.equal(windowStartMs(timeUs, lengthMs), Number(start));
    }),
    { numRuns: 1000 },
  );
  // The last µs of a window and the first of the next, as far out as times go: no quotient may round across.
  for (const lengthMs of LENGTHS_MS) {
    const end = Math.floor(Number.MAX_SAFE_INTEGER / (lengthMs * 1000)) * lengthMs;
    assert.deepEqual(
      [end * 1000 - 1, end * 1000].map((timeUs) => windowStartMs(timeUs, lengthMs)),
      [end - lengthMs, end],
    );
    assert.equal(windowStartMs(-end * 1000 + 1, lengthMs), -end);
    assert.equal(windowStartMs(-end * 1000, lengthMs), -end);
  }
});

t.test('the programs call themselves what their packages say', async () => {
  for (const path of ['', 'shared/', 'agent/', 'cloud/']) {
    const file = new URL(`../../${path}package.json`, import.meta.url);
    assert.equal(JSON.parse(readFileSync(file, 'utf8')).version, VERSION, `${path}package.json`);
  }
});
