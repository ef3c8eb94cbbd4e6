import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Aedes } from 'aedes';
import t from 'tap';
import { simulateCommand } from './command.js';
import { planOf, runSimulation, type SimulationOptions } from './simulation.js';

interface Broker {
  readonly port: number;
  readonly received: string[];
  stop(): Promise<void>;
}

/** A real broker; `acknowledges` decides message by message whether a PUBACK goes out. */
async function startBroker(port = 0, acknowledges: (nth: number) => boolean = () => true): Promise<Broker> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const aedes = await Aedes.createBroker({
    authenticate: (_client, username, _password, done) => done(null, username !== 'stranger'),
    authorizePublish: (_client, packet, done) => {
      received.push(`${packet.topic} ${packet.payload}`);
      if (acknowledges(received.length)) done(null);
    },
  });
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    aedes.handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address();
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => aedes.close(() => server.close(() => resolve())));
  };
  return { port: typeof address === 'object' && address !== null ? address.port : 0, received, stop };
}

function optionsWith(changes: Partial<SimulationOptions>): SimulationOptions {
  return {
    url: 'mqtt://127.0.0.1:1',
    clientId: 'test',
    qos: 1,
    maxInFlight: 50,
    ackTimeoutMs: 5000,
    fleets: ['traffic', 'energy', 'flows'],
    devices: 10,
    rate: 5000,
    count: 900,
    seed: 1,
    lateShare: 0.2,
    lateByMs: 50,
    duplicateShare: 0.2,
    speed: 60,
    graceMs: 200,
    ...changes,
  };
}

function recordPath(t: { teardown(action: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-simulate-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'record.ndjson');
}

function recordedLines(path: string): string[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  t.equal(lines.pop(), '', 'ends with a newline');
  return lines.map((line) => {
    const { topic, payload } = JSON.parse(line) as { topic: string; payload: string };
    return `${topic} ${payload}`;
  });
}

t.test('everything is acknowledged, and recorded once', async (t) => {
  const broker = await startBroker();
  t.teardown(() => broker.stop());
  const record = recordPath(t);
  const never = new AbortController().signal;
  const result = await runSimulation(optionsWith({ url: `mqtt://127.0.0.1:${broker.port}`, record }), never);
  t.match(result, { messages: 900, unacknowledged: 0, resent: 0, reconnects: 0 });
  t.ok(result.late > 100 && result.duplicates > 100);
  t.equal(result.acknowledged, 900 + result.duplicates);
  t.equal(broker.received.length, 900 + result.duplicates);
  const recorded = recordedLines(record);
  t.equal(recorded.length, 900);
  t.same(new Set(recorded), new Set(broker.received));
});

t.test('a broker that dies and comes back loses nothing', async (t) => {
  // The first broker stops acknowledging after a while, then dies with messages outstanding.
  const first = await startBroker(0, (nth) => nth <= 300);
  const record = recordPath(t);
  const options = optionsWith({ url: `mqtt://127.0.0.1:${first.port}`, record });
  const running = runSimulation(options, new AbortController().signal);
  while (first.received.length <= 300) await sleep(5);
  await first.stop();
  await sleep(150);
  const second = await startBroker(first.port);
  t.teardown(() => second.stop());
  const result = await running;
  t.match(result, { messages: 900, unacknowledged: 0 });
  t.ok(result.resent > 0 && result.reconnects > 0, `${result.resent} resent`);
  const recorded = recordedLines(record);
  t.equal(recorded.length, 900);
  t.equal(new Set(recorded).size, 900);
  const acknowledged = new Set([...first.received.slice(0, 300), ...second.received]);
  t.same(new Set(recorded), acknowledged);
});

t.test('a silent link is given up and its messages sent again', async (t) => {
  const broker = await startBroker(0, (nth) => nth <= 40 || nth > 80);
  t.teardown(() => broker.stop());
  const options = optionsWith({ url: `mqtt://127.0.0.1:${broker.port}`, count: 120, ackTimeoutMs: 100 });
  const result = await runSimulation(options, new AbortController().signal);
  t.match(result, { messages: 120, unacknowledged: 0 });
  t.ok(result.reconnects > 0);
});

t.test('the signal ends it at once, and the record holds what was acknowledged', async (t) => {
  const broker = await startBroker(0, (nth) => nth <= 100);
  t.teardown(() => broker.stop());
  const record = recordPath(t);
  const stop = new AbortController();
  const options = optionsWith({ url: `mqtt://127.0.0.1:${broker.port}`, record, rate: 1000 });
  const running = runSimulation(options, stop.signal);
  while (broker.received.length < 120) await sleep(5);
  const startedMs = performance.now();
  stop.abort();
  const result = await running;
  t.ok(performance.now() - startedMs < 1500);
  t.ok(result.unacknowledged > 0);
  t.same(new Set(recordedLines(record)), new Set(broker.received.slice(0, 100)));
});

t.test('wrong options are errors with a hint, not a wait', async (t) => {
  const broker = await startBroker();
  t.teardown(() => broker.stop());
  const never = new AbortController().signal;
  const url = `mqtt://127.0.0.1:${broker.port}`;
  await t.rejects(runSimulation(optionsWith({}), never), { code: 'link-refused' });
  await t.rejects(runSimulation(optionsWith({ url, username: 'stranger' }), never), { code: 'link-unauthorized' });
  await t.rejects(runSimulation(optionsWith({ url, record: '/nowhere/record' }), never), { code: 'usage' });
  await t.rejects(runSimulation(optionsWith({ url, fleets: ['boats'] }), never), { message: /boats.*traffic/ });
  t.throws(() => planOf(optionsWith({ rate: 1e6, speed: 1 }), 0), { code: 'usage' });
  const { count: _count, ...endless } = optionsWith({});
  t.throws(() => planOf(endless, 0), { message: /future/ });
});

t.test('the last message is observed when it is sent', async (t) => {
  const plan = planOf(optionsWith({ rate: 100, count: 1000, speed: 60 }), 1e12);
  t.equal(plan.startMs + plan.count * plan.stepMs, 1e12 + 10_000);
  const { count: _count, ...endless } = optionsWith({ speed: 1 });
  t.equal(planOf(endless, 1e12).startMs, 1e12);
});

t.test('the command', async (t) => {
  const broker = await startBroker();
  t.teardown(() => broker.stop());
  const output: string[] = [];
  const run = (...more: string[]): Promise<unknown> =>
    simulateCommand()
      .exitOverride()
      .configureOutput({ writeOut: (text) => output.push(text), writeErr: () => undefined })
      .parseAsync(['--url', `mqtt://127.0.0.1:${broker.port}`, '--rate', '2000', ...more], { from: 'user' });
  await run(
    '--duration',
    '100ms',
    '--count',
    '500',
    '--fleets',
    'energy',
    '--qos',
    '0',
    '--late',
    '0.1',
    '--late-by',
    '50ms',
  );
  t.match(output, [/^200 messages \(\d+ late\), 0 sent twice, 200 acknowledged, 0 not,/]);
  t.ok(broker.received.every((line) => line.startsWith('energy/')));
  await t.rejects(run('--late', '2'), { message: /share between 0 and 1/ });
  await t.rejects(run('--rate', 'fast'), { message: /number above 0/ });
  await t.rejects(run('--duration', 'soon'), { message: /duration such as/ });
});
