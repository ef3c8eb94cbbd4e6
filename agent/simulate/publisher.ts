/**
 * One MQTT connection of the simulator. It owns the messages that are not acknowledged yet, sends them again on every
 * new connection, and so loses nothing when the broker restarts or the link goes silent.
 *
 * Promises: `onAcknowledged` is called once for each offered message, when its PUBACK arrives (QoS 0: when it is
 * written). It never lets the MQTT library queue or resend: a connection that fails is thrown away whole.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { EdgetallyError } from '../../shared/errors.js';

export interface PublisherOptions {
  readonly url: string;
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly qos: 0 | 1;
  readonly maxInFlight: number;
  /** After this long without the oldest PUBACK the link counts as dead, ms. */
  readonly ackTimeoutMs: number;
}

export interface PublisherCounters {
  published: number;
  acknowledged: number;
  resent: number;
  connections: number;
}

interface Item<Tag> {
  readonly topic: string;
  readonly payload: string;
  readonly tag: Tag;
  sentAtMs: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const RETRY_FLOOR_MS = 100;
const RETRY_CEILING_MS = 2000;

export class Publisher<Tag> {
  readonly counters: PublisherCounters = { published: 0, acknowledged: 0, resent: 0, connections: 0 };
  readonly #options: PublisherOptions;
  readonly #onAcknowledged: (tag: Tag) => void;
  /** In the order they were offered. */
  readonly #unacknowledged = new Set<Item<Tag>>();
  #client: MqttClient | undefined;
  #wake: (() => void)[] = [];

  constructor(options: PublisherOptions, onAcknowledged: (tag: Tag) => void) {
    this.#options = options;
    this.#onAcknowledged = onAcknowledged;
  }

  get unacknowledged(): number {
    return this.#unacknowledged.size;
  }

  get isFull(): boolean {
    return this.#unacknowledged.size >= this.#options.maxInFlight;
  }

  /** Takes a message. Ask `isFull` first, and wait for `change` while it is. */
  offer(topic: string, payload: string, tag: Tag): void {
    const item = { topic, payload, tag, sentAtMs: Date.now() };
    this.#unacknowledged.add(item);
    this.counters.published++;
    if (this.#client !== undefined) this.#send(this.#client, item);
  }

  /** Resolves when a message was acknowledged since the call, or the signal is aborted. */
  async change(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#wake.push(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  /** Holds a connection until the signal is aborted; failures are retried. */
  async run(signal: AbortSignal): Promise<void> {
    let waitMs = RETRY_FLOOR_MS;
    while (!signal.aborted) {
      const held = await this.#holdConnection(signal);
      waitMs = held ? RETRY_FLOOR_MS : Math.min(RETRY_CEILING_MS, waitMs * 2);
      await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
    }
  }

  /** One connection from its CONNECT to its end. True where the broker accepted it. */
  async #holdConnection(signal: AbortSignal): Promise<boolean> {
    const client = connect(this.#options.url, connectOptions(this.#options));
    const watchdog = setInterval(() => this.#watch(client), Math.min(1000, this.#options.ackTimeoutMs));
    let accepted = false;
    let onAbort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve) => {
        onAbort = () => resolve();
        signal.addEventListener('abort', onAbort, { once: true });
        client.on('error', () => undefined); // 'close' follows
        client.once('close', () => resolve());
        client.once('connect', () => {
          accepted = true;
          this.counters.connections++;
          this.#client = client;
          this.counters.resent += this.counters.connections > 1 ? this.#unacknowledged.size : 0;
          for (const item of [...this.#unacknowledged]) this.#send(client, item);
        });
        if (signal.aborted) resolve();
      });
    } finally {
      this.#client = undefined;
      clearInterval(watchdog);
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
      // A polite DISCONNECT only where nothing is outstanding: with a dead link it would wait for PUBACKs.
      await endClient(client, this.#unacknowledged.size > 0 || !accepted);
    }
    return accepted;
  }

  #send(client: MqttClient, item: Item<Tag>): void {
    item.sentAtMs = Date.now();
    client.publish(item.topic, item.payload, { qos: this.#options.qos }, (error) => {
      if (error || !this.#unacknowledged.delete(item)) return;
      this.counters.acknowledged++;
      this.#onAcknowledged(item.tag);
      const waiting = this.#wake;
      this.#wake = [];
      for (const wake of waiting) wake();
    });
  }

  /** Ends a connection on which the oldest message has waited too long. */
  #watch(client: MqttClient): void {
    const [oldest] = this.#unacknowledged;
    if (oldest === undefined || this.#client !== client) return;
    if (Date.now() - oldest.sentAtMs > this.#options.ackTimeoutMs) client.stream.destroy();
  }
}

/** One connection that proves address, credentials and certificates, so that a wrong option is an error, not a wait. */
export async function probe(options: PublisherOptions): Promise<void> {
  const client = connect(options.url, { ...connectOptions(options), clientId: `${options.clientId}-probe` });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', (cause) => reject(linkError(options.url, cause)));
      client.once('close', () => reject(new EdgetallyError('link-refused', `${options.url} closed the connection`)));
    });
  } finally {
    await endClient(client, true);
  }
}

function linkError(url: string, cause: Error & { code?: unknown }): EdgetallyError {
  const refusedByBroker = typeof cause.code === 'number';
  const detail = cause.message === '' ? String(cause.code ?? cause.name) : cause.message;
  return new EdgetallyError(refusedByBroker ? 'link-unauthorized' : 'link-refused', `${url}: ${detail}`, { cause });
}

function connectOptions(options: PublisherOptions): IClientOptions {
  const { username, password, ca, cert, key, clientId } = options;
  return {
    clientId,
    clean: true,
    protocolVersion: 4,
    reconnectPeriod: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepalive: 30,
    queueQoSZero: false,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}

async function endClient(client: MqttClient, force: boolean): Promise<void> {
  await client.endAsync(force).catch(() => undefined);
}
