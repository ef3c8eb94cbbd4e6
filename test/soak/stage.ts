/**
 * The processes of a soak, in a directory of their own: a broker that stands in for IoT Core, the meddler before it, links
 * that can be cut, the cloud, the gateways (one of them behind a Mosquitto, where there is one). The databases lie on
 * disks that can be filled up, where root allows it.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { type AgentStatus, askStatus, socketPath } from '../../agent/status.js';
import { type MadeCertificates, makeCertificates } from '../../certs.example/make-certs.js';
import { type Link, startLink } from '../../demo/link.js';
import { Dice } from '../dice.js';
import { Mosquitto } from '../mosquitto.js';
import { AGENT, BROKER, CLOUD, freePort } from '../rig.js';
import { type Meddler, startMeddler } from './meddler.js';
import { FUTURE_MS, type GatewayPlan, type SoakPlan, windowsOf } from './plan.js';
import { Supervised } from './supervised.js';

export interface Gateway {
  readonly plan: GatewayPlan;
  readonly agent: Supervised;
  readonly data: string;
  readonly link: Link;
  /** Where its sensors publish to. */
  readonly sensorPort: number;
  readonly mosquitto: Mosquitto | undefined;
  /** Length of the windows, from its next start on. */
  window: string;
  /** Sets its clock, by so many seconds from the true time. */
  setClock(seconds: number): void;
}

export const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
const DISK_BYTES = 256 * 2 ** 20;

export class Stage {
  readonly dir: string;
  readonly plan: SoakPlan;
  readonly broker: Supervised;
  readonly cloud: Supervised;
  readonly cloudLink: Link;
  readonly meddler: Meddler;
  readonly gateways: readonly Gateway[];
  /** Directories on disks of their own. */
  readonly disks: readonly string[];

  static async make(plan: SoakPlan): Promise<Stage> {
    const dir = mkdtempSync(join(tmpdir(), 'edgetally-soak-'));
    const names = plan.gateways.map(({ name }) => name);
    const made = await makeCertificates(join(dir, 'certs'), { gateways: [...names, 'cloud'] });
    const brokerPort = await freePort();
    const meddler = await startMeddler(made, brokerPort, new Dice(plan.seed, 1));
    const cloudLink = await startLink({ port: meddler.port });
    const disks: string[] = [];
    const gateways: Gateway[] = [];
    for (const gateway of plan.gateways) gateways.push(await makeGateway(dir, gateway, plan, made, meddler, disks));
    return new Stage(dir, plan, made, brokerPort, meddler, cloudLink, gateways, disks);
  }

  private constructor(
    dir: string,
    plan: SoakPlan,
    made: MadeCertificates,
    brokerPort: number,
    meddler: Meddler,
    cloudLink: Link,
    gateways: readonly Gateway[],
    disks: string[],
  ) {
    this.dir = dir;
    this.plan = plan;
    this.meddler = meddler;
    this.cloudLink = cloudLink;
    this.gateways = gateways;
    disks.push(...disk(join(dir, 'cloud')));
    this.disks = disks;
    const config = join(dir, 'cloud.yaml');
    const mqtt = { ...uplink('cloud', made, cloudLink), clientId: 'cloud', minBackoff: '500ms', maxBackoff: '2s' };
    writeFileSync(config, stringify({ database: this.database, mqtt }));
    const brokerArgs = [BROKER, '--dir', join(dir, 'certs'), '--port', String(brokerPort)];
    this.broker = new Supervised('broker', join(dir, 'broker.vitals'), () => ({ args: brokerArgs }));
    this.cloud = new Supervised('cloud', join(dir, 'cloud.vitals'), () => ({
      args: [CLOUD, 'run', '--config', config],
    }));
  }

  get database(): string {
    return join(this.dir, 'cloud', 'cloud.db');
  }

  get processes(): readonly Supervised[] {
    return [this.broker, this.cloud, ...this.gateways.map(({ agent }) => agent)];
  }

  start(): void {
    for (const process of this.processes) process.start();
  }

  /** Ends everything; `keep`: and leaves the files. */
  async stop(keep = false): Promise<void> {
    await Promise.all(this.processes.map((process) => process.down('SIGTERM')));
    for (const { link, mosquitto } of this.gateways) {
      await link.stop();
      await mosquitto?.stop('SIGKILL');
    }
    await this.cloudLink.stop();
    await this.meddler.stop();
    if (keep) return console.log(`kept: ${this.dir}`);
    for (const path of this.disks) execFileSync('umount', ['-l', path]);
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** What an agent says of itself; undefined while it does not answer. */
  status({ data }: Gateway): Promise<AgentStatus | undefined> {
    return askStatus(socketPath(data)).catch(() => undefined);
  }

  /** What the command line of the cloud prints, and how it ends. */
  async ask(...args: readonly string[]): Promise<{ stdout: string; stderr: string; code: number }> {
    const [command, ...options] = args;
    const all = [CLOUD, command!, '--database', this.database, ...options];
    return promisify(execFile)(process.execPath, all, { maxBuffer: 2 ** 30 }).then(
      ({ stdout, stderr }) => ({ stdout, stderr, code: 0 }),
      (error: { stdout: string; stderr: string; code: number }) => error,
    );
  }
}

async function makeGateway(
  dir: string,
  gatewayPlan: GatewayPlan,
  plan: SoakPlan,
  made: MadeCertificates,
  meddler: Meddler,
  disks: string[],
): Promise<Gateway> {
  const { name, source } = gatewayPlan;
  const data = join(dir, name);
  disks.push(...disk(data));
  const link = await startLink({ port: meddler.port });
  const persistence = join(dir, `${name}-mosquitto`);
  const mosquitto =
    source === 'mqtt'
      ? await Mosquitto.start(persistence, [
          'allow_anonymous true',
          // what Mosquitto has acknowledged is its own to keep
          'persistence true',
          `persistence_location ${persistence}/`,
          'max_queued_messages 0',
          'max_inflight_messages 0',
        ])
      : undefined;
  const sensorPort = mosquitto?.port ?? (await freePort());
  const config = join(dir, `${name}.yaml`);
  const clock = join(dir, `${name}.clock`);
  const gateway: Gateway = {
    plan: gatewayPlan,
    data,
    link,
    sensorPort,
    mosquitto,
    window: windowsOf(plan.minutes)[0],
    setClock: (seconds) => writeFileSync(clock, `${seconds >= 0 ? '+' : ''}${seconds}\n`),
    agent: new Supervised(name, join(dir, `${name}.vitals`), () => {
      writeFileSync(config, agentConfig(gateway, made));
      return { args: [AGENT, 'run', '--config', config], ...(plan.clock && { env: faked(clock) }) };
    }),
  };
  gateway.setClock(0);
  return gateway;
}

function agentConfig({ plan, data, link, sensorPort, mosquitto, window }: Gateway, made: MadeCertificates): string {
  const source =
    mosquitto === undefined
      ? { type: 'broker', listeners: [{ listen: `127.0.0.1:${sensorPort}` }] }
      : { type: 'mqtt', url: `mqtt://127.0.0.1:${sensorPort}`, subscribe: ['#'] };
  const route = { time: 't', metrics: ['level', 'energy'], window, lateness: '2s' };
  return stringify({
    gateway: plan.name,
    data,
    accept: {
      sources: [source],
      routes: [
        { topic: 'plain/{group}/{device}', ...route },
        { topic: 'numbered/{group}/{device}', id: 'n', ...route },
      ],
    },
    buffer: { future: `${FUTURE_MS}ms`, retention: '10m', maxBytes: DISK_BYTES },
    push: {
      ...uplink(plan.name, made, link),
      receiptTimeout: '5s',
      minBackoff: '500ms',
      maxBackoff: '2s',
      statusInterval: '2s',
    },
  });
}

/** The wall clock that the file says; the monotonic one is left alone, as where somebody sets the clock. */
function faked(clock: string): NodeJS.ProcessEnv {
  return {
    LD_PRELOAD: FAKETIME,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
}

function uplink(name: string, made: MadeCertificates, link: Link): object {
  return { url: `mqtts://localhost:${link.port}`, ca: made.ca, ...made.gateways.get(name) };
}

/** A disk of its own for the directory, if that is possible. */
function disk(dir: string): string[] {
  mkdirSync(dir);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', dir], { stdio: 'ignore' });
    return [dir];
  } catch {
    return [];
  }
}
