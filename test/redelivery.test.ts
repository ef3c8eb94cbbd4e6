/**
 * Promise 2 for messages that carry neither a time nor an id: bare numbers, sent again with DUP to an agent that was
 * killed after its commit, count once; the same numbers sent anew count again. Real processes and packets.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import t from 'tap';
import type { Books } from '../agent/books.js';
import { DeafProxy } from './deaf-proxy.js';
import { MOSQUITTO, Mosquitto } from './mosquitto.js';
import { DISCONNECT, PUBACK, PUBCOMP, PUBREC, publish, pubrel, RawClient } from './mqtt-bytes.js';
import { needs } from './needs.js';
import { Rig } from './rig.js';

const routes = [{ shape: 'number', topic: 'plug/{device}/{metric}', window: '10s', lateness: '0s' }];
const DIR = t.testdir();
const DUP = 8;

/** The books, once they hold. */
async function booksOf(rig: Rig, holds: (books: Books) => boolean): Promise<Books> {
  for (;;) {
    const books = (await rig.status())?.books;
    if (books !== undefined && holds(books)) return books;
    await sleep(20);
  }
}

t.test('a sensor at the broker of the agent', { timeout: 120_000 }, async (t) => {
  const rig = await Rig.make(t, { routes, agent: { clock: { trust: 'always' } } });
  await rig.start();
  const connect = async (clientId = 'plug') => (await RawClient.connect(rig.sensorPort, { clientId })).client;
  const power = (id: number, flags = 0, qos = 1) => publish('plug/a/power', '21.4', qos, id, flags);
  const counted = (count: number) => booksOf(rig, (books) => books.counted >= count);
  const killed = async () => {
    await rig.agent.end('SIGKILL');
    await rig.agent.start();
  };
  /** Sends, and waits for the PUBACK. */
  const acknowledged = async (client: RawClient, packet: Buffer) => {
    client.send(packet);
    t.equal((await client.next())?.type, PUBACK);
  };

  await t.test('killed before the sensor heard the PUBACK', async (t) => {
    const sensor = await connect();
    sensor.send(power(1), power(2));
    await counted(2);
    await sensor.end(); // it never read
    await killed();
    const again = await connect();
    await acknowledged(again, power(1, DUP));
    await acknowledged(again, power(2, DUP));
    t.match(await booksOf(rig, () => true), { in: 4, counted: 2, duplicate: 2 });
    await acknowledged(again, power(3));
    await acknowledged(again, power(3));
    t.match(
      await booksOf(rig, () => true),
      { in: 6, counted: 4, duplicate: 2 },
      'the same value anew: another id, the same id',
    );
    await again.end();
  });

  await t.test('its windows have left the journal, and it was killed twice', async (t) => {
    await rig.settled();
    await killed();
    await killed();
    const sensor = await connect();
    await acknowledged(sensor, power(3, DUP));
    await acknowledged(sensor, power(4, DUP));
    t.match(await booksOf(rig, () => true), { counted: 5, duplicate: 3 }, 'id 4 never arrived before');
    await sensor.end();
  });

  await t.test('a sensor that left in peace, and whose next message gets lost once', async (t) => {
    const sensor = await connect('sleeper');
    await acknowledged(sensor, power(1));
    sensor.send(DISCONNECT);
    await sensor.closed;
    const awake = await connect('sleeper');
    await acknowledged(awake, power(1, DUP));
    t.match(await booksOf(rig, () => true), { counted: 7, duplicate: 3 });
    await awake.end();
  });

  await t.test('QoS 2: neither PUBREC nor PUBCOMP heard', async (t) => {
    const sensor = await connect('exact');
    sensor.send(power(9, 0, 2));
    await counted(8);
    await sensor.end();
    const again = await connect('exact');
    again.send(power(9, DUP, 2));
    t.equal((await again.next())?.type, PUBREC);
    again.send(power(9, DUP, 2));
    t.equal((await again.next())?.type, PUBREC);
    again.send(pubrel(9));
    t.equal((await again.next())?.type, PUBCOMP);
    t.match(await booksOf(rig, () => true), { counted: 8, duplicate: 5 });
    await again.end();
  });

  await rig.settled(120_000);
  t.match(await rig.report('--group-by', 'device', '--format', 'csv'), /^a,power,8,/m);
});

t.test('Mosquitto, whose PUBACKs got lost when the agent was killed', { timeout: 60_000 }, async (t) => {
  if (!needs(t, MOSQUITTO, 'mosquitto')) return;
  const mosquitto = await Mosquitto.start(join(DIR, 'mosquitto'));
  const proxy = await DeafProxy.start(mosquitto.port);
  const url = `mqtt://127.0.0.1:${proxy.port}`;
  const accept = { sources: [{ type: 'mqtt', url }], routes };
  const rig = await Rig.make(t, { routes, agent: { accept, clock: { trust: 'always' } } });
  t.teardown(async () => {
    await proxy.stop();
    await mosquitto.stop();
  });
  await rig.start();
  const sensor = await mqtt.connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`);
  const send = () => sensor.publishAsync('plug/a/power', '21.4', { qos: 1 });
  while (!rig.agent.output.some((line) => line.includes('"subscribed"'))) await sleep(20);
  await send();
  await booksOf(rig, (books) => books.counted === 1);
  proxy.isDeaf = true;
  for (let i = 0; i < 10; i++) await send();
  await booksOf(rig, (books) => books.counted === 11);
  await rig.agent.end('SIGKILL');
  proxy.isDeaf = false;
  await rig.agent.start();
  t.match(await booksOf(rig, (books) => books.in >= 21), { in: 21, counted: 11, duplicate: 10 });
  for (let i = 0; i < 10; i++) await send();
  t.match(await booksOf(rig, (books) => books.in >= 31), { in: 31, counted: 21, duplicate: 10 });
  await sensor.endAsync();
});
