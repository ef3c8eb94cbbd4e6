/** What is told of writes is of the last day, and no guess. */
import t from 'tap';
import { WriteBudget } from './write-budget.js';

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** A reading a second, a commit of 4 kB each; ten times as much from the second day on. */
const at = (monotonicMs: number) => {
  const seconds = monotonicMs / 1000;
  const later = Math.max(0, seconds - DAY / 1000);
  return { monotonicMs, bytes: 4096 * (seconds + 9 * later), readings: seconds, commits: seconds };
};

t.test('a day is projected from what was written', async (t) => {
  const budget = new WriteBudget({ ...at(0), bytes: 0 });
  t.strictSame(budget.state(at(0)), {
    ...{ overMs: 0, bytes: 0, readings: 0, commits: 0 },
    ...{ bytesPerReading: null, bytesPerDay: null },
  });
  t.equal(budget.state(at(MINUTE - 1)).bytesPerDay, null, 'not of a few seconds');
  t.match(budget.state(at(10 * MINUTE)), { commits: 600, bytesPerReading: 4096, bytesPerDay: 4096 * 86_400 });
});

t.test('it is of the last day', async (t) => {
  const budget = new WriteBudget(at(0));
  for (let ms = 0; ms <= 3 * DAY; ms += MINUTE) budget.note(at(ms));
  const { overMs, bytesPerReading } = budget.state(at(3 * DAY));
  t.equal(overMs, DAY);
  t.equal(bytesPerReading, 40_960);
});
