/** The client of an existing broker, against a real Mosquitto (skips visibly where there is none) and other brokers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { BrokerSource } from '../agent/accept/broker.js';
import { MqttSource } from '../agent/accept/mqtt-client.js';
import { brokerSourceSchema, mqttSourceSchema } from '../agent/accept/source-options.js';
import { makeCertificates } from '../certs.example/make-certs.js';
import { Inbox } from './inbox.js';
import { freePort, MOSQUITTO, Mosquitto } from './mosquitto.js';
import { needs } from './needs.js';

const WAITS = { minBackoff: 1, maxBackoff: 20, takenOver: 60_000, good: 30_000 };
type Options = Record<string, unknown>;

function reader(t: Test, port: number, options: Options = {}, inbox = new Inbox()) {
  const url = `mqtt://127.0.0.1:${port}`;
  const parsed = mqttSourceSchema.parse({ type: 'mqtt', url, subscribe: ['t/#'], ...options });
  const source = new MqttSource(parsed, inbox.context(), WAITS);
  t.teardown(() => {
    inbox.auto = true;
    for (const one of inbox.all) one.done(); // so that stop() need not wait for what a test left
    return source.stop();
  });
  return { source, inbox, counters: () => source.describe().counters };
}

/** Started, connected and subscribed. */
async function connected(t: Test, port: number, options: Options = {}) {
  const made = reader(t, port, options);
  await made.source.start();
  await made.inbox.said(/"subscribed"/);
  return made;
}

async function publisher(t: Test, port: number): Promise<MqttClient> {
  const client = await mqtt.connectAsync({ port, host: '127.0.0.1', reconnectPeriod: 5 });
  client.on('error', () => undefined);
  t.teardown(() => client.endAsync(true));
  return client;
}

const send = (client: MqttClient, texts: readonly string[], topic = 't/x') =>
  Promise.all(texts.map((text) => client.publishAsync(topic, text, { qos: 1 })));
const numbers = (from: number, count: number) => Array.from({ length: count }, (_, index) => String(from + index));
const texts = (of: readonly { text: string }[]) => of.map((one) => one.text);

t.test('with Mosquitto', async (t) => {
  if (!needs(t, MOSQUITTO, 'mosquitto')) return;
  const root = t.testdir();
  const plain = await Mosquitto.start(join(root, 'plain'), ['allow_anonymous true', 'max_queued_messages 0']);
  t.teardown(() => plain.stop());

  for (const protocol of ['5', '3.1.1']) {
    await t.test(`MQTT ${protocol}: acknowledged after the commit, and only then`, async (t) => {
      const clientId = `ack-${protocol}`;
      const { inbox, counters, source } = await connected(t, plain.port, { protocol, clientId });
      const client = await publisher(t, plain.port);
      await send(client, numbers(1, 20));
      const held = await inbox.take(20); // all at once, though none is acknowledged
      t.same(texts(held), numbers(1, 20));
      for (const one of held.slice(0, 5)) one.done();
      held[5]!.done(new Error('disk full'));
      const again = await inbox.take(15);
      t.same(texts(again), numbers(6, 15), 'all but the acknowledged come again, on a new connection');
      for (const one of held.slice(6)) one.done(); // too late: their connection is gone
      t.match(counters(), { connects: 2, redelivered: 15, unstored: 1, sessionsLost: 0, inFlight: 15 });
      for (const one of again) one.done();
      await source.stop();
      const next = await connected(t, plain.port, { protocol, clientId });
      await send(client, ['last']);
      t.equal((await next.inbox.next()).text, 'last', 'nothing comes a third time');
    });
  }

  await t.test('many are held for one commit', async (t) => {
    const { inbox } = await connected(t, plain.port, { clientId: 'many' });
    const client = await publisher(t, plain.port);
    await send(client, numbers(1, 1000));
    const held = await inbox.take(1000);
    t.same(texts(held), numbers(1, 1000));
    t.notOk(held.some((one) => one.urgent));
    for (const one of held) one.done();
    await send(client, ['more']);
    t.equal((await inbox.next()).text, 'more');
  });

  await t.test('killed before the commit: the next run gets them all', async (t) => {
    const url = `mqtt://127.0.0.1:${plain.port}`;
    const script = join(dirname(fileURLToPath(import.meta.url)), 'held-source.js');
    const child = spawn(process.execPath, [script, url, 'killed'], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => child.kill('SIGKILL'));
    const lines = createInterface(child.stdout);
    const first = once(lines, 'line');
    const last = new Promise<void>((resolve) => lines.on('line', (line) => line === '100' && resolve()));
    const client = await publisher(t, plain.port);
    const nudge = setInterval(() => void client.publish('t/x', '0', { qos: 1 }), 20); // until it has subscribed
    await first;
    clearInterval(nudge);
    await send(client, numbers(1, 100));
    await last;
    child.kill('SIGKILL');
    await once(child, 'exit');
    const { inbox, counters, source } = reader(t, plain.port, { clientId: 'killed' });
    await source.start();
    const come: string[] = [];
    while (come.at(-1) !== '100') come.push((await inbox.next()).text);
    t.same(
      come.filter((text) => text !== '0'),
      numbers(1, 100),
    );
    t.equal(counters().redelivered, come.length);
  });

  await t.test('the broker restarts: what it kept comes again, what it forgot is told', async (t) => {
    const lines = ['allow_anonymous true', 'persistence true', `persistence_location ${join(root, 'kept')}/`];
    const keeping = await Mosquitto.start(join(root, 'kept'), lines);
    t.teardown(() => keeping.stop());
    const { inbox, counters } = await connected(t, keeping.port);
    await send(await publisher(t, keeping.port), numbers(1, 10));
    const held = await inbox.take(10);
    await keeping.stop();
    await keeping.restart();
    const again = await inbox.take(10);
    t.same(texts(again), numbers(1, 10));
    for (const one of [...held, ...again]) one.done();
    t.match(counters(), { connects: 2, sessionsLost: 0 });

    const forgetful = await Mosquitto.start(join(root, 'forgetful'));
    t.teardown(() => forgetful.stop());
    const other = await connected(t, forgetful.port);
    await forgetful.stop('SIGKILL');
    await forgetful.restart();
    await other.inbox.said(/has forgotten the session/);
    t.match(other.counters(), { connects: 2, sessionsLost: 1 });
    other.inbox.auto = true;
    await other.inbox.said(/"sessionPresent":false.*[\s\S]*/);
    const late = await publisher(t, forgetful.port);
    while (other.inbox.all.length === 0) await send(late, ['subscribed again']);
    t.pass('it subscribed again');
  });

  await t.test('QoS 0, and never more in memory than asked for', async (t) => {
    const { inbox } = await connected(t, plain.port, { qos: 0, maxInFlight: 10 });
    const client = await publisher(t, plain.port);
    await send(client, numbers(1, 50));
    const first = await inbox.take(10);
    for (let round = 0; round < 3; round++) await send(client, ['elsewhere'], 'u'); // time to bring more
    t.equal(inbox.all.length, 10);
    inbox.auto = true;
    for (const one of first) one.done();
    t.same(texts(await inbox.take(40)), numbers(11, 40));
  });

  await t.test('retained messages are old news', async (t) => {
    const client = await publisher(t, plain.port);
    await client.publishAsync('r/1', 'old', { qos: 1, retain: true });
    const ignoring = await connected(t, plain.port, { subscribe: ['r/#'], clientId: 'ignoring' });
    const accepting = await connected(t, plain.port, { subscribe: ['r/#'], clientId: 'accepting', retained: 'accept' });
    await client.publishAsync('r/1', 'new', { qos: 1, retain: true });
    t.same(texts(await accepting.inbox.take(2)), ['old', 'new']);
    t.equal((await ignoring.inbox.next()).text, 'new', 'what is published while subscribed is news, retained or not');
    t.equal(ignoring.counters().retainedIgnored, 1);
    t.equal(accepting.counters().retainedIgnored, 0);
    accepting.inbox.auto = true;
    for (const one of accepting.inbox.all) one.done();
    await accepting.source.stop();
    const again = await connected(t, plain.port, { subscribe: ['r/#'], clientId: 'accepting', retained: 'accept' });
    await client.publishAsync('r/1', 'newer', { qos: 1 });
    t.equal((await again.inbox.next()).text, 'newer', 'MQTT 5: they are not repeated for a session that goes on');
    await client.publishAsync('r/1', '', { qos: 1, retain: true });
  });

  await t.test('a connection that was closed: it may be another client of the same id', async (t) => {
    const { inbox } = await connected(t, plain.port, { clientId: 'twin' });
    const twin = await mqtt.connectAsync({ port: plain.port, host: '127.0.0.1', clientId: 'twin', reconnectPeriod: 0 });
    t.teardown(() => twin.endAsync(true));
    t.match(JSON.parse(await inbox.said(/closed the connection/)), { hint: /does another client use the id twin\?/ });
  });

  await t.test('stop acknowledges what was committed, and leaves the rest to the broker', async (t) => {
    const { inbox, source } = await connected(t, plain.port, { clientId: 'stopped' });
    const client = await publisher(t, plain.port);
    await send(client, numbers(1, 3));
    const held = await inbox.take(3);
    const stopped = source.stop();
    await send(client, ['4']);
    for (const one of held) one.done();
    await stopped;
    t.equal(source.describe().state, 'stopped');
    t.equal(inbox.all.length, 3);
    const next = await connected(t, plain.port, { clientId: 'stopped' });
    t.equal((await next.inbox.next()).text, '4');
  });

  await t.test('TLS, certificates, passwords', async (t) => {
    const past = { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') };
    const good = await makeCertificates(join(root, 'ca'), { gateways: ['gw'] });
    const old = await makeCertificates(join(root, 'ca'), { gateways: ['old'], validity: { gateway: past } });
    const other = await makeCertificates(join(root, 'other'), { gateways: ['gw'] });
    const lines = [`cafile ${good.ca}`, `certfile ${good.server.cert}`, `keyfile ${good.server.key}`];
    const strict = await Mosquitto.start(join(root, 'tls'), [
      ...lines,
      'require_certificate true',
      'use_identity_as_username true',
    ]);
    t.teardown(() => strict.stop());
    const url = `mqtts://localhost:${strict.port}`;
    const fine = await connected(t, strict.port, { url, ca: good.ca, ...good.gateways.get('gw') });
    await send(await tlsPublisher(t, strict.port, good), ['over TLS']);
    t.equal((await fine.inbox.next()).text, 'over TLS');

    const table: [string, Options, string, RegExp][] = [
      [
        'our certificate expired',
        { ca: good.ca, ...old.gateways.get('old') },
        'certificate-expired',
        /the certificate .*gateway-old\.pem expired on/,
      ],
      [
        'of another CA',
        { ca: good.ca, ...other.gateways.get('gw') },
        'link-unauthorized|link-lost',
        /does the broker trust it/,
      ],
      ['its CA is not ours', { ca: other.ca, ...good.gateways.get('gw') }, 'certificate-wrong-ca', /no CA in/],
      [
        'the key of another',
        { ca: good.ca, ...good.gateways.get('gw'), key: other.gateways.get('gw')!.key },
        'certificate-key-mismatch',
        /does not belong/,
      ],
      ['none', { ca: good.ca }, 'link-unauthorized', /none is configured/],
      ['no TLS', { url: `mqtt://127.0.0.1:${strict.port}` }, 'link-lost', /closed the connection/],
      [
        'a password file that is not there',
        { ca: good.ca, username: 'u', passwordFile: join(root, 'none') },
        'config-unreadable',
        /none cannot be read/,
      ],
    ];
    for (const [name, options, code, words] of table) {
      const { source, inbox } = reader(t, strict.port, { url, ...options });
      await source.start();
      const told = JSON.parse(await inbox.said(/"level":[45]0/)) as { code: string; msg: string };
      t.match(told.code, new RegExp(`^(${code})$`), `${name}: ${told.msg}`);
      t.match(told.msg, words);
      t.match(source.describe(), { state: 'down', counters: { connects: 0 } });
      await source.stop();
    }
  });

  await t.test('a broker that is not there yet', async (t) => {
    const port = await freePort();
    const { source, inbox, counters } = reader(t, port, { url: `mqtt://127.0.0.1:${port}` });
    await source.start();
    await inbox.said(/nothing listens there/);
    while (counters().failures! < 3) await turn();
    t.equal(source.describe().state, 'down');
    const late = new BrokerSource(
      brokerSourceSchema.parse({ type: 'broker', listeners: [{ listen: `127.0.0.1:${port}` }] }),
      new Inbox().context(),
    );
    await late.start();
    t.teardown(() => late.stop());
    await inbox.said(/"subscribed"/);
    t.match(source.describe(), { state: 'up', detail: /MQTT 3\.1\.1/ });
    t.equal(inbox.logged.filter((line) => /nothing listens there/.test(line)).length, 1, 'told once');
  });
});

async function tlsPublisher(
  t: Test,
  port: number,
  made: Awaited<ReturnType<typeof makeCertificates>>,
): Promise<MqttClient> {
  const files = made.gateways.get('gw')!;
  const [ca, cert, key] = await Promise.all([readFile(made.ca), readFile(files.cert), readFile(files.key)]);
  const client = await mqtt.connectAsync(`mqtts://localhost:${port}`, { ca, cert, key });
  t.teardown(() => client.endAsync(true));
  return client;
}

t.test('brokers without MQTT 5', async (t) => {
  await t.test('one that says so, refuses a password, refuses a subscription', async (t) => {
    const users = [{ name: 'u', password: 'p', subscribe: ['t/a'] }];
    const listeners = [{ listen: '127.0.0.1:0', anonymous: false }];
    const broker = new BrokerSource(
      brokerSourceSchema.parse({ type: 'broker', listeners, users }),
      new Inbox().context(),
    );
    await broker.start();
    t.teardown(() => broker.stop());
    const port = broker.ports[0]!;
    const good = await connected(t, port, { username: 'u', password: 'p', subscribe: ['t/a'] });
    t.match(good.source.describe(), { state: 'up', detail: /MQTT 3\.1\.1/ });
    const some = await connected(t, port, {
      username: 'u',
      password: 'p',
      subscribe: ['t/a', 't/b'],
      clientId: 'some',
    });
    t.match(some.source.describe(), { state: 'up', detail: /refused to subscribe to t\/b/ });
    const none = reader(t, port, { username: 'u', password: 'p', subscribe: ['t/b'], clientId: 'none' });
    await none.source.start();
    await none.inbox.said(/refused to subscribe to t\/b/);
    const wrong = reader(t, port, { username: 'u', password: 'q', clientId: 'wrong' });
    await wrong.source.start();
    await wrong.inbox.said(/refused us: wrong user name or password/);
    const five = reader(t, port, { username: 'u', password: 'p', clientId: 'five', protocol: '5' });
    await five.source.start();
    await five.inbox.said(/does not speak this version of MQTT/);
  });

  await t.test('one that hangs up', async (t) => {
    const versions: number[] = [];
    const { port } = await scripted(t, (socket, chunk) => {
      if (chunk[0] === 0x82) socket.write(Buffer.from([0x90, 3, chunk[2]!, chunk[3]!, 1]));
      if (chunk[0] !== 0x10) return;
      versions.push(chunk[8]!);
      if (chunk[8] === 5) socket.destroy();
      else socket.write(Buffer.from([0x20, 2, 0, 0]));
    });
    const { source, inbox } = reader(t, port);
    await source.start();
    await inbox.said(/"subscribed"/);
    t.same(versions, [5, 4]);
  });
});

t.test('what a broker may say or not say', async (t) => {
  await t.test('session taken over: stop and tell, do not fight', async (t) => {
    let connects = 0;
    const { port } = await scripted(t, (socket, chunk) => {
      if (chunk[0] === 0x10) socket.write(Buffer.from([0x20, 3, 0, 0, 0])); // CONNACK of MQTT 5
      if (chunk[0] === 0x10) connects++;
      else if (chunk[0] === 0x82) socket.end(Buffer.from([0x90, 4, chunk[2]!, chunk[3]!, 0, 1, 0xe0, 2, 0x8e, 0]));
    });
    const { source, inbox } = reader(t, port, { protocol: '5' });
    await source.start();
    t.match(JSON.parse(await inbox.said(/taken over/)), { level: 50, code: 'session-taken-over' });
    t.match(source.describe(), { state: 'down', detail: /Give each gateway its own/ });
    const waited = reader(t, await freePort(), {}); // fails and tries again, while the other one waits
    await waited.source.start();
    while (waited.counters().failures! < 3) await turn();
    t.equal(connects, 1);
  });

  await t.test('no answer at all', async (t) => {
    const { port } = await scripted(t, () => undefined);
    const { source, inbox } = reader(t, port, { connectTimeout: '100ms' });
    await source.start();
    await inbox.said(/no answer/);
    t.equal(source.describe().state, 'down');
  });
});

/** A server that answers as it is told to. */
async function scripted(t: Test, answer: (socket: Socket, chunk: Buffer) => void): Promise<{ port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => answer(socket, chunk));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port };
}
