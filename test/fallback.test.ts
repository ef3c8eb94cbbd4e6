/**
 * Networks that block MQTT: batches go by HTTPS, with real TLS and ALPN, and wait for their receipts. What is posted is neither
 * freed by an answer 200 nor sent again for nothing.
 */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { type PushOptions, pushSchema } from '../agent/push/options.js';
import { Push } from '../agent/push/push.js';
import { filesOf as filesIn, uplinkTls } from '../agent/uplink-tls.js';
import { type MadeCertificates, makeCertificates } from '../certs.example/make-certs.js';
import { until } from './cloud-rig.js';
import { MemoryBacklog } from './memory-backlog.js';
import { type Appetite, startMqttEater } from './mqtt-eater.js';
import { pemOf, receiptingCloud } from './receipting-cloud.js';

const EPOCH = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const dir = t.testdir();
const certs = await makeCertificates(dir, { gateways: ['gw', 'other', 'cloud'] });

function filesOf(made: MadeCertificates, name: string) {
  return { ca: made.ca, ...made.gateways.get(name)! };
}

interface Options {
  readonly certificate?: string;
  readonly push?: Partial<PushOptions>;
  readonly fallback?: Record<string, unknown>;
}

/** A gateway behind a network that does this to MQTT. */
async function gateway(
  t: Test,
  port: number,
  appetite: Appetite,
  { certificate = 'gw', push, fallback }: Options = {},
) {
  const network = await startMqttEater(port, appetite);
  const options = pushSchema.parse({
    url: `mqtts://localhost:${network.port}`,
    alpn: 'x-amzn-mqtt-ca',
    ...filesOf(certs, certificate),
    drainJitter: 0,
    minBackoff: 20,
    maxBackoff: 50,
    connectTimeout: 500,
    fallback: {
      url: `https://localhost:${network.port}`,
      alpn: 'x-amzn-http-ca',
      after: 50,
      retry: 200,
      windowsPerSecond: 1e6,
      ...fallback,
    },
    ...push,
  });
  const backlog = new MemoryBacklog();
  const log = pino({ level: 'silent' });
  const uplink = new Push({
    gateway: 'gw',
    epoch: EPOCH,
    session: 1,
    options,
    backlog,
    clock: { nowMs: () => Date.now(), steadyMs: () => performance.now() },
    log,
    status: () => Buffer.from('{}'),
    giveUp: () => undefined,
    ...uplinkTls(options, filesIn(options), 'gw', () => ({ nowMs: Date.now(), isSure: true }), log),
  });
  uplink.start();
  const timer = setInterval(() => uplink.tick(), 20);
  t.teardown(async () => {
    clearInterval(timer);
    await uplink.stop();
    await network.stop();
  });
  return { network, uplink, backlog };
}

for (const appetite of ['swallow', 'reset'] as const) {
  t.test(`MQTT is blocked (${appetite}): HTTPS; when it is back, MQTT and the receipts`, async (t) => {
    const { core, seen } = await receiptingCloud(t, certs);
    const { network, uplink, backlog } = await gateway(t, core.port, appetite);
    uplink.saved(backlog.add(3, 0, 1000));
    await until(() => uplink.state.postedWindows === 3);
    t.match(uplink.state.link, { transport: 'https', state: 'up', because: /MQTT is not up: / });
    t.ok(network.eaten >= 3, 'after repeated failure');
    t.equal(backlog.owed, 3, '200 is no receipt');
    uplink.saved(backlog.add(3, 1000, 1000));
    await until(() => uplink.state.postedWindows === 6);
    const sent = seen.length;
    t.equal(core.counters.publishesByHttps, sent);
    const { failures } = uplink.state.link;
    const eaten = network.eaten;
    await until(() => network.eaten >= eaten + 3); // MQTT goes on being tried
    t.equal(seen.length, sent, 'nothing goes twice meanwhile');
    t.equal(uplink.state.link.failures, failures, 'HTTPS stays up');
    t.match(uplink.state, { silentMs: 0, counters: { expired: 0, newSockets: 0 } });

    network.appetite = 'none';
    await until(() => backlog.owed === 0);
    t.match(uplink.state, { link: { transport: 'mqtt', state: 'up', because: undefined }, postedWindows: 0 });
    const counted = (from: number) => seen.slice(from).reduce((sum, { windows }) => sum + windows, 0);
    t.equal(counted(sent), 6, 'once more, for the receipts');
    t.equal(core.counters.publishesByHttps, sent);
    uplink.saved(backlog.add(3, 2000, 1000));
    await until(() => backlog.owed === 0);

    network.appetite = appetite; // blocked again, in the middle
    network.cut();
    uplink.saved(backlog.add(3, 3000, 1000));
    await until(() => uplink.state.postedWindows >= 3 && core.counters.publishesByHttps > sent);
    t.equal(backlog.owed, 3);
  });
}

t.test('without a receipt it is sent again after its patience, each time later, and that is counted', async (t) => {
  const { core, seen } = await receiptingCloud(t, certs);
  const { uplink, backlog } = await gateway(t, core.port, 'reset', { fallback: { patience: 100 } });
  const times: number[] = [];
  uplink.saved(backlog.add(1, 0, 1000));
  await until(() => {
    while (times.length < seen.length) times.push(performance.now());
    return seen.length >= 4;
  });
  // 100, 200 and 400 ms; without growing it would be 300, and a machine that is busy only makes it more
  t.ok(times[3]! - times[0]! >= 500, `${times}`);
  t.ok(uplink.state.counters.expired! >= 3);
  t.equal(backlog.owed, 1);
});

t.test('receipts may be polled', async (t) => {
  const { core, seen, receipts } = await receiptingCloud(t, certs);
  const asked: URL[] = [];
  const server = createServer(
    { ...pemOf({ ca: certs.ca, ...certs.server }), requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      asked.push(new URL(request.url!, 'https://localhost'));
      const receipt = receipts.at(-1);
      if (asked.length === 1) response.writeHead(500).end('out of order');
      else if (receipt === undefined) response.writeHead(204).end();
      else response.writeHead(200).end(receipt);
    },
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const { uplink, backlog } = await gateway(t, core.port, 'reset', {
    fallback: { receiptsUrl: `https://localhost:${port}/receipts`, receiptsInterval: 50 },
  });
  uplink.saved(backlog.add(3, 0, 1000));
  await until(() => backlog.owed === 0);
  t.match(uplink.state, { link: { transport: 'https' }, postedWindows: 0, counters: { expired: 0 } });
  t.equal(seen.length, 1);
  t.strictSame(Object.fromEntries(asked.at(-1)!.searchParams), { gateway: 'gw', epoch: EPOCH, session: '1' });
});

t.test('what the endpoint refuses is told, and waits', async (t) => {
  const { core, seen } = await receiptingCloud(t, certs);
  const { uplink, backlog } = await gateway(t, core.port, 'reset', { certificate: 'other' });
  uplink.saved(backlog.add(3, 0, 1000));
  await until(() => uplink.state.link.transport === 'https' && uplink.state.link.failures >= 3);
  await until(() => uplink.state.link.problem !== undefined);
  t.match(uplink.state.link.problem, /did not take a batch: 403 .*policy/s);
  t.equal(seen.length, 0);
  t.match([backlog.owed, uplink.state.postedWindows], [3, 0]);
});

t.test('then HTTPS does not get through either: nothing is lost', async (t) => {
  const { core, seen } = await receiptingCloud(t, certs);
  const { network, uplink, backlog } = await gateway(t, core.port, 'none', { push: { alpn: 'x-not-served' } });
  uplink.saved(backlog.add(3, 0, 1000));
  await until(() => uplink.state.postedWindows === 3);
  t.equal(uplink.state.link.transport, 'https', 'a broker that does not know our ALPN refuses us');
  t.match(uplink.state.link.because, /MQTT is not up: .* closed the connection/);
  await network.stop();
  uplink.saved(backlog.add(3, 1000, 1000));
  await until(() => uplink.state.link.state !== 'up');
  t.equal(uplink.state.postedWindows, 3, 'what was taken is remembered');
  t.equal(backlog.owed, 6);
  t.equal(seen.length, 1);
});

t.test('HTTPS only where it may be', async (t) => {
  const { core } = await receiptingCloud(t, certs);
  const { network, uplink } = await gateway(t, core.port, 'reset', { fallback: { enabled: false } });
  await until(() => network.eaten >= 6);
  t.match(uplink.state.link, { transport: 'mqtt' });
});
