/**
 * Promise 6. A cap of a few megabytes and an outage that is too long for it: the files stay under the cap, old windows become
 * coarser, and that is counted; every day's count, sum, min and max are exact all the same, and the books balance.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { imbalance, sumReasons } from '../../agent/books.js';
import { until } from '../cloud-rig.js';
import { Rig } from '../rig.js';

const routes = [
  { topic: 'site/{device}', window: '1m', lateness: '1s', time: { from: 'ts', unit: 'ms' }, metrics: ['x', 'y'] },
];
const CAP = 4 * 1024 * 1024;
const START_MS = Date.UTC(2025, 0, 1);
const DEVICES = 20;
/** One reading a device and minute. */
const MINUTES = 2_000;

t.test('an outage that is too long for the disk', { timeout: 180_000 }, async (t) => {
  const rig = await Rig.make(t, { routes, agent: { buffer: { commitInterval: '2ms', maxBytes: CAP } } });
  await rig.agent.start();
  const sensor = await rig.sensor();
  const days = new Map<string, { n: number; sum: number; min: number; max: number }>();
  let largest = 0;
  for (let minute = 0; minute < MINUTES; minute++) {
    const acknowledged = Array.from({ length: DEVICES }, (_, device) => {
      const ts = START_MS + minute * 60_000 + device;
      const x = ((minute * 31 + device * 7) % 1000) - 300;
      const key = `d${device},${new Date(ts).toISOString().slice(0, 10)}`;
      const day = days.get(key) ?? { n: 0, sum: 0, min: x, max: x };
      days.set(key, { n: day.n + 1, sum: day.sum + x, min: Math.min(day.min, x), max: Math.max(day.max, x) });
      return sensor.publishAsync(`site/d${device}`, JSON.stringify({ ts, x, y: x / 8 }), { qos: 1 });
    });
    await Promise.all(acknowledged);
    largest = Math.max(largest, bytesOf(join(rig.dir, 'agent')));
  }
  await until(async () => sumReasons((await rig.status())?.books.coarsened ?? {}) > 0);
  largest = Math.max(largest, bytesOf(join(rig.dir, 'agent')));
  t.ok(largest <= CAP, `${largest} bytes on disk at most, the cap is ${CAP}`);

  await rig.broker.start();
  await rig.cloud.start();
  const status = await rig.settled();
  t.equal(status.books.counted, MINUTES * DEVICES);
  t.equal(imbalance(status.books), 0, 'the books balance');
  t.ok(sumReasons(status.books.coarsened) > 0, `coarsened: ${JSON.stringify(status.books.coarsened)}`);
  const csv = await rig.report('--group-by', 'device,day', '--metrics', 'x', '--format', 'csv');
  const [header = '', ...lines] = csv.trim().split('\n');
  const column = (name: string) => header.split(',').indexOf(name);
  const reported = new Map(
    lines.map((line) => {
      const cells = line.split(',');
      const number = (name: string) => Number(cells[column(name)]);
      const key = `${cells[column('device')]},${cells[column('day')]!.slice(0, 10)}`;
      return [key, { n: number('count'), sum: number('sum'), min: number('min'), max: number('max') }];
    }),
  );
  t.strictSame(sorted(reported), sorted(days), 'every day of every device is exact');
  await sensor.endAsync();
});

/** Of the database with its log and index of the log; the ballast beside it is of a fixed size. */
function bytesOf(dir: string): number {
  const files = readdirSync(dir).filter((name) => /^edgetally\.db(-wal|-shm)?$/.test(name));
  const sizes = files.map((name) => statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
