/** The built-in broker, with real sockets, real TLS and protocol bytes. */
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect as connectTcp, createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Aedes } from 'aedes';
import mqtt from 'mqtt';
import t from 'tap';
import { BrokerSource } from '../agent/accept/broker.js';
import { hashPassword } from '../agent/accept/broker-access.js';
import { forgetPayloads } from '../agent/accept/broker-aedes.js';
import { BrokerClients } from '../agent/accept/broker-clients.js';
import { type Connection, Waiting } from '../agent/accept/broker-connection.js';
import { brokerSourceSchema } from '../agent/accept/source-options.js';
import { makeCertificates } from '../certs.example/make-certs.js';
import { type Delivery, Inbox } from './inbox.js';
import {
  CONNACK,
  type ConnectOptions,
  connectPacket,
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  packet,
  publish,
  pubrel,
  RawClient,
  SUBACK,
  subscribe,
} from './mqtt-bytes.js';

type Options = Record<string, unknown>;

async function broker(t: { teardown(run: () => unknown): unknown }, options: Options = {}) {
  const inbox = new Inbox();
  const parsed = brokerSourceSchema.parse({ type: 'broker', listeners: [{ listen: '127.0.0.1:0' }], ...options });
  const source = new BrokerSource(parsed, inbox.context());
  await source.start();
  t.teardown(() => source.stop());
  const port = source.ports[0]!;
  const join = async (connect: ConnectOptions = {}) => {
    const { client, code } = await RawClient.connect(port, connect);
    t.teardown(() => client.end());
    return { client, code };
  };
  return { inbox, source, port, join, counters: () => source.describe().counters };
}

t.test('PUBACK is a promise', async (t) => {
  await t.test('QoS 1: none before the commit', async (t) => {
    const { inbox, join, counters } = await broker(t);
    const { client } = await join();
    client.send(publish('a', '1', 1, 7), PINGREQ);
    const delivery = await inbox.next();
    t.equal((await client.next())?.type, PINGRESP, 'the ping that came after it is answered, the message is not');
    t.match(delivery, { topic: 'a', text: '1', urgent: false });
    delivery.done();
    t.match(await client.next(), { type: PUBACK, body: Buffer.from([0, 7]) });
    t.match(counters(), { stored: 1, unstored: 0, waiting: 0 });
  });

  await t.test('many at once are held together and acknowledged together, in order', async (t) => {
    const { inbox, join } = await broker(t);
    const { client } = await join();
    const ids = Array.from({ length: 200 }, (_, index) => index + 1);
    client.send(...ids.map((id) => publish('a', String(id), 1, id)));
    const held = await inbox.take(ids.length);
    t.same(
      held.map((one) => one.text),
      ids.map(String),
    );
    t.equal(new Set(held.map((one) => one.arrivalUs)).size, ids.length, 'no two arrive at the same time');
    for (const one of held) one.done();
    for (const id of ids) t.equal((await client.next())?.body.readUInt16BE(0), id);
  });

  await t.test('QoS 2: no PUBREC before the commit', async (t) => {
    const { inbox, join } = await broker(t);
    const { client } = await join();
    client.send(publish('a', '1', 2, 9), PINGREQ);
    const delivery = await inbox.next();
    t.equal((await client.next())?.type, PINGRESP);
    delivery.done();
    t.match(await client.next(), { type: PUBREC, body: Buffer.from([0, 9]) });
    client.send(pubrel(9));
    t.equal((await client.next())?.type, PUBCOMP);
    const aedes = await Aedes.createBroker();
    forgetPayloads(aedes);
    const { persistence } = aedes as unknown as {
      persistence: { [name: string]: (...of: unknown[]) => Promise<unknown> };
    };
    const half = { cmd: 'publish', messageId: 1, topic: 'a', payload: Buffer.alloc(1000), qos: 2 };
    await persistence.incomingStorePacket!({ id: 'x' }, half);
    t.match(await persistence.incomingGetPacket!({ id: 'x' }, half), { messageId: 1, payload: { length: 0 } });
    await new Promise<void>((resolve) => aedes.close(resolve));
  });

  await t.test('not stored: not acknowledged, and the client sends again', async (t) => {
    const { inbox, port, counters } = await broker(t);
    const client = mqtt.connect({ port, host: '127.0.0.1', clientId: 'again', clean: false, reconnectPeriod: 1 });
    t.teardown(() => client.endAsync(true));
    const acknowledged = client.publishAsync('a', '1', { qos: 1 });
    (await inbox.next()).done(new Error('disk full'));
    const second = await inbox.next();
    t.match(counters(), { unstored: 1, stored: 0 });
    second.done();
    await acknowledged;
    t.match(counters(), { unstored: 1, stored: 1 });
  });

  await t.test('stop waits for what was handed over, acknowledges it, and takes no more', async (t) => {
    const { inbox, source, join } = await broker(t);
    const { client } = await join();
    client.send(publish('a', '1', 1, 1));
    const delivery = await inbox.next();
    const stopped = source.stop();
    client.send(publish('a', '2', 1, 2), PINGREQ);
    t.equal((await client.next())?.type, PINGRESP, 'it waits');
    delivery.done();
    t.match(await client.next(), { type: PUBACK, body: Buffer.from([0, 1]) });
    t.equal(await client.next(), undefined, 'what came later is not acknowledged');
    await stopped;
    await client.closed;
    t.equal(inbox.all.length, 1);
    t.equal(source.describe().state, 'stopped');
  });

  await t.test('a last will is a message like any other', async (t) => {
    const { inbox, join } = await broker(t);
    const { client } = await join({ will: { topic: 'gone', payload: 'bye', qos: 1 } });
    client.socket.destroy();
    const will = await inbox.next();
    t.match(will, { topic: 'gone', text: 'bye' });
    will.done();
  });
});

t.test('who may come in', async (t) => {
  const dir = t.testdir({ password: 'from a file\n' });
  const hash = await hashPassword('hashed');
  await writeFile(join(dir, 'hash'), `${await hashPassword('hash in a file')}\n`);
  const users = [
    { name: 'plain', password: 'secret' },
    { name: 'hashed', passwordHash: hash },
    { name: 'file', passwordFile: join(dir, 'password') },
    { name: 'hashfile', passwordFile: join(dir, 'hash') },
    { name: 'certonly' },
  ];
  const listeners = [{ listen: '127.0.0.1:0', anonymous: false }];
  const { join: come, counters, inbox } = await broker(t, { users, listeners });
  const table: [string | undefined, string | undefined, number][] = [
    ['plain', 'secret', 0],
    ['plain', 'wrong', 4],
    ['plain', undefined, 4],
    ['hashed', 'hashed', 0],
    ['hashed', 'hashed', 0], // the second time without scrypt
    ['hashed', hash, 4],
    ['hashed', 'Hashed', 4],
    ['file', 'from a file', 0],
    ['hashfile', 'hash in a file', 0],
    ['certonly', '', 4],
    ['nobody', 'secret', 4],
    ['__proto__', 'secret', 4],
    [undefined, undefined, 5],
  ];
  for (const [username, password, code] of table) {
    const result = await come({ ...(username && { username }), ...(password !== undefined && { password }) });
    t.equal(result.code, code, `${username} / ${password}`);
    await result.client.end();
  }
  t.equal(counters().refused, table.filter(([, , code]) => code > 0).length);
  t.notMatch(inbox.logged.join(''), /secret|from a file|"wrong"/, 'passwords are not logged');

  await t.test('anonymous on this machine only, unless told otherwise', async (t) => {
    const local = await broker(t);
    t.equal((await local.join()).code, 0);
    t.equal(
      (await local.join({ username: 'esp32', password: 'x' })).code,
      0,
      'a name is as good as none without users',
    );
    const refused = brokerSourceSchema.safeParse({ type: 'broker', listeners: [{ listen: '0.0.0.0:0' }] });
    t.match(refused.error?.issues[0], { path: ['listeners', 0, 'anonymous'] });
    const open = await broker(t, { listeners: [{ listen: '0.0.0.0:0', anonymous: true }] });
    t.equal((await open.join()).code, 0);
  });

  await t.test('MQTT 5 is refused in words', async (t) => {
    const { join: come, inbox } = await broker(t);
    t.equal((await come({ version: 5 })).code, 1);
    t.match(inbox.logged.join(''), /MQTT 5, this broker speaks 3\.1\.1/);
  });

  await t.test('a file that cannot be read, a hash that is none, a port in use', async (t) => {
    const context = new Inbox().context();
    const start = (options: Options) =>
      new BrokerSource(
        brokerSourceSchema.parse({ type: 'broker', listeners: [{ listen: '127.0.0.1:0' }], ...options }),
        context,
      ).start();
    await t.rejects(start({ users: [{ name: 'a', passwordFile: join(dir, 'none') }] }), { code: 'config-unreadable' });
    await t.rejects(
      start({ users: [{ name: 'a', passwordHash: 'scrypt:999999999:8:1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAA' }] }),
      { code: 'config-invalid' },
    );
    const taken = createServer();
    await once(taken.listen(0, '127.0.0.1'), 'listening');
    const { port } = taken.address() as { port: number };
    const listen = [{ listen: '127.0.0.1:0' }, { listen: `127.0.0.1:${port}` }];
    await t.rejects(start({ listeners: listen }), { code: 'listen-failed', message: /another broker/ });
    taken.close();
    const hasty = new BrokerSource(
      brokerSourceSchema.parse({ type: 'broker', listeners: [{ listen: '127.0.0.1:0' }] }),
      context,
    );
    const started = hasty.start();
    await hasty.stop();
    await started;
    t.equal(hasty.describe().state, 'stopped', 'stopped while it starts');
  });
});

t.test('what they may publish and subscribe to', async (t) => {
  const users = [
    { name: 'a', password: 'p' },
    { name: 'b', password: 'p', publish: ['all/#'], subscribe: ['all/+'] },
  ];
  const {
    inbox,
    join: come,
    counters,
  } = await broker(t, { users, publish: ['sensors/{user}/#'], subscribe: ['sensors/{user}/#'] });
  inbox.auto = true;
  const tries: [string, string, boolean][] = [
    ['a', 'sensors/a/t', true],
    ['a', 'sensors/a', true],
    ['a', 'sensors/b/t', false],
    ['a', 'sensors/{user}/t', false],
    ['a', '$SYS/x', false],
    ['b', 'all/deep/er', true],
    ['b', 'sensors/b/t', false],
    ['', 'sensors//t', false],
    ['', 'sensors/undefined/t', false],
  ];
  for (const [name, topic, allowed] of tries) {
    const { client } = await come(name === '' ? {} : { username: name, password: 'p' });
    client.send(publish(topic, 'x'));
    t.equal((await client.next())?.type, allowed ? PUBACK : undefined, `${name} publishes to ${topic}`);
    await client.end();
  }
  t.same(
    inbox.all.map((one) => one.topic),
    tries.filter(([, , allowed]) => allowed).map(([, topic]) => topic),
  );
  t.equal(counters().denied, tries.filter(([, , allowed]) => !allowed).length);

  const wildcard = await broker(t);
  const { client: guest } = await wildcard.join();
  guest.send(publish('$SYS/broker/x', 'x'));
  t.equal(await guest.next(), undefined, '# does not reach topics that begin with $');
  t.equal(wildcard.inbox.all.length, 0);

  const filters: [string, string, number][] = [
    ['a', 'sensors/a/#', 0],
    ['a', 'sensors/a/+/x', 0],
    ['a', 'sensors/+/x', 128],
    ['a', '#', 128],
    ['b', 'all/+', 0],
    ['b', 'all/#', 128],
    ['b', '$SYS/#', 128],
  ];
  for (const [name, filter, granted] of filters) {
    const { client } = await come({ username: name, password: 'p' });
    client.send(subscribe(filter));
    t.match(
      await client.next(),
      { type: SUBACK, body: Buffer.from([0, 1, granted]) },
      `${name} subscribes to ${filter}`,
    );
    await client.end();
  }
});

t.test('TLS and client certificates', async (t) => {
  const root = t.testdir();
  const past = { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') };
  const good = await makeCertificates(join(root, 'good'), { gateways: ['sensor'] });
  const old = await makeCertificates(join(root, 'good'), { gateways: ['old'], validity: { gateway: past } });
  const other = await makeCertificates(join(root, 'other'), { gateways: ['sensor'] });
  const tls = { ...good.server, ca: good.ca };
  const required = { listen: '127.0.0.1:0', tls: { ...tls, clientCertificates: 'required' } };
  const optional = { listen: '127.0.0.1:0', anonymous: false, tls: { ...tls, clientCertificates: 'optional' } };
  const { source, inbox, counters, port } = await broker(t, {
    listeners: [required, optional],
    publish: ['sensors/{user}/#'],
    users: [{ name: 'pw', password: 'p' }],
  });
  inbox.auto = true;
  const ca = await readFile(good.ca);
  const come = async (port: number, of: typeof good | undefined, name: string, more: ConnectOptions = {}) => {
    const files = of?.gateways.get(name);
    const own = files && { cert: await readFile(files.cert), key: await readFile(files.key) };
    const { client, code } = await RawClient.connect(port, { ...more, tls: { ca, ...own } });
    t.teardown(() => client.end());
    return { client, code };
  };
  const [strict, lax] = source.ports as [number, number];
  const { client, code } = await come(strict, good, 'sensor');
  t.equal(code, 0);
  client.send(publish('sensors/sensor/t', 'x'));
  t.equal((await client.next())?.type, PUBACK, 'its common name is its user name');
  client.send(publish('sensors/other/t', 'x'));
  t.equal(await client.next(), undefined);
  t.equal((await come(strict, undefined, '')).code, undefined, 'none');
  t.equal((await come(strict, other, 'sensor')).code, undefined, 'of another CA');
  t.equal((await come(strict, old, 'old')).code, undefined, 'expired');
  t.equal((await come(lax, good, 'sensor')).code, 0);
  t.equal((await come(lax, undefined, '', { username: 'pw', password: 'p' })).code, 0);
  t.equal((await come(lax, undefined, '')).code, 5);
  t.equal(
    (await come(lax, other, 'sensor', { username: 'pw', password: 'p' })).code,
    undefined,
    'a wrong one is no password',
  );
  t.equal(counters().refused, 5);
  const plain = await RawClient.connect(strict);
  t.equal(plain.code, undefined, 'no TLS at all');
  t.match(inbox.logged.join(''), /showed no certificate/);
  const mute = new RawClient(strict); // is in its handshake for ever
  await once(mute.socket, 'connect');
  await source.stop();
  await mute.closed;

  await t.test('a common name cannot reach over its level', async (t) => {
    const { Access } = await import('../agent/accept/broker-access.js');
    const options = brokerSourceSchema.parse({ type: 'broker', publish: ['sensors/{user}/#'] });
    const access = await Access.open(options);
    for (const name of ['#', '+', 'a/b', '', 'a\0', ['a', 'b'], undefined])
      t.equal(access.byCertificate(name), undefined);
    t.same(access.byCertificate('$&')?.publish, ['sensors/$&/#']);
    const clients = new BrokerClients(options, new Inbox().context(), access);
    const socket = connectTcp(port);
    t.teardown(() => socket.destroy());
    const arrival = { socket, address: 'x', anonymous: true, certificate: { commonName: '#' } };
    clients.arrived(arrival, undefined as never);
    t.ok(socket.destroyed, 'it is not let in as somebody else either');
    t.match(clients, { connected: 0, counters: { refused: 1 } });
  });
  await t.test('its own files are checked before it listens', async (t) => {
    const start = (files: object) => {
      const options = brokerSourceSchema.parse({ type: 'broker', listeners: [{ listen: '127.0.0.1:0', tls: files }] });
      const source = new BrokerSource(options, new Inbox().context());
      t.teardown(() => source.stop());
      return source.start();
    };
    await t.rejects(start({ ...good.server, key: other.server.key }), { code: 'certificate-key-mismatch' });
    await t.rejects(start({ ...good.server, cert: join(root, 'none') }), { code: 'certificate-unreadable' });
    const files = await makeCertificates(join(root, 'old'), { validity: { server: past } });
    await t.resolves(start(files.server), 'with a wrong date it can serve: the clock may be what is wrong');
  });
});

t.test('limits', async (t) => {
  await t.test('a packet over the limit ends the connection before it is read', async (t) => {
    const { inbox, join: come, counters } = await broker(t, { limits: { maxPayload: 1000 } });
    inbox.auto = true;
    const { client } = await come();
    client.send(publish('a', 'x'.repeat(900)));
    t.equal((await client.next())?.type, PUBACK);
    client.send(Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f])); // announces 256 MB
    t.equal(await client.next(), undefined);
    t.equal(counters().tooLarge, 1);
    const { client: split } = await come();
    const bytes = publish('a', 'x'.repeat(700), 1, 5);
    for (const byte of bytes) split.send(Buffer.from([byte])); // in pieces of any size
    t.equal((await split.next())?.type, PUBACK);
    split.send(DISCONNECT);
    await split.closed;
    t.equal(inbox.all.length, 2);
  });

  await t.test('connections', async (t) => {
    const two = [{ listen: '127.0.0.1:0' }, { listen: '127.0.0.1:0' }];
    const { source, join: come, counters } = await broker(t, { limits: { maxConnections: 1 }, listeners: two });
    const first = await come({ clientId: 'a' });
    t.equal((await come({ clientId: 'b' })).code, undefined);
    t.equal((await RawClient.connect(source.ports[1]!)).code, undefined, 'all listeners together');
    await first.client.end();
    t.equal(counters().refused, 2);
  });

  await t.test('a client that says nothing, and one that goes silent', async (t) => {
    const { port, join: come } = await broker(t, { limits: { connectTimeout: '100ms', maxKeepalive: '1s' } });
    const silent = new RawClient(port);
    const { client } = await come({ keepalive: 0 });
    const from = performance.now();
    const paced = await broker(t, { limits: { maxMessagesPerSecond: 2 } });
    paced.inbox.auto = true;
    const { client: slow } = await paced.join({ keepalive: 1 });
    for (let id = 1; id <= 6; id++) slow.send(publish('a', 'x', 1, id)); // read more slowly than its keepalive
    await silent.closed;
    await client.closed;
    t.ok(performance.now() - from < 3000, 'closed after 1.5 times the longest keepalive, not never');
    for (let id = 1; id <= 6; id++) t.equal((await slow.next())?.type, PUBACK, 'one that is held back is not silent');
  });

  await t.test('faster than allowed: held back, nothing lost', async (t) => {
    const { inbox, join: come, counters } = await broker(t, { limits: { maxMessagesPerSecond: 50 } });
    inbox.auto = true;
    const { client } = await come();
    const from = performance.now();
    for (let id = 1; id <= 60; id++) client.send(publish('a', String(id), 1, id));
    for (let id = 1; id <= 60; id++) t.equal((await client.next())?.body.readUInt16BE(0), id);
    t.ok(performance.now() - from > 150, 'ten of them waited for their turn');
    t.ok(counters().heldBack! >= 1);
  });

  await t.test('what is held back when its client leaves is not lost at QoS 0', async (t) => {
    const { inbox, join: come } = await broker(t, { limits: { maxMessagesPerSecond: 1 } });
    inbox.auto = true;
    const { client } = await come();
    for (let id = 1; id <= 30; id++) client.send(publish('a', `${id}`, 0));
    client.socket.destroySoon();
    t.same(
      (await inbox.take(30)).map((one) => Number(one.text)),
      Array.from({ length: 30 }, (_, index) => index + 1),
    );
  });

  await t.test('what is held back when it stops is still taken in and acknowledged', async (t) => {
    const { inbox, source, join: come } = await broker(t, { limits: { maxMessagesPerSecond: 1 } });
    inbox.auto = true;
    const { client } = await come();
    client.send(...Array.from({ length: 10 }, (_, index) => publish('a', 'x', 1, index + 1)), PINGREQ);
    const types = [(await client.next())?.type, (await client.next())?.type];
    t.same(new Set(types), new Set([PUBACK, PINGRESP]));
    await source.stop();
    for (let id = 2; id <= 10; id++) t.equal((await client.next())?.body.readUInt16BE(0), id);
  });

  await t.test('a slow disk: a client that goes on sending is not read from', async (t) => {
    const { inbox, join: come, counters } = await broker(t);
    const { client } = await come();
    const other = await come({ clientId: 'other' });
    const messages = 100;
    const payload = 'x'.repeat(50_000);
    const came: Delivery[] = [];
    for (let id = 1; id <= 6; id++) {
      client.send(publish('a', payload, 1, id)); // one by one: aedes would go on reading for ever
      came.push(await inbox.next());
    }
    for (let id = 7; id <= messages; id++) client.send(publish('a', payload, 1, id));
    for (let id = 1; id <= 5; id++) {
      other.client.send(publish('b', '1'), PINGREQ);
      t.equal((await other.client.next())?.type, PINGRESP, 'others are not held up');
      came.push(await inbox.next());
    }
    t.same(came.map((one) => one.topic).join(''), 'aaaaaabbbbb');
    inbox.auto = true;
    for (const one of came) one.done();
    for (let id = 1; id <= messages; id++) t.equal((await client.next())?.body.readUInt16BE(0), id);
    t.match(counters(), { waiting: 0, stored: messages + 5 });
  });

  await t.test('all clients together', async (t) => {
    const waiting = new Waiting(10_000);
    const common = { address: '', anonymous: true, certified: undefined, pace: undefined };
    const [a, b] = [1, 2].map((): Connection => ({ ...common, socket: new PassThrough(), waitingBytes: 0 })) as [
      Connection,
      Connection,
    ];
    const over = waiting.add(a, 10_000);
    t.equal(waiting.mayRead(b), false, 'it has nothing waiting itself');
    t.equal(waiting.paused, 1);
    const again = once(b.socket, 'readable');
    over();
    await again;
    t.ok(waiting.mayRead(b));
    t.match(waiting, { messages: 0, paused: 0 });
  });

  await t.test('two clients of one id', async (t) => {
    const { join: come, counters } = await broker(t);
    const first = await come({ clientId: 'twin' });
    const second = await come({ clientId: 'twin' });
    t.equal(second.code, 0);
    await first.client.closed;
    t.equal(counters().takenOver, 1);
  });
});

t.test('relaying', async (t) => {
  await t.test('only after the commit', async (t) => {
    const { inbox, join: come } = await broker(t);
    const { client: dashboard } = await come({ clientId: 'dashboard' });
    dashboard.send(subscribe('#', 1));
    t.equal((await dashboard.next())?.type, SUBACK);
    const { client } = await come({ clientId: 'sensor' });
    client.send(publish('a', 'x'));
    const delivery = await inbox.next();
    dashboard.send(PINGREQ);
    t.equal((await dashboard.next())?.type, PINGRESP);
    delivery.done();
    t.equal((await dashboard.next())?.type, PUBLISH);
  });

  await t.test('a subscriber that does not read holds up nobody', async (t) => {
    const { inbox, join: come, counters } = await broker(t);
    inbox.auto = true;
    const { client: stuck } = await come({ clientId: 'stuck' });
    stuck.send(subscribe('#', 1));
    t.equal((await stuck.next())?.type, SUBACK);
    stuck.socket.pause();
    const { client: fine } = await come({ clientId: 'fine' });
    fine.send(subscribe('#', 1));
    t.equal((await fine.next())?.type, SUBACK);
    const { client } = await come({ clientId: 'sensor' });
    const payload = Buffer.alloc(4096);
    const from = performance.now();
    for (let id = 1; id <= 4000; id += 50) {
      for (let more = 0; more < 50; more++) client.send(publish('a', payload, 1, id + more));
      for (let more = 0; more < 50; more++) await client.next();
      for (let more = 0; more < 50; more++) await fine.next();
    }
    t.ok(performance.now() - from < 10_000, `${Math.round(performance.now() - from)} ms`);
    t.ok(counters().relayDropped! > 0, `${counters().relayDropped} dropped for the stuck one`);
  });

  await t.test('no queue for who is away', async (t) => {
    const { inbox, join: come } = await broker(t);
    inbox.auto = true;
    const away = await come({ clientId: 'away', clean: false });
    away.client.send(subscribe('#', 1));
    t.equal((await away.client.next())?.type, SUBACK);
    await away.client.end();
    const { client } = await come({ clientId: 'sensor' });
    client.send(publish('a', 'x'));
    t.equal((await client.next())?.type, PUBACK);
    const back = new RawClient((await come()).client.socket.remotePort!);
    t.teardown(() => back.end());
    back.send(connectPacket({ clientId: 'away', clean: false }));
    t.match(await back.next(), { type: CONNACK, body: Buffer.from([0, 0]) }, 'no session present');
    back.send(PINGREQ);
    t.equal((await back.next())?.type, PINGRESP, 'nothing was queued');
  });

  await t.test('retained messages are bounded', async (t) => {
    const { inbox, join: come, counters } = await broker(t, { limits: { maxRetained: 1000 } });
    inbox.auto = true;
    const { client } = await come();
    for (const [index, topic] of ['a', 'b', 'c', 'a'].entries()) {
      client.send(publish(topic, 'x'.repeat(100), 1, index + 1, 1));
      t.equal((await client.next())?.type, PUBACK);
    }
    t.equal(counters().retainDropped, 1, 'the third topic did not fit; the first one could be replaced');
    client.send(publish('a', '', 1, 8, 1), publish('c', 'x', 1, 9, 1));
    await client.next();
    await client.next();
    t.equal(counters().retainDropped, 1, 'an emptied topic makes room');
    client.send(subscribe('#'));
    t.equal((await client.next())?.type, SUBACK);
    const retained = [await client.next(), await client.next()].map((one) => one?.body.subarray(2, 3).toString());
    t.same(retained.sort(), ['b', 'c']);
  });

  await t.test('relay: false', async (t) => {
    const { inbox, join: come, counters } = await broker(t, { relay: false });
    inbox.auto = true;
    const { client } = await come();
    client.send(subscribe('#'));
    t.match(await client.next(), { type: SUBACK, body: Buffer.from([0, 1, 128]) });
    client.send(publish('a', 'x', 1, 1, 1), packet(12, 0));
    t.same(new Set([(await client.next())?.type, (await client.next())?.type]), new Set([PUBACK, PINGRESP]));
    t.equal(counters().retainDropped, 1, 'nothing is kept that nobody can ask for');
  });
});
