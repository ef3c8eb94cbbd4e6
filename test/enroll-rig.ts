/** What the tests of enrollment share: a cloud that provisions, a gateway's configuration, its commands as processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { pino } from 'pino';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { loadAgentConfig } from '../agent/config.js';
import { enroll } from '../agent/enroll/command.js';
import { Slots } from '../agent/enroll/slots.js';
import { type AgentStatus, askStatus, socketPath } from '../agent/status.js';
import { type MadeCertificates, makeCertificates } from '../certs.example/make-certs.js';
import { type IssuedCertificate, Provisioning, type ProvisioningRules } from '../demo/provisioning.js';
import type { EdgetallyError } from '../shared/errors.js';
import { downTopic } from '../shared/topics.js';
import { until } from './cloud-rig.js';
import { type ReceiptingCloud, receiptingCloud } from './receipting-cloud.js';
import { AGENT, freePort, Program } from './rig.js';

export interface Said {
  /** null where it was killed. */
  readonly code: number | null;
  readonly out: string;
}

export class EnrollRig {
  readonly dir = mkdtempSync(join(tmpdir(), 'edgetally-enroll-'));
  readonly rules: ProvisioningRules = {};
  provisioning!: Provisioning;
  cloud!: ReceiptingCloud;
  certs!: MadeCertificates;
  readonly connectIntervalMs: number;
  #gateways = 0;

  private constructor(connectIntervalMs: number) {
    this.connectIntervalMs = connectIntervalMs;
  }

  /** `connectIntervalMs`: between two connections of one client id. Gateways then wait as long as they do in the field. */
  static async start(t: Test, connectIntervalMs = 0): Promise<EnrollRig> {
    const rig = new EnrollRig(connectIntervalMs);
    t.teardown(() => rmSync(rig.dir, { recursive: true, force: true, maxRetries: 3 }));
    rig.certs = await makeCertificates(join(rig.dir, 'certs'), { gateways: ['cloud', 'claim'] });
    const key = readFileSync(join(rig.dir, 'certs', 'ca-key.pem'));
    rig.provisioning = new Provisioning({
      authority: { cert: readFileSync(rig.certs.ca), key },
      claims: ['claim'],
      templates: { fleet: ({ parameters }) => String(parameters.GatewayName) },
      rules: rig.rules,
    });
    rig.cloud = await receiptingCloud(t, rig.certs, rig.provisioning, connectIntervalMs);
    return rig;
  }

  /** A new gateway, with its own directory and name. */
  async gateway(t: Test, enroll: Record<string, unknown> = {}, port = this.cloud.core.port): Promise<EnrollGateway> {
    const name = `gw-${++this.#gateways}`;
    const gateway = new EnrollGateway(this, name, { sensor: await freePort(), broker: port }, enroll);
    t.teardown(() => gateway.agent.end('SIGKILL'));
    return gateway;
  }

  /** Those of a gateway that are good. */
  active(name: string): IssuedCertificate[] {
    return [...this.provisioning.issued.values()].filter(({ thing, status }) => thing === name && status === 'active');
  }
}

export class EnrollGateway {
  readonly name: string;
  readonly config: string;
  readonly data: string;
  readonly slots: Slots;
  readonly agent: Program;
  readonly #rig: EnrollRig;
  readonly #sensorPort: number;

  constructor(
    rig: EnrollRig,
    name: string,
    ports: { readonly sensor: number; readonly broker: number },
    enroll: Record<string, unknown>,
  ) {
    this.#rig = rig;
    this.name = name;
    this.#sensorPort = ports.sensor;
    const dir = join(rig.dir, name);
    mkdirSync(dir);
    this.config = join(dir, 'agent.yaml');
    this.data = join(dir, 'data');
    this.slots = new Slots(this.data);
    const claim = rig.certs.gateways.get('claim')!;
    writeFileSync(
      this.config,
      stringify({
        gateway: name,
        data: this.data,
        accept: {
          sources: [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${ports.sensor}` }] }],
          routes: [{ topic: 's/{device}', window: '1s', lateness: '0s', metrics: ['x'] }],
        },
        buffer: { commitInterval: '2ms' },
        push: {
          url: `mqtts://localhost:${ports.broker}`,
          ca: rig.certs.ca,
          minBackoff: rig.connectIntervalMs === 0 ? '20ms' : '1s',
          maxBackoff: rig.connectIntervalMs === 0 ? '100ms' : '2s',
          drainJitter: 0,
          receiptTimeout: '1s',
        },
        enroll: {
          template: 'fleet',
          serial: `serial-of-${name}`,
          claimCert: claim.cert,
          claimKey: claim.key,
          answerTimeout: '5s',
          retry: '200ms',
          ...enroll,
        },
      }),
    );
    this.agent = new Program([AGENT, 'run', '--config', this.config], /"ready"/);
  }

  /** A command of the agent, to its end. `wrap`: what it is run under. */
  async command(name: 'enroll' | 'rotate', args: readonly string[] = [], wrap: readonly string[] = []): Promise<Said> {
    return this.over(this.begin(name, args, wrap));
  }

  begin(name: 'enroll' | 'rotate', args: readonly string[] = [], wrap: readonly string[] = []): ChildProcess {
    const [program, ...rest] = [...wrap, process.execPath, AGENT, name, '--config', this.config, ...args];
    return spawn(program!, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async over(child: ChildProcess): Promise<Said> {
    let out = '';
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (out += String(chunk)));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, out };
  }

  /** As by the command, in this process: the exit code and words that it would have. */
  async enroll(): Promise<Said> {
    const { gateway, data, push, enroll: options } = await loadAgentConfig(this.config, {});
    const log = pino({ level: 'silent' });
    const context = {
      gateway,
      data,
      push: push!,
      enroll: options!,
      nowMs: Date.now,
      running: async () => undefined,
      log,
    };
    return enroll(context, false).then(
      (out) => ({ code: 0, out }),
      (error: EdgetallyError) => ({ code: 1, out: `${error.message}\n${error.hint}` }),
    );
  }

  /** Files below `identity`. */
  files(): string[] {
    const { directory } = this.slots;
    return existsSync(directory) ? readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort() : [];
  }

  status(): Promise<AgentStatus | undefined> {
    return askStatus(socketPath(this.data));
  }

  /** A reading, acknowledged. */
  async publish(x: number): Promise<void> {
    const sensor = await mqtt.connectAsync(`mqtt://127.0.0.1:${this.#sensorPort}`, { protocolVersion: 4 });
    await sensor.publishAsync('s/d', JSON.stringify({ x }), { qos: 1 });
    await sensor.endAsync(true);
  }

  /** Until everything is committed in the cloud, by the certificate that is trusted then. */
  async settled(): Promise<AgentStatus> {
    let status: AgentStatus | undefined;
    await until(
      async () => {
        status = await this.status();
        return (
          status !== undefined &&
          status.backlog.windows === 0 &&
          status.certificate?.confirmed !== 0 &&
          status.openWindows === 0 &&
          !status.certificate?.trial
        );
      },
      () => `${JSON.stringify(status)}\n${this.agent.output.slice(-10).join('\n')}`,
    );
    return status!;
  }

  /** What lies in the slots lets this gateway in: as whom it says it is. */
  async letsIn(): Promise<boolean> {
    const { current, trial } = this.slots.state;
    const pair = this.slots.pair(trial ?? current);
    if (pair === undefined) return false;
    const client = await mqtt.connectAsync(`mqtts://localhost:${this.#rig.cloud.core.port}`, {
      ca: readFileSync(this.#rig.certs.ca),
      cert: readFileSync(pair.cert),
      key: readFileSync(pair.key),
      clientId: this.name,
      protocolVersion: 4,
      reconnectPeriod: 0,
    });
    const [granted] = await client.subscribeAsync(downTopic(this.name, 'receipt'));
    await client.endAsync(true);
    return granted?.qos === 0;
  }
}
