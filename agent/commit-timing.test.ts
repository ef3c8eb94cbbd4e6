import t from 'tap';
import { CommitTiming } from './commit-timing.js';
import { TestClocks } from './time/clock-testing.js';

/** A timing whose last commit began now and took so long; it is asked after that time and `laterMs` more. */
function after(tookMs: number, laterMs: number): CommitTiming {
  const clock = new TestClocks(0);
  const timing = new CommitTiming(100, clock, () => undefined);
  timing.committed();
  clock.pass(tookMs);
  timing.done();
  clock.pass(laterMs);
  return timing;
}

t.test('on a quick disk a thousand readings are enough', async (t) => {
  t.equal(after(1, 10).isEnough(999), false);
  t.equal(after(1, 10).isEnough(1000), true);
});

t.test('on a slow disk they wait for company: commits take a quarter of the time at most', async (t) => {
  t.equal(after(50, 20).isEnough(1000), false);
  t.equal(after(50, 149).isEnough(9_999), false);
  t.equal(after(50, 150).isEnough(1000), true);
});
