/**
 * Promise 1. What a sensor has a PUBACK for is in the report, though the gateway is killed at any moment and the sensor
 * sends nothing twice; and with sensors that do send again, the report is the one of a calm run, byte for byte.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { type Program, Rig } from '../rig.js';

const READINGS = 3_000;
const DEVICES = 5;
/** Midnight UTC long ago, so that windows close as soon as they are late enough. */
const START_MS = Date.UTC(2025, 0, 1);

const routes = [
  {
    topic: 'site/{group}/{device}',
    window: '1m',
    lateness: '1s',
    time: { from: 'ts', unit: 'ms' },
    metrics: ['a', 'b'],
  },
];

/** Reading i: fixed, so that both runs publish the same. */
function reading(i: number): { topic: string; payload: string } {
  const device = i % DEVICES;
  const ts = START_MS + Math.floor(i / DEVICES) * 1_700 + device * 13;
  const a = Math.round(Math.sin(i) * 1000) / 100;
  return { topic: `site/hall/d${device}`, payload: JSON.stringify({ ts, a, b: i * 0.1 }) };
}

async function publish(rig: Rig, perSecond: number): Promise<void> {
  const client = await rig.sensor();
  const acknowledged: Promise<unknown>[] = [];
  for (let i = 0; i < READINGS; i++) {
    const { topic, payload } = reading(i);
    acknowledged.push(untilAcknowledged(client, topic, payload));
    if (i % 50 === 49) await sleep((50 / perSecond) * 1000);
  }
  await Promise.all(acknowledged);
  await client.endAsync();
}

/** mqtt.js resends what was in flight, but gives up what it was about to resend when the connection went again. */
async function untilAcknowledged(client: MqttClient, topic: string, payload: string): Promise<void> {
  while (
    !(await client.publishAsync(topic, payload, { qos: 1 }).then(
      () => true,
      () => false,
    ))
  )
    await sleep(50);
}

async function reports(rig: Rig): Promise<string> {
  const byHour = await rig.report('--group-by', 'device,hour', '--format', 'csv');
  const all = await rig.report('--group-by', 'all', '--format', 'csv');
  return byHour + all;
}

async function calm(t: Test): Promise<string> {
  const rig = await Rig.make(t, { routes });
  await rig.start();
  await publish(rig, 100_000);
  const { books } = await rig.settled();
  t.equal(books.counted, READINGS);
  return reports(rig);
}

/** Kills a program at a bad moment, again and again, and starts it on what it left. */
async function harass(program: Program, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await sleep(300 + Math.random() * 700);
    await program.end('SIGKILL');
    await program.start();
  }
}

t.test('kill -9 of agent, cloud and broker in mid-run', { timeout: 120_000 }, async (t) => {
  const expected = await calm(t);
  t.match(expected, /^d4,.*,b,600,/m, 'every reading is in the calm report');
  const rig = await Rig.make(t, { routes });
  await rig.start();
  await Promise.all([publish(rig, 700), ...[rig.agent, rig.cloud, rig.broker].map((victim) => harass(victim, 3))]);
  const { books } = await rig.settled();
  t.equal(books.counted, READINGS, 'nothing acknowledged is lost, nothing counts twice');
  t.equal(await reports(rig), expected);
});

t.test('kill -9 of the agent, and sensors that never send again', { timeout: 120_000 }, async (t) => {
  // a commit interval long enough that a PUBACK before the commit would be caught
  const rig = await Rig.make(t, { routes, agent: { buffer: { commitInterval: '100ms' } } });
  await rig.start();
  const acknowledged = new Set<string>();
  let published = 0;
  for (let life = 0; life < 5; life++) {
    const sensor = await rig.sensor(`sensor${life}`, { forgetful: true });
    const lost = new Promise<void>((resolve) => sensor.once('close', () => resolve()));
    const killed = sleep(100 + Math.random() * 300).then(() => rig.agent.end('SIGKILL'));
    while (sensor.connected) {
      const device = `n${published++}`;
      const payload = JSON.stringify({ ts: START_MS, a: 1, b: published });
      sensor.publish(`site/hall/${device}`, payload, { qos: 1 }, (error) => {
        if (!error) acknowledged.add(device);
      });
      if (published % 20 === 0) await sleep(5);
    }
    await Promise.all([lost, killed]);
    await rig.agent.start();
  }
  await rig.settled();
  const counted = (await rig.report('--group-by', 'device', '--metrics', 'a', '--format', 'csv'))
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','));
  const arrived = new Set(counted.map(([device]) => device!));
  t.ok(acknowledged.size > 100 && acknowledged.size < published, `${acknowledged.size} of ${published} acknowledged`);
  t.strictSame([...acknowledged].filter((device) => !arrived.has(device)).slice(0, 5), [], 'none of them is missing');
  t.ok(arrived.size <= published);
  t.ok(
    counted.every(([, , count]) => count === '1'),
    'and none counts twice',
  );
});
