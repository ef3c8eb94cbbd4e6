import t from 'tap';
import { growth, healthOf } from './health.js';

const MB = 2 ** 20;

/** A line a second of a process whose memory is so large at each. */
function life(pid: number, seconds: number, rss: (second: number) => number): string[] {
  return Array.from({ length: seconds }, (_, i) =>
    JSON.stringify({ pid, age: i + 1, rss: rss(i), p99: 2, max: i, cpu: i / 10 }),
  );
}

t.test('memory that grows is told from memory that comes and goes', async (t) => {
  const flat = healthOf('flat', [...life(1, 20, () => 50 * MB), ...life(2, 600, (i) => (150 + (i % 60)) * MB)]);
  t.equal(flat.seconds, 600, 'the longest life');
  t.equal(growth(flat), undefined);
  const grown = healthOf(
    'leaky',
    life(1, 600, (i) => (100 + i / 4) * MB),
  );
  t.match(growth(grown), /^leaky: memory grows, from 156 to 231 MB within 600 s$/);
  const young = healthOf(
    'young',
    life(1, 100, (i) => (100 + i) * MB),
  );
  t.equal(growth(young), undefined, 'one that was killed early is not judged');
  t.equal(growth(healthOf('never', [])), undefined);
});
