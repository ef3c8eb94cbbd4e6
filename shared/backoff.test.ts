import { test } from 'tap';
import { backoffMs } from './backoff.js';

const LIMITS = { minBackoff: 1000, maxBackoff: 60_000 };

test('a floor, a ceiling that doubles up to the last one, and anything in between', (t) => {
  const table = [
    [1, 2000],
    [2, 4000],
    [5, 32_000],
    [6, 60_000],
    [10_000, 60_000],
  ] as const;
  for (const [failures, ceiling] of table) {
    t.equal(backoffMs(failures, LIMITS, 0), 1000, `floor after ${failures}`);
    t.equal(backoffMs(failures, LIMITS, 0.5), (1000 + ceiling) / 2, `middle after ${failures}`);
    t.ok(backoffMs(failures, LIMITS, 1 - Number.EPSILON) <= ceiling, `ceiling after ${failures}`);
  }
  t.equal(backoffMs(3, { minBackoff: 500, maxBackoff: 100 }, 0.9), 500, 'limits the wrong way round: the floor holds');
  t.end();
});
