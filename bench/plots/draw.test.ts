import t from 'tap';
import { drawPlots, plotText } from './draw.js';
import { scaleOf, tickText } from './scale.js';

t.test('the plots in docs/ are those of the data beside them', async (t) => {
  for (const [name, drawing] of drawPlots()) t.equal(plotText(name), drawing, `${name}: npm run bench plots`);
});

t.test('every value lies between the ends of its scale, and ticks are round', async (t) => {
  const linear = scaleOf('linear', [3, 47], 0, 100);
  t.strictSame(linear.ticks, [0, 10, 20, 30, 40, 50]);
  t.equal(linear.at(25), 50);
  const log = scaleOf('log', [7, 130], 200, 0);
  t.strictSame(log.ticks, [5, 10, 20, 50, 100, 200]);
  t.equal(log.at(5), 200);
  t.equal(log.at(200), 0);
  t.strictSame(scaleOf('log', [0.3, 5000], 0, 1).ticks, [0.1, 1, 10, 100, 1000, 10_000]);
  t.strictSame([0.5, 20, 5000, 2_500_000].map(tickText), ['0.5', '20', '5 k', '2.5 M']);
});
