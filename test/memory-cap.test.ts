/**
 * The cap on memory: a real agent with a heap of 64 MB, and a sensor that invents devices and metrics, writes to tens of
 * thousands of windows at once, repeats all that, and numbers its readings with long names. The agent lives, rejects with a
 * reason what is too many, counts each other reading once, and its books balance. Without the cap it dies of its heap.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { imbalance } from '../agent/books.js';
import { type AgentStatus, askStatus, socketPath } from '../agent/status.js';
import { AGENT, freePort, Program } from './rig.js';

const HEAP_MB = 64;
const DEVICES = 2_000;
const NAMES = 100;
const WINDOWS = 50_000;
const START_MS = Date.UTC(2025, 0, 1);

const config = (dir: string, port: number) => ({
  gateway: 'gw',
  data: join(dir, 'agent'),
  accept: {
    sources: [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${port}` }] }],
    // long enough that no window closes by itself
    routes: [{ topic: 'site/{device}', window: '1m', lateness: '1h', time: { from: 'ts', unit: 'ms' }, id: 'id' }],
  },
  buffer: { maxMemory: '8MB', maxDevices: DEVICES, maxMetricNames: NAMES },
  clock: { trust: 'always' },
});

class Attack {
  readonly #client: MqttClient;
  readonly #status: () => Promise<AgentStatus | undefined>;
  readonly #t: Test;
  readonly #program: Program;
  #waiting: Promise<unknown>[] = [];

  constructor(t: Test, client: MqttClient, program: Program, status: () => Promise<AgentStatus | undefined>) {
    this.#t = t;
    this.#client = client;
    this.#program = program;
    this.#status = status;
  }

  async publish(device: string, payload: unknown): Promise<void> {
    this.#waiting.push(this.#client.publishAsync(`site/${device}`, JSON.stringify(payload), { qos: 1 }));
    if (this.#waiting.length >= 500) await this.acknowledged();
  }

  async acknowledged(): Promise<void> {
    await Promise.all(this.#waiting);
    this.#waiting = [];
  }

  /** The books, once all is acknowledged. */
  async books(phase: string) {
    await this.acknowledged();
    const status = await this.#status();
    if (status === undefined) throw new Error(`the agent is gone:\n${this.#program.output.slice(-20).join('\n')}`);
    const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#program.pid}/status`, 'utf8')) ?? [];
    this.#t.comment(`${phase}: ${Math.round(Number(peak) / 1024)} MB at most, ${status.openWindows} windows open`);
    this.#t.equal(imbalance(status.books), 0, `${phase}: the books balance`);
    return status.books;
  }
}

t.test('a hostile sensor and a small heap', { timeout: 280_000, skip: process.platform !== 'linux' }, async (t) => {
  const dir = t.testdir();
  const port = await freePort();
  writeFileSync(join(dir, 'agent.yaml'), stringify(config(dir, port)));
  const heap = `--max-old-space-size=${HEAP_MB}`;
  const agent = new Program([heap, AGENT, 'run', '--config', join(dir, 'agent.yaml')], /ready/);
  t.teardown(() => agent.end('SIGTERM'));
  await agent.start();
  const { pid } = agent;
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'hostile', reconnectPeriod: 0 });
  t.teardown(() => client.endAsync(true));
  const attack = new Attack(t, client, agent, () => askStatus(socketPath(join(dir, 'agent'))));

  for (let i = 0; i < 2 * DEVICES; i++) await attack.publish(`d${i}`, { ts: START_MS, x: i });
  t.match(await attack.books('a device a message'), { counted: DEVICES, rejected: { 'too-many-devices': DEVICES } });

  for (let i = 0; i < 1_000; i++) await attack.publish('d1', { ts: START_MS + 1 + i, [`m${i}`]: 1 });
  t.match(await attack.books('a metric a message'), {
    counted: DEVICES + NAMES - 1,
    rejected: { 'too-many-names': 1_001 - NAMES },
  });

  const counted = DEVICES + NAMES - 1;
  for (const round of ['tens of thousands of windows', 'and all of it again']) {
    for (let at = 0; at < WINDOWS; at += 200) {
      const records = Array.from({ length: 200 }, (_, i) => ({ ts: START_MS + (at + i + 10) * 60_000, x: i / 7 }));
      await attack.publish('d2', records);
    }
    const duplicate = round.startsWith('and') ? WINDOWS : 0;
    t.match(await attack.books(round), { counted: counted + WINDOWS, duplicate });
  }

  for (let at = 0; at < 20_000; at += 100) {
    const records = Array.from({ length: 100 }, (_, i) => ({
      ts: START_MS + 7,
      x: i,
      id: `${'long'.repeat(50)}${at + i}x`,
    }));
    await attack.publish('d3', records);
  }
  t.match(await attack.books('long names for readings'), { counted: counted + WINDOWS + 20_000, duplicate: WINDOWS });
  t.equal(agent.pid, pid);
  t.equal(await agent.end('SIGTERM'), 0, 'it lived, and stops in good order');
});
