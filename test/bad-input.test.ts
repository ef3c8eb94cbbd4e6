/** Whatever comes in: counted by reason, a sample kept in a bounded quarantine, nothing else disturbed. */
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { imbalance, sumReasons } from '../agent/books.js';
import { Rig } from './rig.js';

const routes = [
  {
    topic: 'plant/{group}/{device}',
    window: '1m',
    lateness: '1s',
    time: { from: 'ts', unit: 'ms' },
    metrics: ['temp'],
  },
  { topic: 'ids/+', device: 'id', window: '1m', lateness: '1s', time: { from: 'ts', unit: 'ms' } },
];

const TS = Date.UTC(2025, 0, 1);
const good = (n: number) => JSON.stringify({ ts: TS + n * 1000, temp: n });

/** Topic, payload, and what becomes of it. */
const BAD: readonly (readonly [string, string | Buffer, string])[] = [
  ['plant/hall/a', '{"ts":', 'not-json'],
  ['plant/hall/a', 'hello', 'not-json'],
  ['plant/hall/a', '{"ts":1735689600000,"temp":NaN}', 'not-json'],
  ['plant/hall/a', Buffer.from([0xff, 0xfe, 0x00, 0x80]), 'not-text'],
  ['plant/hall/a', '7', 'wrong-shape'],
  ['plant/hall/a', 'null', 'wrong-shape'],
  ['plant/hall/a', JSON.stringify({ temp: 1 }), 'bad-time'],
  ['plant/hall/a', JSON.stringify({ ts: 'yesterday', temp: 1 }), 'bad-time'],
  ['plant/hall/a', JSON.stringify({ ts: TS, temp: 'warm' }), 'no-metrics'],
  ['plant/hall/a', `{"ts":${TS},"temp":1e400}`, 'no-metrics'],
  ['plant/hall/a', `{"ts":${TS},"temp":1e-300}`, 'no-metrics'],
  ['plant/hall/a', JSON.stringify({ ts: TS, temp: {} }), 'no-metrics'],
  ['plant/hall/a', '['.repeat(5000) + ']'.repeat(5000), 'too-deep'],
  ['plant/hall/a', `{"__proto__":{"temp":1},"constructor":1,"ts":${TS}}`, 'no-metrics'],
  ['ids/x', JSON.stringify({ ts: TS, temp: 1 }), 'no-device'],
  ['ids/x', JSON.stringify({ ts: TS, temp: 1, id: 'a\u0000b' }), 'no-device'],
  ['ids/x', JSON.stringify({ ts: TS, temp: 1, id: 'n'.repeat(1000) }), 'no-device'],
  ['elsewhere', good(1), 'no-route'],
  ['plant//', good(1), 'no-device'],
  ['plant/hall/a', '', 'not-json'],
];

t.test('bad input among good', { timeout: 60_000 }, async (t) => {
  const rig = await Rig.make(t, { routes });
  await rig.start();
  const client = await rig.sensor();
  await client.publishAsync('plant/hall/a', good(1), { qos: 1 });
  for (const [topic, payload] of BAD) await client.publishAsync(topic, payload, { qos: 1 });
  await client.publishAsync('plant/hall/a', good(2), { qos: 1 });

  const status = (await rig.status())!;
  t.equal(status.books.in, BAD.length + 2);
  t.equal(status.books.counted, 2);
  t.equal(imbalance(status.books), 0);
  t.equal(sumReasons(status.books.rejected), BAD.length);
  const kept = new Set<string>(status.quarantine.map(({ reason }) => reason));
  for (const [topic, payload, reason] of BAD) {
    t.ok((status.books.rejected[reason] ?? 0) > 0, `${reason}: ${topic} ${String(payload).slice(0, 40)}`);
    t.ok(kept.has(reason), `a sample of ${reason} is kept`);
  }

  await t.test('bytes that are no MQTT, and a payload over the limit, end that connection only', async (t) => {
    const junk = connect(rig.sensorPort, '127.0.0.1');
    junk.on('error', () => undefined);
    junk.write(Buffer.alloc(2000, 0xa5));
    await once(junk, 'close');
    const huge = await rig.sensor('huge');
    huge.options.reconnectPeriod = 0;
    huge.publish('plant/hall/b', Buffer.alloc(2_000_000, 0x20), { qos: 1 });
    await new Promise<void>((resolve) => huge.once('close', () => resolve()));
    await huge.endAsync(true);
    await client.publishAsync('plant/hall/a', good(3), { qos: 1 });
    t.equal((await rig.status())?.books.counted, 3);
  });

  await t.test('a flood of junk stays within the bounds of the quarantine', async (t) => {
    const junk = Buffer.alloc(3000, 0x7b);
    await Promise.all(Array.from({ length: 2000 }, () => client.publishAsync('plant/hall/a', junk, { qos: 1 })));
    const after = (await rig.status())!;
    t.equal(sumReasons(after.books.rejected), BAD.length + 2000);
    t.ok(after.disk.bytes < 8_000_000, `${after.disk.bytes} bytes on disk`);
  });

  await client.endAsync();
  await rig.settled();
  const report = await rig.report('--format', 'csv');
  t.match(report, /^a,temp,3,6,2,1,/m, 'and the good readings are in the report');
});
