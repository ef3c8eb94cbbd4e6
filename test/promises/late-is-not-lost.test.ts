/**
 * Promise 3. A reading counts however late it is: after its window went up, after the gateway forgot that window, a month
 * later. One from the future is held apart, counted as held, and counts when its time has come.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t from 'tap';
import { until } from '../cloud-rig.js';
import { Rig } from '../rig.js';

const routes = [
  { topic: 'site/{device}', window: '1m', lateness: '1s', time: { from: 'ts', unit: 'ms' }, metrics: ['x'] },
];
const MONTH_MS = 30 * 86_400_000;

t.test('late, later, and from the future', { timeout: 120_000 }, async (t) => {
  const rig = await Rig.make(t, {
    routes,
    agent: { buffer: { commitInterval: '2ms', retention: '1ms', future: '1s' } },
  });
  await rig.start();
  const sensor = await rig.sensor();
  const startMs = Date.now() - MONTH_MS;
  const send = (ts: number, x: number) => sensor.publishAsync('site/a', JSON.stringify({ ts, x }), { qos: 1 });
  const count = async () => {
    const from = new Date(startMs - 86_400_000).toISOString();
    const csv = await rig.report('--from', from, '--group-by', 'all', '--format', 'csv');
    const [, metric, readings, sum] = /^(x),(\d+),(-?\d+)/m.exec(csv) ?? [];
    return { metric, readings: Number(readings), sum: Number(sum) };
  };

  await Promise.all(Array.from({ length: 60 }, (_, i) => send(startMs + i * 1000, 1)));
  await rig.settled();
  t.strictSame(await count(), { metric: 'x', readings: 60, sum: 60 });

  await Promise.all(Array.from({ length: 60 }, (_, i) => send(startMs + i * 1000 + 500, 10)));
  await rig.settled();
  t.strictSame(await count(), { metric: 'x', readings: 120, sum: 660 }, 'the windows were amended');

  await until(() => isForgotten(rig));
  await Promise.all(Array.from({ length: 60 }, (_, i) => send(startMs + i * 1000 + 250, 100)));
  await rig.settled();
  t.strictSame(
    await count(),
    { metric: 'x', readings: 180, sum: 6660 },
    'windows that are gone got a part that merges',
  );

  const ahead = Date.now() + 6_000;
  await send(ahead, 1000);
  t.match((await rig.status())?.books, { held: 1, counted: 180 }, 'held apart, and said so');
  await rig.agent.end('SIGKILL');
  await rig.agent.start();
  t.equal((await rig.status())?.books.held, 1, 'a crash does not forget it');
  await until(async () => (await rig.status())?.books.held === 0);
  t.match((await rig.status())?.books, { counted: 181 });
  await sensor.endAsync();
});

/** Whether the gateway has forgotten its windows; asked of a copy of what is on disk while the agent is stopped. */
async function isForgotten(rig: Rig): Promise<boolean> {
  await sleep(2_000);
  await rig.agent.end('SIGTERM');
  const db = new Database(join(rig.dir, 'agent', 'edgetally.db'), { readonly: true });
  const rows = db.prepare('SELECT count(*) FROM windows').pluck().get();
  db.close();
  await rig.agent.start();
  return rows === 0;
}
