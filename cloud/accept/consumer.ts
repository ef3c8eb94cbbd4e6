/**
 * The long-running consumer: one connection after the other, until it is stopped. It never gives up for a fault that may
 * pass; the wait between attempts is random and grows (full jitter).
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MqttClient } from 'mqtt';
import { backoffMs } from '../../shared/backoff.js';
import { credentialsOf, type Diagnosis, pemOf } from '../../shared/certificates.js';
import { EdgetallyError } from '../../shared/errors.js';
import { explainEnd, isAboutVersion, type MqttEnd, TAKEN_OVER } from '../../shared/mqtt-reasons.js';
import type { Log } from '../log.js';
import { type IncomingMessage, runConnection } from './connection.js';
import type { MqttOptions } from './options.js';

export interface ConsumerOptions {
  readonly mqtt: MqttOptions;
  /** Resolves once the message is durable; only then is it acknowledged. */
  readonly accept: (message: IncomingMessage) => Promise<unknown>;
  readonly log: Log;
  readonly now: () => number;
  readonly random?: () => number;
}

export interface ConsumerState {
  readonly state: 'up' | 'down';
  /** Why it is down. */
  readonly problem: string | undefined;
  readonly protocol: '5' | '3.1.1';
  readonly connects: number;
}

interface End extends MqttEnd {
  readonly own: Diagnosis | undefined;
}

/** A connection that held this long was a good one. */
const STEADY_MS = 30_000;
/** Connections cut short in a row that are no chance any more. */
const SUSPICIOUS = 3;
const GENTLE_END_MS = 1000;
/** Attempts before the other MQTT version is tried, where the broker just hangs up. */
const SILENT_ATTEMPTS = 2;

export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #stopping = new AbortController();
  readonly #aborted: Promise<void>;
  #client: MqttClient | undefined;
  #running: Promise<void> | undefined;
  /** Until nothing waits for its commit. */
  #accepting: Promise<unknown> = Promise.resolve();
  #firstUp: (() => void) | undefined;
  #protocol: 4 | 5;
  #problem: string | undefined;
  #connects = 0;
  #failures = 0;
  /** Connections in a row that the broker took, and that ended soon and without a reason. */
  #cutShort = 0;
  #versionRefused = false;
  #up = false;
  #ending = false;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#protocol = options.mqtt.protocol === '3.1.1' ? 4 : 5;
    this.#aborted = new Promise((resolve) => {
      this.#stopping.signal.addEventListener('abort', () => resolve());
    });
  }

  get state(): ConsumerState {
    return {
      state: this.#up ? 'up' : 'down',
      problem: this.#problem,
      protocol: this.#protocol === 5 ? '5' : '3.1.1',
      connects: this.#connects,
    };
  }

  /** Certificate files that cannot be used are worth an error at once; everything later is waited for. */
  async start(): Promise<void> {
    await credentialsOf(this.#options.mqtt, this.#options.now(), readFile);
    if (this.#stopping.signal.aborted) return;
    this.#running ??= this.#run();
  }

  /** Resolves when the first subscription stands, or the consumer stops. */
  async untilUp(): Promise<void> {
    if (this.#up || this.#stopping.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#firstUp = resolve;
    });
  }

  /** QoS 0; does nothing while the link is down. */
  send(topic: string, payload: Uint8Array): void {
    if (!this.#client?.connected) return;
    this.#client.publish(topic, Buffer.from(payload), { qos: 0 }, (error) => {
      if (error) this.#options.log.debug({ topic, err: error }, 'not sent');
    });
  }

  /** Lets what was sent go out, then ends the connection. Idempotent. */
  async stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#ending = true;
    const gentle = client?.endAsync(false).catch(() => undefined);
    await Promise.race([gentle, sleep(GENTLE_END_MS, undefined, { ref: false })]);
    this.#stopping.abort();
    this.#firstUp?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedMs = performance.now();
      const end = await this.#connectOnce();
      const steady = performance.now() - startedMs > STEADY_MS;
      const refused = end.error instanceof EdgetallyError;
      this.#cutShort = this.#client !== undefined && !steady && !refused ? this.#cutShort + 1 : 0;
      if (steady) this.#failures = 0;
      this.#client = undefined;
      this.#up = false;
      if (signal.aborted || this.#ending) return;
      const wait = this.#afterEnd(end);
      // What still waits for its commit would come again on each new connection, and be held each time.
      await Promise.race([this.#accepting, this.#aborted]);
      await sleep(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  async #connectOnce(): Promise<End> {
    const { mqtt, accept, log, now } = this.#options;
    let own: Diagnosis | undefined;
    const connected = (client: MqttClient) => {
      this.#client = client;
    };
    const up = () => {
      if (this.#client?.connected !== true) return;
      this.#up = true;
      this.#connects++;
      this.#problem = undefined;
      log.info({ url: mqtt.url, protocol: this.state.protocol }, 'link up');
      this.#firstUp?.();
    };
    try {
      own = await credentialsOf(mqtt, now(), readFile);
      const handlers = {
        accept: (message: IncomingMessage) => {
          const accepted = accept(message);
          // The results must not be kept: they would hang on each other for ever.
          this.#accepting = Promise.allSettled([this.#accepting, accepted]).then(() => undefined);
          return accepted;
        },
        connected,
        up,
      };
      const end = await runConnection(mqtt, this.#protocol, pemOf(own), handlers, log, this.#stopping.signal);
      return { ...end, own };
    } catch (error) {
      return { error, reasonCode: undefined, wasUp: false, own };
    }
  }

  /** True where there is nothing to wait for. */
  #changeProtocol(end: MqttEnd): boolean {
    if (isAboutVersion(end.reasonCode)) {
      this.#protocol = this.#protocol === 5 ? 4 : 5;
      const first = !this.#versionRefused;
      this.#versionRefused = true;
      if (first) this.#options.log.info({ protocol: this.state.protocol }, 'the broker asks for this MQTT version');
      return first;
    }
    // Some brokers just hang up. A version that once worked is the right one, whatever their silence may mean now.
    if (end.error === undefined && this.#connects === 0 && !this.#versionRefused) {
      if (this.#failures % SILENT_ATTEMPTS === 0) this.#protocol = this.#protocol === 5 ? 4 : 5;
    }
    return false;
  }

  /** Says what happened, and how long to wait. */
  #afterEnd(end: End): number {
    const { mqtt, log, random = Math.random } = this.#options;
    this.#failures++;
    if (mqtt.protocol === 'auto' && this.#changeProtocol(end)) return 0;
    const error = this.#explain(end);
    const problem = `${error.message}. ${error.hint}`;
    // The same complaint again and again helps nobody.
    if (problem !== this.#problem) log[error.code === 'link-lost' ? 'warn' : 'error']({ code: error.code }, problem);
    this.#problem = problem;
    const long = error.code === 'session-taken-over';
    return backoffMs(long ? Number.POSITIVE_INFINITY : this.#failures, mqtt, random());
  }

  #explain(end: End): EdgetallyError {
    const { url, ca, clientId } = this.#options.mqtt;
    // Brokers before MQTT 5 (and some with it) do not say that somebody else took the session over.
    const takenOver = end.reasonCode === TAKEN_OVER;
    const suspected = !takenOver && this.#cutShort >= SUSPICIOUS;
    if (!takenOver && !suspected) {
      return explainEnd(end, { address: new URL(url).host, ca, clientId, ...(end.own && { own: end.own }) });
    }
    const who = `another client ${suspected ? 'seems to connect' : 'connected'} as ${JSON.stringify(clientId)}`;
    return new EdgetallyError('session-taken-over', who, {
      hint: 'Give each process a client id of its own (mqtt.clientId).',
    });
  }
}
