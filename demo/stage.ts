/**
 * Everything the demo runs: certificates, a broker that stands in for IoT Core, a link to it that can be cut, the cloud
 * side and the gateway's agent, as real processes in a directory of their own.
 *
 * Promises: `close` ends all of it and removes the directory; `destroy` does the same at once and synchronously.
 */

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type AgentStatus, askStatus, socketPath } from '../agent/status.js';
import { makeCertificates } from '../certs.example/make-certs.js';
import { type GatewayState, listGateways } from '../cloud/report/gateways.js';
import { openSqliteReader } from '../cloud/store/sqlite/store.js';
import { Children } from './children.js';
import { agentConfig, CLOUD, cloudConfig, type DemoCertificate, GATEWAY } from './config-files.js';
import { type Link, startLink } from './link.js';

export interface StageOptions {
  /** Port for the sensors; 0 for any free one. */
  readonly sensorPort: number;
  readonly windowSeconds: number;
}

const POLL_MS = 100;
const START_PATIENCE_MS = 20_000;

export class Stage {
  readonly dir = mkdtempSync(join(tmpdir(), 'edgetally-demo-'));
  readonly #children = new Children();
  #link: Link | undefined;
  #reader: ReturnType<typeof openSqliteReader> | undefined;
  /** Where the sensors publish to. */
  sensorUrl = '';

  readonly agentConfigPath = join(this.dir, 'edgetally.yaml');
  readonly database = join(this.dir, 'cloud.db');
  readonly recordPath = join(this.dir, 'raw-messages.ndjson');

  /** Never resolves; rejects when one of the processes ends by itself. */
  get failure(): Promise<never> {
    return this.#children.failure;
  }

  get hasLink(): boolean {
    return this.#link !== undefined;
  }

  get link(): Link {
    if (this.#link === undefined) throw new Error('the stage is not open');
    return this.#link;
  }

  /** Resolves when the gateway takes readings. */
  async open(options: StageOptions, signal: AbortSignal): Promise<void> {
    const certsDir = join(this.dir, 'certs');
    const made = await makeCertificates(certsDir, { gateways: [GATEWAY, CLOUD] });
    signal.throwIfAborted();
    const broker = this.#children.start('broker', 'demo/iot-core.js', ['--dir', certsDir, '--port', '0']);
    const firstLine = await unless(signal, Promise.race([broker.firstLine, this.failure]));
    const { port: brokerPort } = JSON.parse(firstLine) as { port: number };
    this.#link = await startLink({ port: brokerPort });
    const addresses = { sensorPort: options.sensorPort, linkPort: this.#link.port, brokerPort };

    const certificateOf = (name: string): DemoCertificate => {
      const files = made.gateways.get(name);
      if (files === undefined) throw new Error(`no certificate of ${name}`);
      return { ca: made.ca, cert: files.cert, key: files.key };
    };
    const cloudConfigPath = join(this.dir, 'edgetally-cloud.yaml');
    const dataDir = join(this.dir, 'gateway');
    writeFileSync(cloudConfigPath, cloudConfig(this.database, certificateOf(CLOUD), addresses));
    writeFileSync(this.agentConfigPath, agentConfig(dataDir, certificateOf(GATEWAY), addresses, options.windowSeconds));
    signal.throwIfAborted();
    this.#children.start('cloud', 'cloud/main.js', ['run', '--config', cloudConfigPath]);
    this.#children.start('agent', 'agent/main.js', ['run', '--config', this.agentConfigPath]);
    this.sensorUrl = `mqtt://127.0.0.1:${await unless(signal, Promise.race([this.#sensorPort(signal), this.failure]))}`;
  }

  /** What the agent says of itself; undefined while it does not answer. */
  async askAgent(): Promise<AgentStatus | undefined> {
    return askStatus(socketPath(join(this.dir, 'gateway'))).catch(() => undefined);
  }

  /** What the cloud's database says of the gateway; undefined before there is anything. */
  async askCloud(): Promise<GatewayState | undefined> {
    if (!existsSync(this.database)) return undefined;
    try {
      this.#reader ??= openSqliteReader(this.database);
      return (await listGateways(this.#reader, Date.now())).find(({ gateway }) => gateway === GATEWAY);
    } catch {
      return undefined; // it is being made
    }
  }

  /** What `edgetally-cloud report` prints. */
  async report(keys: readonly string[], signal: AbortSignal): Promise<string> {
    const script = join(import.meta.dirname, '../cloud/main.js');
    const groupBy = keys.length === 0 ? 'all' : keys.join(',');
    const args = [script, 'report', '--database', this.database, '--group-by', groupBy, '--format', 'json'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { signal, maxBuffer: 2 ** 30 });
    return stdout;
  }

  async close(): Promise<void> {
    await this.#children.stop();
    await this.#link?.stop();
    await this.#reader?.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  destroy(): void {
    this.#children.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async #sensorPort(signal: AbortSignal): Promise<number> {
    const deadlineMs = performance.now() + START_PATIENCE_MS;
    while (performance.now() < deadlineMs) {
      const status = await this.askAgent();
      const port = /listens on [^ ]*:(\d+)/.exec(status?.sources[0]?.detail ?? '')?.[1];
      if (port !== undefined) return Number(port);
      await sleep(POLL_MS, undefined, { signal });
    }
    throw new Error(`the agent takes no readings after ${START_PATIENCE_MS / 1000} s`);
  }
}

/** The promise, or a rejection as soon as the signal is aborted. */
export async function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
