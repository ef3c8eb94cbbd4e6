/**
 * Promise 2. A reading counts once: sent again after every lost connection, replayed as a whole by a bridge, before and after
 * the agent was killed, before and after its window went up; known by its time, by its record id, or by metric and time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Rig } from '../rig.js';

const time = { from: 'ts', unit: 'ms' };
const common = { window: '1m', lateness: '1s', time };
const routes = [
  { topic: 'time/{device}', metrics: ['x'], ...common },
  { topic: 'id/{device}', metrics: ['x'], id: 'id', ...common },
  { topic: 'one/{device}', metric: 'name', value: 'x', ...common },
];

const START_MS = Date.UTC(2025, 0, 1);
const EACH = 300;

interface Message {
  readonly topic: string;
  readonly payload: string;
}

/** Of each kind of identity the same number, over some minutes. */
function messages(): Message[] {
  return Array.from({ length: EACH }, (_, i) => {
    const ts = START_MS + i * 1_100;
    return [
      { topic: 'time/a', payload: JSON.stringify({ ts, x: i }) },
      // two records of the same instant are two readings
      { topic: 'id/b', payload: JSON.stringify({ ts: START_MS + (i >> 1) * 1_100, id: `rec-${i}`, x: i }) },
      // two metrics of the same instant, one a message
      { topic: 'one/c', payload: JSON.stringify({ ts: START_MS + (i >> 1) * 1_100, name: i % 2 ? 'p' : 'q', x: i }) },
    ];
  }).flat();
}

t.test('sent again and again, to an agent that is killed', { timeout: 120_000 }, async (t) => {
  const rig = await Rig.make(t, { routes });
  await rig.start();
  const all = messages();
  const report = () => rig.report('--group-by', 'device', '--format', 'csv');

  await t.test('a sensor whose connection breaks before it hears the PUBACK', async () => {
    const sensor = await rig.sensor();
    const sent = all.map(({ topic, payload }) => sensor.publishAsync(topic, payload, { qos: 1 }));
    for (let i = 0; i < 5; i++) {
      await sleep(20);
      sensor.stream.destroy(); // mqtt.js connects again and sends all that was not acknowledged, with DUP
    }
    await Promise.allSettled(sent);
    await sensor.endAsync(true);
  });
  await t.test('a bridge that replays everything, while the agent is killed', async () => {
    const bridge = await rig.sensor('bridge');
    const sent = all.map(({ topic, payload }) => bridge.publishAsync(topic, payload, { qos: 1 }));
    await rig.agent.end('SIGKILL');
    await rig.agent.start();
    await Promise.allSettled(sent);
    await bridge.endAsync(true);
  });

  /** The last word of the sensor: all of it, each acknowledged. */
  const replay = async (clientId: string) => {
    const sensor = await rig.sensor(clientId);
    await Promise.all(all.map(({ topic, payload }) => sensor.publishAsync(topic, payload, { qos: 1 })));
    await sensor.endAsync();
  };
  await replay('again');
  const before = await rig.settled();
  t.equal(before.books.counted, 3 * EACH);
  const expected = await report();
  t.match(expected, new RegExp(`^a,x,${EACH},`, 'm'));
  t.match(expected, new RegExp(`^b,x,${EACH},`, 'm'));
  t.match(expected, new RegExp(`^c,p,${EACH / 2},`, 'm'));

  await replay('after the receipts');
  await rig.agent.end('SIGKILL');
  await rig.agent.start();
  await replay('after a restart');
  const after = await rig.settled();
  t.equal(after.books.counted, 3 * EACH);
  t.ok(after.books.duplicate >= before.books.duplicate + 6 * EACH, `${after.books.duplicate} duplicates`);
  t.equal(await report(), expected);
});
