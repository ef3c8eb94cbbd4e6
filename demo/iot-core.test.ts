import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { makeCertificates } from '../certs.example/make-certs.js';
import { type IotCore, type IotCoreOptions, startIotCore } from './iot-core.js';
import { startLink } from './link.js';

const dir = mkdtempSync(join(tmpdir(), 'edgetally-iot-core-'));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));
const made = await makeCertificates(join(dir, 'ours'), { gateways: ['pi-1', 'pi-2', 'cloud'] });
const foreign = await makeCertificates(join(dir, 'foreign'), { gateways: ['pi-1'] });

const BATCH = 'edgetally/v1/pi-1/up/batch';
const UP = 'edgetally/v1/+/up/+';

async function start(t: Test, options: Partial<IotCoreOptions> = {}): Promise<IotCore> {
  const core = await startIotCore({
    ca: readFileSync(made.ca),
    cert: readFileSync(made.server.cert),
    key: readFileSync(made.server.key),
    port: 0,
    ...options,
  });
  t.teardown(() => core.stop());
  return core;
}

function open(t: Test, port: number, name: string, options: IClientOptions = {}): MqttClient {
  const files = made.gateways.get(name);
  const client = connect(`mqtts://localhost:${port}`, {
    ca: readFileSync(made.ca),
    cert: readFileSync(files?.cert ?? ''),
    key: readFileSync(files?.key ?? ''),
    clientId: name,
    protocolVersion: 4,
    reconnectPeriod: 0,
    queueQoSZero: false,
    ...options,
  });
  client.on('error', () => undefined);
  t.teardown(() => client.endAsync(true));
  return client;
}

/** Resolves with the first argument of the event; unlike `once`, an 'error' before it does not matter. */
async function seen(client: MqttClient, event: 'connect' | 'close' | 'error'): Promise<unknown> {
  return new Promise((resolve) => client.once(event, (first?: unknown) => resolve(first)));
}

async function opened(t: Test, port: number, name: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = open(t, port, name, options);
  await seen(client, 'connect');
  return client;
}

/** What a client hears, as `topic payload`. */
async function listen(client: MqttClient, filter: string): Promise<string[]> {
  const heard: string[] = [];
  client.on('message', (topic, payload) => heard.push(`${topic} ${payload.length > 40 ? payload.length : payload}`));
  await client.subscribeAsync(filter, { qos: 1 });
  return heard;
}

async function until(t: Test, condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition() && waited < 5000; waited += 10) await sleep(10);
  t.ok(condition(), 'came true in time');
}

t.test('gateway and cloud talk, up and down', async (t) => {
  const core = await start(t);
  const cloud = await opened(t, core.port, 'cloud');
  const gateway = await opened(t, core.port, 'pi-1');
  const up = await listen(cloud, `$share/workers/${UP}`);
  const down = await listen(gateway, 'edgetally/v1/pi-1/down/+');
  await gateway.publishAsync(BATCH, 'x'.repeat(128 * 1024), { qos: 1 });
  await cloud.publishAsync('edgetally/v1/pi-1/down/receipt', 'ok', { qos: 0 });
  await until(t, () => up.length === 1 && down.length === 1);
  t.same([...up, ...down], [`${BATCH} 131072`, 'edgetally/v1/pi-1/down/receipt ok']);
  t.match(core.counters, { connections: 2, publishesIn: 2, publishesOut: 2, refused: {} });
});

t.test('certificates of another CA, and clients under another name, stay out', async (t) => {
  const core = await start(t);
  const files = foreign.gateways.get('pi-1');
  const client = open(t, core.port, 'pi-1', {
    cert: readFileSync(files?.cert ?? ''),
    key: readFileSync(files?.key ?? ''),
  });
  await seen(client, 'close');
  await until(t, () => core.counters.refused.certificate === 1);
  const wrong = open(t, core.port, 'pi-1', { clientId: 'pi-2' });
  const error = (await seen(wrong, 'error')) as { code: number };
  t.equal(error.code, 5);
  t.equal(core.counters.refused['client-id-denied'], 1);
});

t.test('what the policy does not name is refused and counted', async (t) => {
  const core = await start(t);
  const gateway = await opened(t, core.port, 'pi-1');
  const denied = await gateway.subscribeAsync(UP, { qos: 1 }).catch((error: Error) => error);
  t.ok(denied instanceof Error, 'SUBACK 0x80');
  gateway.publish('edgetally/v1/pi-2/up/batch', 'x', { qos: 1 });
  await seen(gateway, 'close');
  t.same(core.counters.refused, { 'subscribe-denied': 1, 'publish-denied': 1 });
});

t.test('limits end the connection or discard in silence', async (t) => {
  const core = await start(t, { limits: { connectIntervalMs: 0, inFlight: 1000 } });
  const cloud = await opened(t, core.port, 'cloud');
  const heard = await listen(cloud, UP);
  for (const [topic, size, refusal] of [
    [BATCH, 128 * 1024 + 1, 'payload-too-large'],
    [BATCH, 300 * 1024, 'payload-too-large'],
    [`${BATCH}/a/b/c/d`, 1, 'topic-too-deep'],
    [`${BATCH}${'x'.repeat(256)}`, 1, 'topic-too-long'],
  ] as const) {
    const before = core.counters.refused[refusal] ?? 0;
    const gateway = await opened(t, core.port, 'pi-1');
    gateway.publish(topic, 'x'.repeat(size), { qos: 1 }, () => undefined);
    await seen(gateway, 'close');
    t.equal(core.counters.refused[refusal], before + 1, refusal);
  }
  const hasty = await opened(t, core.port, 'pi-1');
  let acknowledged = 0;
  for (let sent = 0; sent < 130; sent++) hasty.publish(BATCH, 'x', { qos: 1 }, (error) => error || acknowledged++);
  // The cloud's own connection is over its rate too: it hears 100 at most.
  await until(t, () => acknowledged === 100);
  await sleep(50);
  t.equal(acknowledged, 100, 'no PUBACK for what was discarded');
  t.equal(core.counters.refused['publish-rate'], 30);
  t.equal(heard.length, 100);
  t.equal(hasty.connected, true);
});

t.test('the newer client of one id wins, and a hasty one is turned away', async (t) => {
  const core = await start(t);
  const first = await opened(t, core.port, 'pi-1');
  const hasty = open(t, core.port, 'pi-1');
  await seen(hasty, 'close');
  t.equal(first.connected, true);
  t.equal(core.counters.refused['connect-rate'], 1);
  await sleep(1000);
  const taken = seen(first, 'close');
  await opened(t, core.port, 'pi-1');
  await taken;
  t.equal(core.counters.takeovers, 1);
});

t.test('MQTT 5 is answered with a refusal, and the fall-back is not too hasty', async (t) => {
  const core = await start(t);
  const modern = open(t, core.port, 'pi-1', { protocolVersion: 5 });
  await Promise.race([seen(modern, 'error'), seen(modern, 'close')]);
  await opened(t, core.port, 'pi-1');
  t.same(core.counters.refused, { 'protocol-version': 1 });
});

t.test('sessions keep what comes while the client is away, within bounds', async (t) => {
  const core = await start(t, {
    limits: { connectIntervalMs: 0 },
    sessions: { sessions: 1, messages: 5, expiryMs: 400 },
  });
  const session = { clean: false };
  const away = await opened(t, core.port, 'cloud', session);
  await away.subscribeAsync(UP, { qos: 1 });
  await away.endAsync();
  const gateway = await opened(t, core.port, 'pi-1');
  for (let sent = 0; sent < 8; sent++) await gateway.publishAsync(BATCH, String(sent), { qos: 1 });
  t.equal(core.counters.refused['session-full'], 3);

  const second = open(t, core.port, 'cloud', { ...session, clientId: 'cloud-2' });
  await seen(second, 'error');
  t.equal(core.counters.refused['too-many-sessions'], 1);

  const heard: string[] = [];
  const back = open(t, core.port, 'cloud', session);
  back.on('message', (_topic, payload) => heard.push(payload.toString()));
  await until(t, () => heard.length === 5);
  t.same(heard, ['0', '1', '2', '3', '4']);
  await gateway.publishAsync(BATCH, 'live', { qos: 1 });
  await until(t, () => heard.length === 6);
  await back.endAsync();

  await gateway.publishAsync(BATCH, 'too late', { qos: 1 });
  await sleep(500);
  const expired = await opened(t, core.port, 'cloud', session);
  expired.on('message', (_topic, payload) => heard.push(payload.toString()));
  await sleep(50);
  t.equal(heard.length, 6, 'an expired session is gone');
});

t.test('a session that takes nothing does not cost the client its connection', async (t) => {
  const core = await start(t, { sessions: { messages: 0 } });
  const cloud = await opened(t, core.port, 'cloud', { clean: false });
  const heard = await listen(cloud, UP);
  const gateway = await opened(t, core.port, 'pi-1');
  await gateway.publishAsync(BATCH, 'live', { qos: 1 });
  await until(t, () => heard.length === 1);
  t.equal(core.counters.refused['session-full'], 1);
  t.equal(cloud.connected, true);
});

t.test('the link: cut, stall, restore', async (t) => {
  const core = await start(t, { limits: { connectIntervalMs: 0 } });
  const link = await startLink({ port: core.port });
  t.teardown(() => link.stop());
  const gateway = await opened(t, link.port, 'pi-1');
  await gateway.publishAsync(BATCH, 'one', { qos: 1 });

  link.stall();
  let acknowledged = false;
  const stalled = gateway.publishAsync(BATCH, 'two', { qos: 1 }).then(() => {
    acknowledged = true;
  });
  await sleep(100);
  t.equal(acknowledged, false);
  t.equal(gateway.connected, true, 'the link looks up');
  t.equal(core.counters.publishesIn, 1);
  link.restore();
  await stalled;

  link.cut();
  await seen(gateway, 'close');
  const refused = open(t, link.port, 'pi-1');
  await seen(refused, 'close');
  t.equal(link.refused, 2);
  link.restore();
  await opened(t, link.port, 'pi-1');
});

t.test('the link passes every byte on before it ends', async (t) => {
  let received = 0;
  const sink = createServer((socket: Socket) => {
    // A slow reader: what is on its way is more than the system's buffers hold.
    socket.on('data', (chunk) => {
      received += chunk.length;
      socket.pause();
      setTimeout(() => socket.resume(), 2);
    });
  });
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  const address = sink.address();
  const link = await startLink({ port: typeof address === 'object' && address !== null ? address.port : 0 });
  t.teardown(async () => {
    await link.stop();
    sink.close();
  });
  connectTcp(link.port, '127.0.0.1').end(Buffer.alloc(20_000_000));
  await until(t, () => received === 20_000_000);
});

t.test('as a process it prints its port, and its counters when it ends', async (t) => {
  const script = join(import.meta.dirname, 'iot-core.js');
  const child = spawn(process.execPath, [script, '--dir', join(dir, 'ours'), '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await until(t, () => output.endsWith('\n'));
  const { port } = JSON.parse(output) as { port: number };
  await opened(t, port, 'pi-1');
  child.kill('SIGTERM');
  const [code] = (await once(child, 'close')) as [number];
  t.equal(code, 0);
  t.match(JSON.parse(output.split('\n')[1] ?? ''), { connections: 1, refused: {} });
});
