/**
 * The uplink: one MQTT connection after the other, for ever. A new socket and a new client each time, so that nothing of
 * a failed connection lives on; mqtt.js never queues and never resends, because the buffer is what remembers.
 *
 * Promises: run() ends only when its signal does; a refusal is said plainly, with what to do; waits grow with full
 * jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), never under a second after the first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import pRetry from 'p-retry';
import type { Logger } from 'pino';
import { backoffMs } from '../../shared/backoff.js';
import { EdgetallyError } from '../../shared/errors.js';
import { isAboutVersion, type MqttEnd, reasonCodeOf, TAKEN_OVER } from '../../shared/mqtt-reasons.js';
import type { PushOptions } from './options.js';

export interface LinkHandlers {
  /** What to connect with, read and checked anew for each attempt: certificates may have been replaced. */
  credentials(): Promise<IClientOptions>;
  /** Says in our words why a connection failed. */
  explain(end: MqttEnd): EdgetallyError;
  up(): void;
  down(): void;
  message(topic: string, payload: Uint8Array): void;
}

export interface LinkState {
  readonly state: 'up' | 'connecting' | 'down';
  /** Why it is not up. */
  readonly problem: string | undefined;
  readonly connects: number;
  readonly failures: number;
}

const TAKEOVER_WAIT_MS = 60_000;

export class Link {
  readonly #options: PushOptions;
  readonly #handlers: LinkHandlers;
  readonly #log: Logger;
  #client: MqttClient | undefined;
  #protocol: 5 | 4 = 5;
  #state: LinkState = { state: 'down', problem: undefined, connects: 0, failures: 0 };

  constructor(options: PushOptions, handlers: LinkHandlers, log: Logger) {
    this.#options = options;
    this.#handlers = handlers;
    this.#log = log;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Connects, and connects again whenever the link is lost, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const client = await this.#connect(signal);
        await this.#stay(client, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  /** Hands a message to the socket. What becomes of it, only a receipt tells. */
  publish(topic: string, payload: Uint8Array | string, options: { qos: 0 | 1; retain?: boolean }): void {
    const client = this.#client;
    if (client === undefined) return;
    const content = typeof payload === 'string' ? payload : Buffer.from(payload);
    client.publish(topic, content, { qos: options.qos, retain: options.retain ?? false }, (error) => {
      if (error) this.#log.debug({ topic, error: error.message }, 'publish not acknowledged');
    });
  }

  async subscribe(topic: string): Promise<void> {
    const client = this.#client;
    if (client === undefined) return;
    const granted = await client.subscribeAsync(topic, { qos: 0 });
    if (granted.some((grant) => grant.qos === 128)) {
      throw new EdgetallyError('link-unauthorized', `the broker refused the subscription to ${topic}`);
    }
  }

  /** Ends the connection once what was published is on its way. */
  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.endAsync(false).catch(() => undefined);
  }

  async #connect(signal: AbortSignal): Promise<MqttClient> {
    return pRetry(() => this.#attempt(signal), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      maxTimeout: 0,
      signal,
      onFailedAttempt: async ({ error, attemptNumber }) => {
        this.#failed(error);
        await sleep(backoffMs(attemptNumber, this.#options, Math.random()), undefined, { signal });
      },
    });
  }

  async #attempt(signal: AbortSignal): Promise<MqttClient> {
    this.#state = { ...this.#state, state: 'connecting' };
    const credentials = await this.#handlers.credentials();
    signal.throwIfAborted(); // a listener that is added now would never be called
    const client = mqtt.connect(this.#options.url, {
      ...credentials,
      protocolVersion: this.#protocol,
      clean: true,
      reconnectPeriod: 0,
      connectTimeout: this.#options.connectTimeout,
      keepalive: 30,
      queueQoSZero: false,
      resubscribe: false,
    });
    const abort = () => client.end(true);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        client.once('connect', () => resolve());
        client.once('error', reject);
        client.once('close', () => reject(undefined)); // an error comes before it
      });
      return client;
    } catch (error) {
      client.on('error', () => undefined);
      client.end(true);
      if (this.#protocol === 5 && isAboutVersion(reasonCodeOf(error))) {
        this.#protocol = 4;
        this.#log.info('the broker does not speak MQTT 5, going on with 3.1.1');
        return this.#attempt(signal);
      }
      throw this.#handlers.explain({ error, reasonCode: reasonCodeOf(error), wasUp: false });
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #failed(error: Error): void {
    const hint = error instanceof EdgetallyError ? error.hint : undefined;
    const problem = hint === undefined ? error.message : `${error.message}. ${hint}`;
    // the same complaint again and again helps nobody
    if (problem !== this.#state.problem) this.#log.warn({ problem }, 'no link');
    this.#state = { ...this.#state, state: 'down', problem, failures: this.#state.failures + 1 };
  }

  /** Until the connection is over. */
  async #stay(client: MqttClient, signal: AbortSignal): Promise<void> {
    this.#client = client;
    this.#state = { ...this.#state, state: 'up', problem: undefined, connects: this.#state.connects + 1 };
    this.#log.info({ url: this.#options.url, protocol: this.#protocol }, 'link up');
    let takenOver = false;
    client.on('message', (topic, payload) => this.#handlers.message(topic, payload));
    client.on('error', (error) => this.#log.warn({ error: error.message }, 'link error'));
    client.on('disconnect', (packet) => {
      takenOver = packet.reasonCode === TAKEN_OVER;
    });
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    this.#handlers.up();
    await closed;
    this.#client = undefined;
    client.end(true);
    this.#handlers.down();
    const problem = takenOver
      ? 'another client connected with the same client id: two gateways must not share a name'
      : 'the link was lost';
    this.#state = { ...this.#state, state: 'down', problem };
    if (signal.aborted) return;
    this.#log.warn({ problem }, 'link down');
    const wait = takenOver ? TAKEOVER_WAIT_MS : this.#options.minBackoff;
    await sleep(wait * (0.5 + Math.random()), undefined, { signal });
  }
}
