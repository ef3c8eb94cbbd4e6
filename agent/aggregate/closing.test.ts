import t from 'tap';
import { closingTime } from './closing.js';

const MINUTE = 60_000;
const window = { startMs: 10 * MINUTE, lengthMs: MINUTE, revision: 0 };
const now = { steadyMs: 500, trustedMs: 10 * MINUTE + 20_000 };
const at = (timeMs: number, over = {}, clock: Parameters<typeof closingTime>[3] = now) =>
  closingTime({ ...window, ...over }, timeMs * 1000, 2_000, clock);

t.test('a window closes after its end and the lateness, on the steady clock', async (t) => {
  t.equal(at(10 * MINUTE), 500 + 40_000 + 2_000);
  t.equal(at(10 * MINUTE, {}, { ...now, trustedMs: 99 * MINUTE }), 500 + 2_000, 'it is late already');
  t.equal(at(10 * MINUTE, {}, { ...now, trustedMs: 1 }), 500 + MINUTE + 2_000, 'a device whose clock is ahead');
});

t.test('where nobody knows the time, the first reading says how much of the window is left', async (t) => {
  t.equal(at(10 * MINUTE + 15_000, {}, { steadyMs: 500, trustedMs: undefined }), 500 + 45_000 + 2_000);
});

t.test('each revision waits twice as long, up to the length of the window', async (t) => {
  const late = { ...now, trustedMs: 99 * MINUTE };
  const waits = [0, 1, 2, 3, 4, 5, 6, 99].map((revision) => at(10 * MINUTE, { revision }, late) - 500);
  t.strictSame(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});
