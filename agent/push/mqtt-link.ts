/** The uplink over MQTT: what is published and subscribed on the connection of the moment. */
import type { Logger } from 'pino';
import { EdgetallyError } from '../../shared/errors.js';
import { type Answer, ask } from '../mqtt/ask.js';
import { MqttConnection } from '../mqtt/connection.js';
import { Lifecycle, type Protocol, WAITS } from '../mqtt/lifecycle.js';
import { mqttAlpn } from './endpoint.js';
import type { Link, LinkHandlers, LinkState } from './link.js';
import type { PushOptions } from './options.js';

export class MqttLink implements Link {
  /** The last ceiling of the waits between attempts, ms; may be raised where something else carries the load. */
  maxBackoffMs: number;
  readonly #options: PushOptions;
  readonly #handlers: LinkHandlers;
  readonly #log: Logger;
  readonly #lifecycle: Lifecycle<MqttConnection>;
  #up: MqttConnection | undefined;

  constructor(options: PushOptions, handlers: LinkHandlers, monotonicMs: () => number, log: Logger) {
    this.maxBackoffMs = options.maxBackoff;
    this.#options = options;
    this.#handlers = handlers;
    this.#log = log;
    const maxBackoffMs = () => this.maxBackoffMs;
    this.#lifecycle = new Lifecycle({
      name: 'uplink',
      protocol: 'auto',
      waits: {
        ...WAITS,
        minBackoff: options.minBackoff,
        get maxBackoff() {
          return maxBackoffMs();
        },
      },
      handlers: {
        open: (protocol, signal) => this.#open(protocol, signal),
        up: (connection) => {
          this.#up = connection;
          handlers.up({ transport: 'mqtt' });
        },
        down: () => {
          this.#up = undefined;
          handlers.down();
        },
        explain: (end) => handlers.explain(end, 'mqtt', new URL(options.url).host),
      },
      monotonicMs,
      log,
    });
  }

  get state(): LinkState {
    const { state, problem, counters } = this.#lifecycle;
    return { transport: 'mqtt', because: undefined, state, problem, ...counters };
  }

  start(): void {
    this.#lifecycle.start();
  }

  async stop(): Promise<void> {
    await this.#lifecycle.stop();
  }

  renew(forget: boolean): void {
    this.#lifecycle.renew(forget);
  }

  async send(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#up === undefined) throw new EdgetallyError('link-lost', 'the link is down');
    await this.#up.client.publishAsync(topic, Buffer.from(payload), { qos: 1 });
  }

  post(topic: string, payload: Uint8Array, retained: boolean): void {
    this.#up?.client.publish(topic, Buffer.from(payload), { qos: 1, retain: retained }, (error) => {
      if (error) this.#log.debug({ topic, error: error.message }, 'publish not acknowledged');
    });
  }

  async ask(topic: string, question: string, timeoutMs: number): Promise<Answer> {
    if (this.#up === undefined) throw new EdgetallyError('link-lost', 'the link is down');
    return ask(this.#up.client, topic, question, timeoutMs);
  }

  async subscribe(topic: string): Promise<void> {
    const client = this.#up?.client;
    if (client === undefined) return;
    const granted = await client.subscribeAsync(topic, { qos: 0 });
    if (granted.some((grant) => grant.qos === 128)) {
      throw new EdgetallyError('link-unauthorized', `the broker refused the subscription to ${topic}`);
    }
  }

  async #open(protocolVersion: Protocol, signal: AbortSignal): Promise<MqttConnection> {
    const { url, connectTimeout } = this.#options;
    const credentials = await this.#handlers.credentials('mqtt', signal);
    signal.throwIfAborted();
    const alpn = mqttAlpn(this.#options);
    const connection = new MqttConnection(url, {
      ...credentials,
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
      protocolVersion,
      clean: true,
      connectTimeout,
      keepalive: 30,
    });
    connection.client.on('message', (topic, payload) => this.#handlers.message(topic, payload));
    return connection;
  }
}
