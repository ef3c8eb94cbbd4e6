/**
 * The whole system as real processes on free ports of this machine: a TLS broker that stands in for IoT Core, the cloud,
 * an agent with its own broker. Each can be killed with SIGKILL and started again on what it left.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import mqtt, { type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { type AgentStatus, askStatus, socketPath } from '../agent/status.js';
import { type MadeCertificates, makeCertificates } from '../certs.example/make-certs.js';
import { ROOT } from './needs.js';

const run = promisify(execFile);
const READY_MS = 20_000;

export const AGENT = join(ROOT, 'build/agent/main.js');
export const CLOUD = join(ROOT, 'build/cloud/main.js');
export const BROKER = join(ROOT, 'build/demo/iot-core.js');

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A program of ours, started and told apart by its lines. */
export class Program {
  readonly #args: readonly string[];
  readonly #ready: RegExp;
  readonly #env: Readonly<Record<string, string>>;
  readonly output: string[] = [];
  #child: ChildProcess | undefined;

  constructor(args: readonly string[], ready: RegExp, env: Readonly<Record<string, string>> = {}) {
    this.#args = args;
    this.#ready = ready;
    this.#env = env;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, this.#args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#env },
    });
    this.#child = child;
    const ready = deferred();
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream! }).on('line', (line) => {
        this.output.push(line);
        if (this.#ready.test(line)) ready.resolve();
      });
    }
    child.once('exit', () => ready.reject(new Error(`${this.#args[0]} ended:\n${this.output.slice(-20).join('\n')}`)));
    const timer = setTimeout(() => ready.reject(new Error(`not ready:\n${this.output.join('\n')}`)), READY_MS);
    await ready.promise.finally(() => clearTimeout(timer));
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    return child.exitCode;
  }
}

function deferred() {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

export interface RigOptions {
  /** As in the configuration file. */
  readonly routes: readonly object[];
  readonly agent?: object;
  /** Added to the environment of the agent. */
  readonly agentEnv?: Readonly<Record<string, string>>;
}

export class Rig {
  readonly dir: string;
  readonly sensorPort: number;
  readonly brokerPort: number;
  readonly broker: Program;
  readonly cloud: Program;
  readonly agent: Program;
  readonly #sensors: MqttClient[] = [];

  static async make(t: Test, options: RigOptions): Promise<Rig> {
    const dir = t.testdir();
    const made = await makeCertificates(dir, { gateways: ['gw', 'cloud'] });
    const rig = new Rig(dir, made, await freePort(), await freePort(), options);
    t.teardown(() => rig.stop());
    return rig;
  }

  private constructor(
    dir: string,
    made: MadeCertificates,
    sensorPort: number,
    brokerPort: number,
    options: RigOptions,
  ) {
    this.dir = dir;
    this.sensorPort = sensorPort;
    this.brokerPort = brokerPort;
    const tls = (name: string) => ({
      url: `mqtts://localhost:${brokerPort}`,
      ca: made.ca,
      ...made.gateways.get(name),
    });
    writeFileSync(
      join(dir, 'agent.yaml'),
      stringify({
        gateway: 'gw',
        data: join(dir, 'agent'),
        accept: {
          sources: [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${sensorPort}` }] }],
          routes: options.routes,
        },
        buffer: { commitInterval: '2ms' },
        push: { ...tls('gw'), receiptTimeout: '3s', maxBackoff: '2s', drainJitter: 0 },
        ...options.agent,
      }),
    );
    writeFileSync(
      join(dir, 'cloud.yaml'),
      stringify({ database: join(dir, 'cloud.db'), mqtt: { ...tls('cloud'), clientId: 'cloud' } }),
    );
    this.broker = new Program([BROKER, '--dir', dir, '--port', String(brokerPort)], /"port"/);
    this.cloud = new Program([CLOUD, 'run', '--config', join(dir, 'cloud.yaml')], /ready/);
    this.agent = new Program([AGENT, 'run', '--config', join(dir, 'agent.yaml')], /ready/, options.agentEnv);
  }

  async start(): Promise<void> {
    await this.broker.start();
    await this.cloud.start();
    await this.agent.start();
  }

  async stop(): Promise<void> {
    for (const sensor of this.#sensors) await sensor.endAsync(true);
    await this.agent.end('SIGTERM');
    await this.cloud.end('SIGTERM');
    await this.broker.end('SIGTERM');
  }

  /**
   * A client of the agent's broker; it connects again by itself and resends what was not acknowledged. A forgetful one does
   * neither.
   */
  async sensor(clientId = 'sensor', { forgetful = false } = {}): Promise<MqttClient> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${this.sensorPort}`, {
      clientId,
      protocolVersion: 4,
      reconnectPeriod: forgetful ? 0 : 100,
    });
    client.on('error', () => undefined);
    this.#sensors.push(client);
    return client;
  }

  status(): Promise<AgentStatus | undefined> {
    return askStatus(socketPath(join(this.dir, 'agent')));
  }

  /** Until everything the agent counted is committed in the cloud. */
  async settled(withinMs = 60_000): Promise<AgentStatus> {
    const endMs = Date.now() + withinMs;
    for (;;) {
      const status = await this.status();
      if (status !== undefined && status.backlog.windows === 0 && status.openWindows === 0) return status;
      if (Date.now() > endMs) {
        throw new Error(`not settled: ${JSON.stringify(status)}\n${this.agent.output.slice(-5).join('\n')}`);
      }
      await sleep(200);
    }
  }

  report(...args: string[]): Promise<string> {
    return this.ask('report', ...args);
  }

  /** What a command of the cloud prints. */
  async ask(command: string, ...args: string[]): Promise<string> {
    const database = ['--database', join(this.dir, 'cloud.db')];
    const { stdout } = await run(process.execPath, [CLOUD, command, ...database, ...args], { maxBuffer: 1e9 });
    return stdout;
  }
}
