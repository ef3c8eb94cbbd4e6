/**
 * 200 gateways come back at once, each with a backlog: what the cloud has to do stays under twice of what it does every day.
 * Real uplinks and outboxes over real MQTT connections, the cloud as a process of its own with its real store.
 *
 * FLEET_CREDIT=off takes the credit out of the receipts and the jitter out of the gateways: then this fails.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Aedes } from 'aedes';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { pushSchema } from '../agent/push/options.js';
import { Push } from '../agent/push/push.js';
import { EdgetallyError } from '../shared/errors.js';
import { encodeStatus } from '../shared/status.js';
import { until } from './cloud-rig.js';
import { Dice } from './dice.js';
import { MemoryBacklog } from './memory-backlog.js';
import { CLOUD, Program } from './rig.js';

const GATEWAYS = 200;
const DEVICES = 5;
const WINDOW_MS = 2_000;
const TICK_MS = 250;
/** Windows of each gateway from an outage. */
const BACKLOG = 2_000;
const STEADY_MS = 12_000;
const RETURN_MS = 20_000;
/** Load is a mean over this long: the machine that the tests run on may pause. */
const SPAN_MS = 5_000;
const CREDIT = process.env.FLEET_CREDIT !== 'off';
const EPOCH = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const HOUR_MS = 3_600_000;
const dice = new Dice(8, 0);
const clock = { nowMs: () => Date.now(), steadyMs: () => performance.now() };

class Gateway {
  readonly backlog = new MemoryBacklog();
  readonly push: Push;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(name: string, url: string) {
    this.push = new Push({
      gateway: name,
      epoch: EPOCH,
      session: 1,
      options: pushSchema.parse({ url, maxBackoff: 3_000, ...(CREDIT ? {} : { drainJitter: 0 }) }),
      backlog: this.backlog,
      clock,
      log: pino({ level: 'silent' }),
      status: (state) => {
        const { owed, oldestMs } = this.backlog;
        const readings = { in: 0, counted: 0, duplicate: 0, rejected: 0, held: 0 };
        const backlog = { windows: owed, bytes: owed, oldestMs };
        return encodeStatus({
          state: state === 'online' ? state : 'offline',
          epoch: EPOCH,
          version: '0',
          sentMs: Date.now(),
          backlog,
          readings,
        });
      },
      credentials: async () => ({}),
      explain: () => new EdgetallyError('link-lost', 'lost'),
      giveUp: () => undefined,
    });
  }

  start(): void {
    this.push.start();
    this.#timers.push(setInterval(() => this.push.tick(), TICK_MS));
  }

  /** Windows close at a moment of its own, as if each had its lateness. */
  measure(): void {
    const closed = () => {
      const startMs = Math.floor(Date.now() / WINDOW_MS) * WINDOW_MS - WINDOW_MS;
      this.push.saved(this.backlog.add(DEVICES, startMs, WINDOW_MS));
    };
    const first = setTimeout(() => {
      closed();
      this.#timers.push(setInterval(closed, WINDOW_MS));
    }, dice.below(WINDOW_MS));
    this.#timers.push(first);
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.push.stop();
  }
}

interface Load {
  readonly windowsPerSecond: number;
  readonly batchesPerSecond: number;
  readonly cpuShare: number;
  readonly inFlight: number;
}

/** What the cloud had done at some moment. */
interface Reading {
  readonly ms: number;
  readonly windows: number;
  readonly batches: number;
  readonly cpuMs: number;
  readonly inFlight: number;
}

class Meter {
  readonly #gateways: readonly Gateway[];
  readonly #cloud: Program;
  readonly #readings: Reading[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(gateways: readonly Gateway[], cloud: Program) {
    this.#gateways = gateways;
    this.#cloud = cloud;
    this.#timer = setInterval(() => this.#read(), 250);
  }

  #read(): void {
    const states = this.#gateways.map(({ push }) => push.state);
    const sum = (value: (state: (typeof states)[number]) => number) => states.reduce((all, one) => all + value(one), 0);
    this.#readings.push({
      ms: performance.now(),
      windows: sum(({ counters }) => counters.receipted!),
      batches: sum(({ counters }) => counters.receipts!),
      cpuMs: cpuMs(this.#cloud.pid!),
      inFlight: sum(({ inFlight }) => inFlight),
    });
  }

  /** The highest of each since the last call. */
  stop(): Load {
    clearInterval(this.#timer);
    const loads = this.#readings.flatMap((to) => {
      const from = this.#readings.findLast(({ ms }) => ms <= to.ms - SPAN_MS);
      if (from === undefined) return [];
      const seconds = (to.ms - from.ms) / 1000;
      return {
        windowsPerSecond: (to.windows - from.windows) / seconds,
        batchesPerSecond: (to.batches - from.batches) / seconds,
        cpuShare: (to.cpuMs - from.cpuMs) / 1000 / seconds,
        inFlight: to.inFlight,
      };
    });
    const highest = (key: keyof Load) => Math.max(...loads.map((load) => load[key]));
    return {
      windowsPerSecond: highest('windowsPerSecond'),
      batchesPerSecond: highest('batchesPerSecond'),
      cpuShare: highest('cpuShare'),
      inFlight: highest('inFlight'),
    };
  }
}

/** utime and stime, proc(5). */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A broker that can go away and come back. */
class Broker {
  readonly #aedes: Aedes;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  port = 0;

  static async make(test: Test): Promise<Broker> {
    const broker = new Broker(await Aedes.createBroker());
    await broker.listen();
    test.teardown(() => broker.#end());
    return broker;
  }

  private constructor(aedes: Aedes) {
    this.#aedes = aedes;
    aedes.authorizePublish = (_client, packet, done) => {
      if (!CREDIT && packet.topic.endsWith('/down/receipt')) {
        const { credit: _, ...rest } = JSON.parse(packet.payload.toString()) as Record<string, unknown>;
        packet.payload = Buffer.from(JSON.stringify(rest));
      }
      done(null);
    };
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined);
      this.#aedes.handle(socket, undefined as never);
    }).listen(this.port, '127.0.0.1');
    this.#server = server;
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
  }

  async drop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #end(): Promise<void> {
    await new Promise<void>((resolve) => this.#aedes.close(() => resolve()));
    await this.drop();
  }
}

t.test('200 gateways come back at once', { timeout: 200_000 }, async (t) => {
  const broker = await Broker.make(t);
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const dir = t.testdir();
  const config = join(dir, 'cloud.yaml');
  const mqtt = { url, minBackoff: '50ms', maxBackoff: '200ms' };
  writeFileSync(config, stringify({ database: join(dir, 'cloud.db'), backlogWindowsPerSecond: 50, mqtt }));
  const cloud = new Program([CLOUD, 'run', '--config', config], /ready/);
  await cloud.start();
  t.teardown(() => cloud.end('SIGTERM'));
  const gateways = Array.from({ length: GATEWAYS }, (_, i) => new Gateway(`gw-${i}`, url));
  t.teardown(() => Promise.all(gateways.map((gateway) => gateway.stop())));
  const allUp = () => gateways.every(({ push }) => push.state.link.state === 'up');
  const resends = () => gateways.reduce((sum, { push }) => sum + push.state.counters.expired!, 0);

  for (const gateway of gateways) gateway.start();
  await until(allUp);
  for (const gateway of gateways) gateway.measure();
  await sleep(WINDOW_MS * 2);
  let meter = new Meter(gateways, cloud);
  await sleep(STEADY_MS);
  const steady = meter.stop();

  await broker.drop();
  await sleep(1_000);
  for (const { backlog } of gateways) backlog.addBefore(BACKLOG / DEVICES, DEVICES, Date.now() - HOUR_MS, WINDOW_MS);
  const resentBefore = resends();
  const owedBefore = gateways.reduce((sum, { backlog }) => sum + backlog.owed, 0);
  meter = new Meter(gateways, cloud);
  await broker.listen();
  await until(allUp);
  await sleep(RETURN_MS);
  const back = meter.stop();
  const owed = gateways.reduce((sum, { backlog }) => sum + backlog.owed, 0);

  t.comment(`steady:  ${JSON.stringify(steady)}`);
  t.comment(
    `return:  ${JSON.stringify(back)}; ${owedBefore - owed} of ${owedBefore} drained, ${resends() - resentBefore} resends`,
  );
  for (const key of ['windowsPerSecond', 'batchesPerSecond', 'cpuShare'] as const) {
    t.ok(back[key] < 2 * steady[key], `${key}: ${back[key].toFixed(2)} after ${steady[key].toFixed(2)}`);
  }
  t.ok(back.inFlight < 2 * GATEWAYS, `${back.inFlight} batches without a receipt at one time`);
  t.equal(resends(), resentBefore, 'nothing is sent twice');
  t.ok(owed < owedBefore, 'and the backlog drains');
});
