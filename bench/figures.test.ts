import t from 'tap';
import { cpuNs, type Figure, inTurns, median, regressions } from './figures.js';

const figure = (better: Figure['better'], ratio: number, gate = true): Figure => {
  return { name: 'a', unit: 'ns', ours: 1, better, ratio, gate };
};

t.test('a ratio counts as worse where less than 60 % of it is left', async (t) => {
  const recorded = { 's: a': 2 };
  t.strictSame(regressions('s', [figure('less', 3.3)], recorded), []);
  t.strictSame(regressions('s', [figure('less', 3.4)], recorded), ['s: a: ratio 3.40, recorded 2.00']);
  t.strictSame(regressions('s', [figure('more', 1.25)], recorded), []);
  t.strictSame(regressions('s', [figure('more', 1.15)], recorded), ['s: a: ratio 1.15, recorded 2.00']);
  t.strictSame(regressions('s', [figure('less', 9, false)], recorded), [], 'not one that is judged');
  t.strictSame(regressions('other', [figure('less', 9)], recorded), [], 'not recorded');
});

t.test('turns: the first one warms up, the ratio is the median of the turns', async (t) => {
  const ours = [100, 2, 4, 9];
  const theirs = [1, 1, 4, 3];
  const took = await inTurns(
    3,
    () => ours.shift()!,
    () => theirs.shift()!,
  );
  t.strictSame(took, { ours: 4, yardstick: 3, ratio: 2 });
  t.equal(median([3, 1, 2, 10]), 2.5);
});

t.test('short work is repeated until the kernel can tell', async (t) => {
  let times = 0;
  const ns = cpuNs(
    1,
    () => {
      times++;
      for (let i = 0; i < 1e5; i++) Math.sqrt(i);
    },
    20,
  );
  t.ok(times > 1 && ns > 0);
});
