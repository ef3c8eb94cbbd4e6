/** Links that look up and are not: the watchdog over real sockets, up to the exit for the supervisor. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Aedes } from 'aedes';
import mqtt from 'mqtt';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { type PushOptions, pushSchema } from '../agent/push/options.js';
import { Push } from '../agent/push/push.js';
import { startLink } from '../demo/link.js';
import { decodeBatch } from '../shared/batch.js';
import { EdgetallyError } from '../shared/errors.js';
import { encodeReceipt } from '../shared/receipt.js';
import { parseUpTopic } from '../shared/topics.js';
import { until } from './cloud-rig.js';
import { MemoryBacklog } from './memory-backlog.js';
import { AGENT, freePort } from './rig.js';

const EPOCH = 'c0ffee00c0ffee00c0ffee00c0ffee00';

/** Takes and acknowledges everything; `answers`: there is a cloud behind it. */
async function broker(t: Test, { answers }: { answers: boolean }) {
  const aedes = await Aedes.createBroker();
  const state = { answers, connects: 0, statuses: [] as { topic: string; retain: boolean }[] };
  aedes.on('client', () => state.connects++);
  aedes.on('publish', ({ topic, payload, retain }) => {
    if (parseUpTopic(topic)?.kind === 'status') state.statuses.push({ topic, retain });
    if (!state.answers || parseUpTopic(topic)?.kind !== 'batch') return;
    const decoded = decodeBatch(payload as Buffer);
    if (!decoded.ok) throw new Error(decoded.detail);
    const { epoch, session, sequence } = decoded.batch;
    const receipt = encodeReceipt({ epoch, committed: [{ session, sequences: [sequence] }], rejected: [], timeMs: 1 });
    aedes.publish(
      {
        cmd: 'publish',
        qos: 0,
        retain: false,
        dup: false,
        topic: topic.replace('up/batch', 'down/receipt'),
        payload: Buffer.from(receipt),
      },
      () => undefined,
    );
  });
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    aedes.handle(socket, undefined as never);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(async () => {
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    server.close();
  });
  return { state, port: (server.address() as AddressInfo).port };
}

function uplink(t: Test, port: number, options: Partial<PushOptions>) {
  const backlog = new MemoryBacklog();
  const seen = { credentials: 0, gaveUp: false };
  const push = new Push({
    gateway: 'gw',
    epoch: EPOCH,
    session: 1,
    options: pushSchema.parse({
      url: `mqtt://127.0.0.1:${port}`,
      drainJitter: 0,
      minBackoff: 20,
      maxBackoff: 100,
      connectTimeout: 300,
      ...options,
    }),
    backlog,
    clock: { nowMs: () => Date.now(), steadyMs: () => performance.now() },
    log: pino({ level: 'silent' }),
    status: () => Buffer.from('{}'),
    credentials: async () => {
      seen.credentials++;
      return {};
    },
    explain: () => new EdgetallyError('link-lost', 'lost'),
    giveUp: () => {
      seen.gaveUp = true;
    },
  });
  push.start();
  const timer = setInterval(() => push.tick(), 20);
  t.teardown(async () => {
    clearInterval(timer);
    await push.stop();
  });
  return { push, backlog, seen };
}

t.test('a link that goes silent is replaced, and what was owed is delivered', { timeout: 60_000 }, async (t) => {
  const { port } = await broker(t, { answers: true });
  const hole = await startLink({ port });
  t.teardown(() => hole.stop());
  const { push, backlog, seen } = uplink(t, hole.port, { watchdog: 200, exitAfter: 0 });
  push.saved(backlog.add(3, 0, 1000));
  await until(() => backlog.owed === 0);
  t.equal(push.state.counters.newSockets, 0);
  const before = seen.credentials;
  hole.stall(); // no byte goes through, and nobody says so; a ping would tell after 45 s
  push.saved(backlog.add(3, 1000, 1000));
  await until(() => push.state.counters.newSockets === 1);
  await until(() => seen.credentials > before);
  t.equal(backlog.owed, 3);
  hole.cut();
  hole.restore();
  await until(() => backlog.owed === 0);
  t.equal(push.state.silentMs, 0);
  t.notOk(seen.gaveUp);
});

t.test(
  'a broker that takes everything, and no cloud: new socket, new clients, then it gives up; a cloud ends it',
  { timeout: 60_000 },
  async (t) => {
    const { port, state } = await broker(t, { answers: false });
    const { push, backlog, seen } = uplink(t, port, { watchdog: 200, exitAfter: 3_000, receiptTimeout: 100 });
    push.saved(backlog.add(3, 0, 1000));
    await until(() => seen.gaveUp);
    const { newSockets, newClients, expired } = push.state.counters;
    t.equal(newSockets, 1);
    t.ok(newClients! >= 2 && expired! > 1, JSON.stringify(push.state.counters));
    t.ok(state.connects >= 4 && seen.credentials >= 4, 'each with credentials that were read anew');
    t.equal(backlog.owed, 3);
    state.answers = true;
    await until(() => backlog.owed === 0);
  },
);

t.test('with Basic Ingest the retained status says online or offline, its books go to the rule', async (t) => {
  const { state, port } = await broker(t, { answers: true });
  const { push } = uplink(t, port, { basicIngestRule: 'rule', statusInterval: 50 });
  await until(() => state.statuses.length >= 3);
  await push.stop();
  await until(() => state.statuses.at(-1)!.retain);
  const topic = 'edgetally/v1/gw/up/status';
  t.strictSame(state.statuses.at(0), { topic, retain: true });
  t.strictSame(state.statuses.at(1), { topic: `$aws/rules/rule/${topic}`, retain: false });
  t.strictSame(state.statuses.at(-1), { topic, retain: true });
});

t.test('a broker that is not there is waited for', { timeout: 60_000 }, async (t) => {
  const { push, backlog, seen } = uplink(t, await freePort(), { watchdog: 20, exitAfter: 100 });
  push.saved(backlog.add(3, 0, 1000));
  await until(() => push.state.link.failures >= 15);
  t.match(push.state, { silentMs: 0, counters: { newSockets: 0, exits: 0 } });
  t.notOk(seen.gaveUp);
});

t.test('the agent exits with 75 for its supervisor', { timeout: 60_000 }, async (t) => {
  const { port } = await broker(t, { answers: false });
  const sensorPort = await freePort();
  const config = join(t.testdir(), 'agent.yaml');
  writeFileSync(
    config,
    stringify({
      gateway: 'gw',
      data: join(t.testdirName, 'data'),
      accept: {
        sources: [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${sensorPort}` }] }],
        routes: [{ topic: 's/{device}', window: '1s', lateness: '0s', metrics: ['x'] }],
      },
      push: {
        url: `mqtt://127.0.0.1:${port}`,
        watchdog: '300ms',
        exitAfter: '2s',
        receiptTimeout: '200ms',
        drainJitter: 0,
      },
    }),
  );
  const agent = spawn(process.execPath, [AGENT, 'run', '--config', config], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => agent.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface({ input: agent.stdout }).on('line', (line) => lines.push(line));
  await until(
    () => lines.some((line) => /"ready"/.test(line)) || agent.exitCode !== null,
    () => lines.join('\n'),
  );
  const sensor = await mqtt.connectAsync(`mqtt://127.0.0.1:${sensorPort}`, { protocolVersion: 4 });
  await sensor.publishAsync('s/d', '{"x":1}', { qos: 1 });
  await sensor.endAsync(true);
  const [code] = (await once(agent, 'exit')) as [number | null];
  t.equal(code, 75, lines.slice(-3).join('\n'));
});
