/** What the tests of the cloud side share: brokers over TLS, the cloud as a process of its own, batches to send. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Aedes } from 'aedes';
import mqtt, { type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { type MadeCertificates, makeCertificates } from '../certs.example/make-certs.js';
import { encodeBatch } from '../shared/batch.js';
import { decodeReceipt, type Receipt } from '../shared/receipt.js';
import { downTopic } from '../shared/topics.js';
import type { WindowSummary } from '../shared/window.js';

export const BIN = fileURLToPath(new URL('../../cloud/bin.js', import.meta.url));
const run = promisify(execFile);

export interface Place {
  readonly dir: string;
  readonly certs: MadeCertificates;
}

export async function place(t: Test): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-cloud-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  return { dir, certs: await makeCertificates(join(dir, 'certs'), { gateways: ['cloud', 'gw'] }) };
}

export interface TlsBroker {
  readonly aedes: Aedes;
  readonly port: number;
  /** Ends the connections and frees the port; sessions stay. */
  drop(): Promise<void>;
  listen(): Promise<void>;
}

/** aedes over mutual TLS. */
export async function tlsBroker(t: Test, { certs }: Place): Promise<TlsBroker> {
  const aedes = await Aedes.createBroker();
  const files = { ca: certs.ca, cert: certs.server.cert, key: certs.server.key };
  const tls = Object.fromEntries(Object.entries(files).map(([name, path]) => [name, readFileSync(path)]));
  const sockets = new Set<TLSSocket>();
  let server: Server | undefined;
  let port = 0;
  const drop = async () => {
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    server = undefined;
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const listen = async () => {
    server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      aedes.handle(socket, undefined as never);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as { port: number }).port;
  };
  await listen();
  t.teardown(async () => {
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    await drop();
  });
  return { aedes, drop, listen, port };
}

export function tlsOptions({ certs }: Place, port: number, name: string) {
  const own = certs.gateways.get(name)!;
  return { url: `mqtts://localhost:${port}`, ca: certs.ca, cert: own.cert, key: own.key };
}

/** A gateway's connection: sends batches and gathers receipts. */
export class TestGateway {
  readonly name: string;
  readonly client: MqttClient;
  readonly receipts: Receipt[] = [];

  private constructor(name: string, client: MqttClient) {
    this.name = name;
    this.client = client;
  }

  static async connect(
    t: Test,
    at: Place,
    port: number,
    name = 'gw',
    protocolVersion: 4 | 5 = 4,
  ): Promise<TestGateway> {
    const { url, ca, cert, key } = tlsOptions(at, port, 'gw');
    const tls = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
    const client = await mqtt.connectAsync(url, {
      ...tls,
      clientId: `gw-${name}`,
      protocolVersion,
      reconnectPeriod: 50,
    });
    t.teardown(() => client.endAsync(true));
    const gateway = new TestGateway(name, client);
    client.on('message', (_topic, payload) => {
      const receipt = decodeReceipt(payload);
      if (!receipt.ok) throw new Error(receipt.detail);
      gateway.receipts.push(receipt.value);
    });
    await client.subscribeAsync(downTopic(name, 'receipt'));
    return gateway;
  }

  /** The sequences that have a receipt. */
  get committed(): Set<number> {
    return new Set(this.receipts.flatMap(({ committed }) => committed.flatMap(({ sequences }) => sequences)));
  }

  async send(batch: Uint8Array): Promise<void> {
    await this.client.publishAsync(`edgetally/v1/${this.name}/up/batch`, Buffer.from(batch), { qos: 1 });
  }
}

export function batchBytes(sequence: number, epoch: string, windows: readonly WindowSummary[]): Uint8Array {
  return encodeBatch({ epoch, session: 1, sequence, sentMs: 1, windows, ledger: [], losses: [] });
}

/** edgetally-cloud as a process. */
export class CloudProcess {
  readonly lines: string[] = [];
  readonly config: string;
  readonly database: string;
  #child: ChildProcess | undefined;

  constructor(t: Test, dir: string, mqttOptions: object, name = 'cloud', database = join(dir, `${name}.db`)) {
    this.config = join(dir, `${name}.yaml`);
    this.database = database;
    const backoff = { minBackoff: '20ms', maxBackoff: '100ms' };
    const mqtt = { clientId: name, ...backoff, ...mqttOptions };
    writeFileSync(this.config, stringify({ database: this.database, rollUpDelay: '10ms', mqtt }));
    t.teardown(() => this.end('SIGKILL'));
  }

  /** Resolves when a line matches. */
  async start(ready = /"msg":"ready"/): Promise<void> {
    const child = spawn(process.execPath, [BIN, 'run', '--config', this.config], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => this.lines.push(line));
    }
    await until(
      () => this.lines.some((line) => ready.test(line)) || child.exitCode !== null,
      () => this.lines.join('\n'),
    );
    if (child.exitCode !== null) throw new Error(`ended early:\n${this.lines.join('\n')}`);
  }

  /** The exit code; null after a kill. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    return child.exitCode;
  }

  async command(name: 'report' | 'gateways' | 'losses' | 'reconcile', ...options: string[]): Promise<string> {
    return (await run(process.execPath, [BIN, name, '--config', this.config, ...options])).stdout;
  }
}

export async function until(done: () => boolean | Promise<boolean>, about: () => string = () => ''): Promise<void> {
  const endMs = Date.now() + 60_000;
  while (!(await done())) {
    if (Date.now() > endMs) throw new Error(`waited in vain\n${about()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
