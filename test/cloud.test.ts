/** The cloud side against real brokers over TLS, as a process that is killed and started again. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { type Test, test } from 'tap';
import { Consumer } from '../cloud/accept/consumer.js';
import { mqttSchema } from '../cloud/accept/options.js';
import { batchOf, EPOCH_A, EPOCH_B, NOON, type SampleReading, windowsOf } from '../cloud/store/samples.js';
import { openSqliteStore } from '../cloud/store/sqlite/store.js';
import { encodeStatus } from '../shared/status.js';
import { upTopic } from '../shared/topics.js';
import { BIN, batchBytes, CloudProcess, place, TestGateway, tlsBroker, tlsOptions, until } from './cloud-rig.js';
import { needs } from './needs.js';

const run = promisify(execFile);
const MOSQUITTO = '/usr/sbin/mosquitto';

function readings(count: number): SampleReading[] {
  return Array.from({ length: count }, (_, i) => ({
    device: `d${i % 4}`,
    timeMs: NOON + (i % 30) * 20_000 + i,
    values: { c: (i % 17) / 10, rh: 40 + (i % 7) },
  }));
}

/** Batches of one truth, among them older revisions, in no order and some of them twice. */
function wildBatches(truth: readonly SampleReading[]): Uint8Array[] {
  const half = truth.length / 2;
  const final = [
    ...windowsOf(truth.slice(0, half), 60_000, 3).map((window) => ({ epoch: EPOCH_A, window })),
    ...windowsOf(truth.slice(half), 60_000, 5).map((window) => ({ epoch: EPOCH_B, window })),
  ];
  const early = windowsOf(truth.slice(0, half / 2), 60_000, 2).map((window) => ({ epoch: EPOCH_A, window }));
  const made = [...final, ...early].map(({ epoch, window }, i) => batchBytes(i + 1, epoch, [window]));
  return [...made, ...made.filter((_, i) => i % 3 === 0)]
    .map((batch, i) => ({ batch, order: (i * 7919) % 1009 }))
    .sort((a, b) => a.order - b.order)
    .map(({ batch }) => batch);
}

test('any order, any number of times, the consumer killed in between: the same report', async (t) => {
  const at = await place(t);
  const broker = await tlsBroker(t, at);
  const cloud = new CloudProcess(t, at.dir, tlsOptions(at, broker.port, 'cloud'));
  const truth = readings(200);
  const batches = wildBatches(truth);
  await cloud.start();
  const gateway = await TestGateway.connect(t, at, broker.port);
  for (const [i, batch] of batches.entries()) {
    await gateway.send(batch);
    if (i === Math.floor(batches.length / 3) || i === Math.floor((batches.length * 2) / 3)) {
      await cloud.end('SIGKILL');
      cloud.lines.length = 0;
      const started = cloud.start();
      for (const again of batches.slice(i - 10, i)) await gateway.send(again);
      await started;
    }
  }
  const sequences = new Set(batches.map((_, i) => i + 1));
  // A receipt may be lost with the process that was to send it; like a gateway, send again until each batch has one.
  await until(async () => {
    const committed = gateway.committed;
    const missing = batches.filter((batch) => !committed.has(sequenceOf(batch)));
    for (const batch of missing) await gateway.send(batch);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return missing.length === 0;
  });
  t.ok(gateway.committed.size < sequences.size, 'some went twice');

  const straight = openSqliteStore({ path: join(at.dir, 'straight.db'), maxQuarantineBytes: 0 });
  await straight.commit([batchOf(windowsOf(truth))]);
  await straight.close();
  const expected = (options: string[]) =>
    run(process.execPath, [BIN, 'report', '--database', join(at.dir, 'straight.db'), ...options]).then((r) => r.stdout);
  for (const options of [
    ['--format', 'csv'],
    ['--format', 'json', '--group-by', 'gateway,device,hour'],
  ]) {
    t.equal(await cloud.command('report', ...options), await expected(options), options.join(' '));
  }
  const [first, second] = [cloud.end('SIGTERM'), cloud.end('SIGTERM')];
  t.equal(await first, 0, 'a clean end');
  await second;
  t.match(cloud.lines.at(-1), /"msg":"stopped"/);
  t.equal(await cloud.command('report', '--format', 'csv'), await expected(['--format', 'csv']), 'nobody writes now');
});

/** epoch, session and sequence lead every batch; here sequences are below 16384 and sessions 1. */
function sequenceOf(batch: Uint8Array): number {
  const [low = 0, high = 0] = batch.subarray(21);
  return low < 128 ? low : (low & 127) | (high << 7);
}

function consumer(t: Test, options: object, accept: (topic: string) => Promise<void>) {
  const logged: { msg: string; level: number }[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const parsed = mqttSchema.parse({ clientId: 'cloud', minBackoff: 5, maxBackoff: 20, ...options });
  const made = new Consumer({ mqtt: parsed, accept: ({ topic }) => accept(topic), log, now: Date.now });
  t.teardown(() => made.stop());
  return { consumer: made, logged };
}

/** Messages that may wait for one commit. */
const AT_ONCE = 16;

test('PUBACK comes after the commit, which messages share; without a commit they come again', async (t) => {
  const at = await place(t);
  const broker = await tlsBroker(t, at);
  const acknowledged: string[] = [];
  broker.aedes.on('ack', (_packet, client) => acknowledged.push(client?.id ?? ''));
  const waiting: { resolve(): void; reject(error: Error): void }[] = [];
  const { consumer: made } = consumer(t, tlsOptions(at, broker.port, 'cloud'), () => {
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  });
  await made.start();
  await made.untilUp();
  const gateway = await TestGateway.connect(t, at, broker.port);
  for (const sequence of [1, 2]) await gateway.send(batchBytes(sequence, EPOCH_A, []));
  await until(() => waiting.length === 2);
  t.same(acknowledged, []);
  waiting[0]!.resolve();
  await until(() => acknowledged.length === 1);
  waiting[1]!.reject(new Error('disk full'));
  await until(() => waiting.length === 3);
  t.equal(acknowledged.length, 1);
  waiting[2]!.resolve();
  await until(() => acknowledged.length === 2);
  await until(() => made.state.connects === 2);
  for (let sequence = 3; sequence < 33; sequence++) await gateway.send(batchBytes(sequence, EPOCH_A, []));
  await until(() => waiting.length === 3 + AT_ONCE);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(waiting.length, 3 + AT_ONCE, 'the others wait in the broker');
  waiting[3]!.resolve();
  await until(() => waiting.length === 4 + AT_ONCE);
  const startedMs = Date.now();
  await broker.drop();
  await broker.listen();
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.equal(waiting.length, 4 + AT_ONCE, 'what waits for its commit is not held a second time');
  await made.stop();
  t.ok(Date.now() - startedMs < 2000, 'a stop does not wait for it');
});

test('it comes back when the broker does, and falls back to MQTT 3.1.1 and a plain subscription', async (t) => {
  const at = await place(t);
  const broker = await tlsBroker(t, at);
  const topics: string[] = [];
  const options = { ...tlsOptions(at, broker.port, 'cloud'), shareGroup: 'g' };
  const { consumer: made, logged } = consumer(t, options, async (topic) => {
    topics.push(topic);
  });
  await made.start();
  await made.untilUp();
  t.match(made.state, { state: 'up', protocol: '3.1.1', connects: 1 });
  t.ok(logged.some(({ msg }) => /may not have shared subscriptions/.test(msg)));
  await broker.drop();
  await until(() => logged.some(({ msg }) => /nothing listens there/.test(msg)));
  t.match(made.state, { state: 'down', problem: /Check that the broker is running/ });
  await broker.listen();
  await until(() => made.state.connects === 2);
  const gateway = await TestGateway.connect(t, at, broker.port);
  await gateway.send(batchBytes(1, EPOCH_A, []));
  await until(() => topics.length === 1);
  await broker.drop();
  await made.stop();
  await made.stop();
  t.equal(made.state.state, 'down');
});

test('a refused subscription is an error said plainly, and tried again', async (t) => {
  const at = await place(t);
  const broker = await tlsBroker(t, at);
  let allowed = 'nothing';
  broker.aedes.authorizeSubscribe = (_client, subscription, done) => {
    const may = allowed === 'all' || (allowed === 'batches' && subscription.topic.endsWith('/batch'));
    done(null, may ? subscription : null);
  };
  const { consumer: made, logged } = consumer(t, tlsOptions(at, broker.port, 'cloud'), async () => undefined);
  await made.start();
  const said = (text: RegExp) => logged.filter(({ msg, level }) => level === 50 && text.test(msg)).length;
  await until(() => said(/refused the subscription to edgetally\/v1\/\+\/up\/batch.*policy/) > 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(said(/refused the subscription/), 1, 'once, however often it is tried');
  t.equal(made.state.connects, 0);
  allowed = 'batches';
  await made.untilUp();
  t.equal(said(/no statuses will come/), 1, 'batches alone are worth taking');
});

test('two processes of one client id are told so', async (t) => {
  const at = await place(t);
  const broker = await tlsBroker(t, at);
  const both = [0, 1].map(() => consumer(t, tlsOptions(at, broker.port, 'cloud'), async () => undefined));
  await Promise.all(both.map(({ consumer: made }) => made.start()));
  await until(() =>
    both.some(({ logged }) => logged.some(({ msg }) => /another client seems to connect as "cloud"/.test(msg))),
  );

  // MQTT 5 says it in as many words: CONNACK, SUBACK for each SUBSCRIBE, then DISCONNECT 0x8e.
  let subscribes = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      if (bytes[0] === 0x10) socket.write(Buffer.from('2003000000', 'hex'));
      if (bytes[0] !== 0x82) return;
      socket.write(Buffer.from([0x90, 4, bytes[2]!, bytes[3]!, 0, 1]));
      if (++subscribes % 2 === 0) socket.end(Buffer.from('e0028e00', 'hex'));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const told = consumer(t, { url: `mqtt://127.0.0.1:${port}` }, async () => undefined);
  await told.consumer.start();
  await until(() =>
    told.logged.some(({ msg, level }) => level === 50 && /another client connected as "cloud"/.test(msg)),
  );
  await told.consumer.stop();
  server.close();
});

test('certificates that cannot be used, and a broker of another CA, are said plainly', async (t) => {
  const at = await place(t);
  const other = await place(t);
  const broker = await tlsBroker(t, at);
  const own = tlsOptions(at, broker.port, 'cloud');
  const never = async () => undefined;
  const start = (options: object) => consumer(t, { ...own, ...options }, never).consumer.start();
  await t.rejects(start({ key: other.certs.server.key }), { code: 'certificate-key-mismatch' });
  await t.rejects(start({ ca: '/nowhere' }), { code: 'certificate-unreadable', message: /\/nowhere/ });
  await t.rejects(start({ cert: own.key }), { code: 'certificate-unreadable' });
  const { consumer: made, logged } = consumer(t, { ...own, ca: other.certs.ca }, never);
  await made.start();
  await until(() => logged.some(({ msg, level }) => level === 50 && /Point `ca` at the CA/.test(msg)));
  const stranger = consumer(
    t,
    tlsOptions({ ...other, certs: { ...other.certs, ca: at.certs.ca } }, broker.port, 'cloud'),
    never,
  );
  await stranger.consumer.start();
  await until(() => stranger.logged.some(({ msg }) => /does the broker trust it\?/.test(msg)));
});

test('gateways: who there is, online or not, and how far behind', async (t) => {
  const at = await place(t);
  const broker = await tlsBroker(t, at);
  const cloud = new CloudProcess(t, at.dir, tlsOptions(at, broker.port, 'cloud'));
  const gateway = await TestGateway.connect(t, at, broker.port);
  const status = (state: 'online' | 'offline') =>
    encodeStatus({
      state,
      epoch: EPOCH_A,
      version: '0.1.0',
      sentMs: NOON,
      backlog: { windows: 12, bytes: 1000, oldestMs: NOON },
      readings: { in: 5, counted: 5, duplicate: 0, rejected: 0, held: 0 },
    });
  const send = (name: string, state: 'online' | 'offline') =>
    gateway.client.publishAsync(upTopic(name, 'status'), Buffer.from(status(state)), { qos: 1, retain: true });
  await send('kept', 'offline');
  await cloud.start();
  await send('gw', 'online');
  await gateway.send(batchBytes(1, EPOCH_A, windowsOf([{ timeMs: Date.now() - 3_600_000, values: { c: 1 } }])));
  await gateway.send(Buffer.from('not a batch'));
  await gateway.client.publishAsync('edgetally/v1/gw/up/batch', Buffer.alloc(0), { qos: 0 });
  const rows = async () => JSON.parse(await cloud.command('gateways', '--format', 'json')).rows;
  await until(async () => (await rows()).find((row: { gateway: string }) => row.gateway === 'gw')?.rejected === 2);
  t.match(await rows(), [
    { gateway: 'gw', state: 'online', backlog: 12, epochs: [EPOCH_A], version: '0.1.0', batches: 1, rejected: 2 },
    { gateway: 'kept', state: 'offline', last_seen: null, lag_seconds: null, epochs: [], batches: 0 },
  ]);
  t.ok(Math.abs((await rows())[0].lag_seconds - 3570) < 60);
  t.match(
    await cloud.command('gateways'),
    /gw +online +\d+s ago +(5?9m|1h)[^\n]* 12 +aaaaaaaa +0\.1\.0 +1 +2\nkept +offline +never/,
  );
  t.match(await cloud.command('gateways', '--format', 'csv'), /^gateway,state,last_seen,lag_seconds,/);
});

test('wrong arguments and files end with a word and a code', async (t) => {
  const { dir } = await place(t);
  const fail = async (args: string[], code: number, text: RegExp) => {
    const error = await run(process.execPath, [BIN, ...args]).catch((caught) => caught);
    t.match({ code: error.code, text: error.stderr }, { code, text }, args.join(' '));
  };
  writeFileSync(join(dir, 'bad.yaml'), 'mqtt: { url: mqtts://localhost:1, ca: nothing }\ndatabse: x\n');
  await Promise.all([
    fail(['report'], 2, /which database\?/),
    fail(['report', '--database', join(dir, 'none.db')], 1, /none\.db: there is no database\n {2}Check the path/),
    fail(['report', '--database', 'x', '--from', 'soon'], 2, /--from: "soon" is not a time/),
    fail(['run', '--config', join(dir, 'none.yaml')], 1, /none\.yaml cannot be read/),
    fail(['run', '--config', join(dir, 'bad.yaml')], 1, /bad\.yaml:2:1: databse: .*did you mean database/),
  ]);
});

test('MQTT 5 on Mosquitto: a shared group, and a session that keeps what nobody took', async (t) => {
  if (!needs(t, MOSQUITTO, 'mosquitto')) return;
  const at = await place(t);
  const port = await mosquitto(t, at);
  const own = { ...tlsOptions(at, port, 'cloud'), shareGroup: 'cloud' };
  const seen: string[][] = [[], []];
  const members = [0, 1].map((n) => {
    const member = consumer(t, { ...own, clientId: `cloud-${n}` }, async (topic) => {
      seen[n]!.push(topic);
    });
    return member;
  });
  await Promise.all(members.map((member) => member.consumer.start()));
  await Promise.all(members.map((member) => member.consumer.untilUp()));
  t.same(
    members.map((member) => member.consumer.state.protocol),
    ['5', '5'],
  );
  const gateway = await TestGateway.connect(t, at, port, 'gw', 5);
  for (let i = 1; i <= 20; i++) await gateway.send(batchBytes(i, EPOCH_A, []));
  await until(() => seen[0]!.length + seen[1]!.length >= 20);
  t.same([seen[0]!.length + seen[1]!.length, seen[0]!.length > 0, seen[1]!.length > 0], [20, true, true]);
  await members[1]!.consumer.stop();

  const cloud = new CloudProcess(t, at.dir, { ...own, shareGroup: 'other' }, 'cloud-p');
  await cloud.start();
  await gateway.send(batchBytes(99, EPOCH_A, windowsOf(readings(4))));
  await until(
    () => gateway.committed.has(99),
    () => cloud.lines.join('\n'),
  );
  await cloud.end('SIGKILL');
  await gateway.send(batchBytes(100, EPOCH_A, windowsOf(readings(4), 60_000, 2)));
  await cloud.start();
  await until(
    () => gateway.committed.has(100),
    () => cloud.lines.join('\n'),
  );
  t.pass('the session kept what came while nobody was there');
});

async function mosquitto(t: Test, { dir, certs }: Awaited<ReturnType<typeof place>>): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const config = join(dir, 'mosquitto.conf');
  const lines = [`listener ${port} 127.0.0.1`, `cafile ${certs.ca}`, `certfile ${certs.server.cert}`];
  const more = [`keyfile ${certs.server.key}`, 'require_certificate true', 'use_identity_as_username true'];
  const user = process.getuid?.() === 0 ? ['user root'] : [];
  writeFileSync(config, [...lines, ...more, ...user, 'allow_anonymous true', ''].join('\n'));
  const child = spawn(MOSQUITTO, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(async () => {
    const exited = once(child, 'exit');
    child.kill();
    await exited;
    rmSync(config, { force: true });
  });
  let said = '';
  child.stderr.on('data', (text) => {
    said += String(text);
  });
  await until(
    () => /running/.test(said) || child.exitCode !== null,
    () => said,
  );
  if (child.exitCode !== null) throw new Error(said);
  return port;
}
