/**
 * MQTT that is almost right, on thousands of connections, against real processes. The agent's broker: a good client publishes
 * all the while, and every reading of it counts. The agent's and the cloud's clients: a broker that speaks nonsense; they
 * connect again and go on. No receipt that is not for it frees a window.
 *
 * TORTURE_CONNECTIONS says how many (npm run torture:fuzz: 100,000), TORTURE_SEED which ones.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { imbalance } from '../agent/books.js';
import { type AgentStatus, askStatus, socketPath } from '../agent/status.js';
import { EPOCH_A, NOON, windowsOf } from '../cloud/store/samples.js';
import { decodeBatch } from '../shared/batch.js';
import { decodeReceipt, encodeReceipt } from '../shared/receipt.js';
import { downTopic, upTopic } from '../shared/topics.js';
import { batchBytes, CloudProcess, place, until } from './cloud-rig.js';
import { Dice, setting } from './dice.js';
import { HostileBroker } from './hostile-broker.js';
import { attack } from './mqtt-attacker.js';
import { flipped } from './mqtt-mutants.js';
import { AGENT, freePort, Program } from './rig.js';

const CONNECTIONS = setting('TORTURE_CONNECTIONS', 2000);
const SEED = setting('TORTURE_SEED', 1);
const AT_ONCE = 40;
/** Of a process, after it has warmed up: garbage comes and goes, what is kept stays. */
const MAX_GROWTH_KB = 64 * 1024;
const TROUBLE = /unhandled|uncaught|TypeError|RangeError|ERR_|\n {4}at /i;

t.setTimeout(110_000 + CONNECTIONS * 20);

function residentKb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

function troubleIn(lines: readonly string[]): string[] {
  return lines.filter((line) => TROUBLE.test(line));
}

interface Agent {
  readonly program: Program;
  readonly port: number;
  readonly uplinkPort: number;
  status(): Promise<AgentStatus>;
}

async function startAgent(t: Test): Promise<Agent> {
  const dir = t.testdir();
  const [port, uplinkPort] = [await freePort(), await freePort()];
  const source = { type: 'broker', listeners: [{ listen: `127.0.0.1:${port}` }], limits: { connectTimeout: '1s' } };
  const route = {
    topic: 'plant/{device}',
    time: { from: 'ts', unit: 'ms' },
    metrics: ['temp'],
    window: '1m',
    lateness: '1s',
  };
  writeFileSync(
    join(dir, 'agent.yaml'),
    stringify({
      gateway: 'gw',
      data: join(dir, 'data'),
      accept: { sources: [source], routes: [route] },
      buffer: { commitInterval: '2ms' },
      push: {
        url: `mqtt://127.0.0.1:${uplinkPort}`,
        minBackoff: '20ms',
        maxBackoff: '100ms',
        connectTimeout: '500ms',
        receiptTimeout: '1s',
      },
    }),
  );
  const program = new Program([AGENT, 'run', '--config', join(dir, 'agent.yaml')], /ready/);
  t.teardown(() => program.end('SIGTERM'));
  await program.start();
  const status = async () => {
    const answer = await askStatus(socketPath(join(dir, 'data')));
    if (answer === undefined) throw new Error(`the agent is gone:\n${program.output.slice(-20).join('\n')}`);
    return answer;
  };
  return { program, port, uplinkPort, status };
}

/** Publishes until told to stop; returns how many readings were acknowledged. */
async function behaveWell(port: number, until: AbortSignal): Promise<number> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'good', protocolVersion: 4 });
  let sent = 0;
  while (!until.aborted) {
    const payload = JSON.stringify({ ts: Date.UTC(2025, 0, 1) + sent * 1000, temp: sent % 100 });
    await client.publishAsync('plant/good', payload, { qos: 1 });
    sent++;
    await sleep(1);
  }
  // It stays, to be counted among the connections.
  t.teardown(() => client.endAsync(true));
  return sent;
}

async function attackWith(port: number, from: number, to: number): Promise<void> {
  let next = from;
  const worker = async () => {
    while (next < to) await attack(port, new Dice(SEED, next++));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

t.test('the agent', async (t) => {
  const agent = await startAgent(t);
  const { program } = agent;

  await t.test(`${CONNECTIONS} connections to its broker`, async (t) => {
    const pid = program.pid!;
    const enough = new AbortController();
    const good = behaveWell(agent.port, enough.signal);
    const warm = Math.floor(CONNECTIONS / 2);
    await attackWith(agent.port, 0, warm);
    const before = residentKb(pid);
    await attackWith(agent.port, warm, CONNECTIONS);
    const after = residentKb(pid);
    enough.abort();
    const sent = await good;
    await until(async () => (await agent.status()).sources[0]!.counters.connected === 1);
    const { books, sources } = await agent.status();
    t.equal(books.counted, sent, 'every reading of the good client counts');
    t.equal(imbalance(books), 0);
    t.ok(sent > 100, `${sent} good readings among ${books.in - sent} messages`);
    t.ok((books.rejected['no-route'] ?? 0) > CONNECTIONS / 100, 'part of the nonsense got as far as the routes');
    t.ok(after - before < MAX_GROWTH_KB, `memory: ${before} kB, ${after} kB after the second half`);
    t.equal(sources[0]!.counters.waiting, 0);
    t.equal(program.pid, pid, 'the same process');
    t.strictSame(troubleIn(program.output), []);
  });

  await t.test('receipts that are for nothing free nothing', (t) => mutatedReceipts(t, agent));

  await t.test('a broker that speaks nonsense', async (t) => {
    const broker = new HostileBroker(new Dice(SEED, 77), () => ({
      topic: downTopic('gw', 'receipt'),
      payload: Buffer.from('{}'),
    }));
    await broker.listen(t, agent.uplinkPort);
    await until(() => broker.connections >= 30);
    broker.calm = true;
    const { connects } = (await agent.status()).push!.link;
    await until(async () => (await agent.status()).push!.link.connects > connects);
    t.equal((await agent.status()).push!.link.state, 'up');
    t.strictSame(troubleIn(program.output), []);
  });
  t.equal(await program.end('SIGTERM'), 0);
});

/** Bit flips and cuts in the receipt that the agent waits for, and in what it names. */
async function mutatedReceipts(t: Test, { uplinkPort, status }: Agent): Promise<void> {
  const broker = new HostileBroker(new Dice(SEED, 78), () => ({ topic: '', payload: Buffer.alloc(0) }));
  broker.calm = true;
  const batches = new Map<number, { epoch: string; session: number }>();
  broker.on('publish', ({ topic, payload }) => {
    const decoded = topic === upTopic('gw', 'batch') ? decodeBatch(payload as Buffer) : undefined;
    if (decoded?.ok) batches.set(decoded.batch.sequence, decoded.batch);
  });
  await broker.listen(t, uplinkPort);
  await until(async () => batches.size > 0 && (await status()).openWindows === 0);
  const before = await status();
  t.ok(before.backlog.windows > 0);
  const [first] = batches.values();
  const { epoch, session } = first!;
  const receipt = (sequences: number[], more: object = {}) =>
    Buffer.from(encodeReceipt({ epoch, committed: [{ session, sequences }], rejected: [], timeMs: 1, ...more }));
  const names = (bytes: Buffer): boolean => {
    const decoded = decodeReceipt(bytes);
    if (!decoded.ok || decoded.value.epoch !== epoch) return false;
    const named = [
      ...decoded.value.committed.flatMap((one) => one.sequences),
      ...decoded.value.rejected.map((one) => one.sequence),
    ];
    return named.some((sequence) => sequence <= Math.max(...batches.keys()) + 1000);
  };
  const dice = new Dice(SEED, 79);
  const topic = downTopic('gw', 'receipt');
  let sent = 0;
  while (sent < 2000) {
    const whole = receipt([...batches.keys()]);
    const bytes = dice.chance(0.2)
      ? whole.subarray(0, dice.below(whole.length))
      : flipped(whole, dice, 1 + dice.below(6));
    // One flipped digit more may be a true receipt for another batch: TLS guards against that, not JSON.
    if (names(bytes)) continue;
    broker.publish(topic, bytes, 0);
    sent++;
    if (sent % 100 === 0) await sleep(1);
  }
  const others = { session: session + 1, sequences: [...batches.keys()] };
  broker.publish(topic, receipt([1e6]), 0);
  broker.publish(topic, receipt([], { committed: [others] }), 0);
  broker.publish(topic, receipt([...batches.keys()], { epoch: EPOCH_A }), 0);
  broker.publish(downTopic('gw2', 'receipt'), receipt([...batches.keys()]), 0);
  broker.publish(`${topic}/x`, receipt([...batches.keys()]), 0);
  broker.publish(upTopic('gw', 'batch'), receipt([...batches.keys()]), 0);
  const heard = () => status().then(({ push }) => push!.counters.badReceipts! + push!.counters.receipts!);
  await until(async () => (await heard()) > 1000);
  await sleep(100);
  const after = await status();
  t.equal(after.backlog.windows, before.backlog.windows, 'nothing is freed');
  t.equal(after.push!.counters.receipted, 0);
  await until(async () => {
    broker.publish(topic, receipt([...batches.keys()]), 0);
    await sleep(20);
    return (await status()).backlog.windows === 0;
  });
  await broker.close();
}

t.test('the cloud', async (t) => {
  const at = await place(t);
  const windows = windowsOf([1, 2, 3].map((i) => ({ timeMs: NOON + i * 60_000, values: { c: i } })));
  const bait = () => ({ topic: upTopic('gw', 'batch'), payload: batchBytes(1, EPOCH_A, windows.slice(0, 2)) });
  const files = { ca: at.certs.ca, cert: at.certs.server.cert, key: at.certs.server.key };
  const tls = Object.fromEntries(Object.entries(files).map(([name, path]) => [name, readFileSync(path)]));
  const broker = new HostileBroker(new Dice(SEED, 80), bait, { ...tls, requestCert: true, rejectUnauthorized: true });
  const port = await broker.listen(t);
  const own = at.certs.gateways.get('cloud')!;
  const url = `mqtts://localhost:${port}`;
  const cloud = new CloudProcess(t, at.dir, {
    url,
    ca: at.certs.ca,
    ...own,
    connectTimeout: '500ms',
    maxBackoff: '40ms',
  });
  const started = cloud.start();
  const about = () => `${broker.connections} connections\n${cloud.lines.slice(-20).join('\n')}`;
  await until(() => broker.connections >= 40, about);
  broker.calm = true;
  await started;
  await until(async () => {
    broker.publish(upTopic('gw', 'batch'), batchBytes(2, EPOCH_A, windows.slice(1)), 1, 5);
    const acknowledged = new Promise((resolve) => broker.once('puback', (id) => resolve(id === 5)));
    return (await Promise.race([acknowledged, sleep(300, false)])) === true;
  });
  broker.publish(upTopic('gw', 'batch'), batchBytes(1, EPOCH_A, windows.slice(0, 1)), 1, 6);
  await until(async () => /d1,c,3,6,2,/.test(await cloud.command('report', '--format', 'csv')), about);
  t.strictSame(troubleIn(cloud.lines), []);
  t.equal(await cloud.end('SIGTERM'), 0, `after ${broker.connections} connections`);
});
