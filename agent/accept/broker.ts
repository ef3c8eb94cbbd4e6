/**
 * The built-in MQTT 3.1.1 broker (aedes) as a source of readings: its start, its ports, its stop. What it promises its
 * clients is in broker-clients.ts.
 *
 * It keeps no sessions: a subscriber that is away gets nothing later, and a QoS 2 publisher that reconnects in the
 * middle of a handshake sends again (the same reading counts once all the same). Never decodes a payload.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Aedes } from 'aedes';
import type { Source, SourceState } from '../reading.js';
import { Access } from './broker-access.js';
import { detachSubscribers, forgetPayloads, skipUnheard } from './broker-aedes.js';
import { BrokerClients } from './broker-clients.js';
import { type Listener, openListener } from './broker-listener.js';
import type { SourceContext } from './source-context.js';
import type { BrokerSourceOptions } from './source-options.js';

/** How long stop() waits for what was handed over to be committed and acknowledged. */
const STOP_WAIT_MS = 5_000;
/** A subscriber that does not read for that long is disconnected. */
const DRAIN_TIMEOUT_MS = 20_000;

export class BrokerSource implements Source {
  readonly name: string;
  readonly #options: BrokerSourceOptions;
  readonly #context: SourceContext;
  #clients: BrokerClients | undefined;
  #broker: Aedes | undefined;
  #listeners: Listener[] = [];
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: BrokerSourceOptions, context: SourceContext) {
    this.name = options.name;
    this.#options = options;
    this.#context = context;
  }

  /** The ports in use, in the order of `listeners`; for those that were configured as 0. */
  get ports(): readonly number[] {
    return this.#listeners.map((listener) => listener.port);
  }

  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /** Takes nothing more in, waits until what it handed over is acknowledged, then disconnects everyone. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  describe(): SourceState {
    const up = this.#listeners.length > 0 && this.#stopped === undefined;
    const where = this.#options.listeners.map(({ listen, tls }, at) => {
      const address = listen.replace(/:0$/, `:${this.#listeners[at]?.port ?? 0}`);
      return tls === undefined ? address : `${address} (TLS)`;
    });
    const clients = this.#clients;
    const connected = clients?.connected ?? 0;
    const detail = up ? `listens on ${where.join(', ')}; ${connected} connected` : 'stopped';
    const counters = { ...clients?.counters, connected, waiting: clients?.waiting.messages ?? 0 };
    return { name: this.name, state: up ? 'up' : 'stopped', detail, counters };
  }

  async #start(): Promise<void> {
    const clients = new BrokerClients(this.#options, this.#context, await Access.open(this.#options));
    const { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward } = clients;
    const broker = await Aedes.createBroker({
      connectTimeout: this.#options.limits.connectTimeout,
      drainTimeout: DRAIN_TIMEOUT_MS,
      maxClientsIdLength: 128,
      ...{ preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward },
    });
    forgetPayloads(broker);
    skipUnheard(broker, () => clients.isHeard);
    broker.on('client', detachSubscribers);
    broker.on('clientDisconnect', clients.left);
    broker.on('clientError', clients.failed);
    broker.on('connectionError', clients.failed);
    this.#clients = clients;
    this.#broker = broker;
    try {
      for (const options of this.#options.listeners) this.#listeners.push(await this.#listen(options, clients, broker));
    } catch (error) {
      await this.#close(clients, broker);
      throw error;
    }
    this.#context.log.info({ source: this.name, ports: this.ports }, 'broker listens');
  }

  #listen(options: BrokerSourceOptions['listeners'][number], clients: BrokerClients, broker: Aedes): Promise<Listener> {
    const { maxConnections, connectTimeout } = this.#options.limits;
    return openListener(options, {
      maxConnections,
      connectTimeout,
      nowMs: () => this.#context.clock.nowMs(),
      arrived: (arrival) => clients.arrived(arrival, broker),
      turnedAway: (reason, address, why) => clients.refused(reason, { address }, `turned away: ${why}`),
      warn: (problem) => this.#context.log.warn({ source: this.name, hint: problem.hint }, problem.message),
    });
  }

  async #stop(): Promise<void> {
    await this.#started?.catch(() => undefined);
    if (this.#clients !== undefined && this.#broker !== undefined) await this.#close(this.#clients, this.#broker);
  }

  async #close(clients: BrokerClients, broker: Aedes): Promise<void> {
    if (broker.closed) return;
    const closed = this.#listeners.map((listener) => listener.close());
    clients.close();
    const enough = new AbortController();
    const late = sleep(STOP_WAIT_MS, undefined, { signal: enough.signal }).catch(() => undefined);
    await Promise.race([clients.settled(), late]);
    enough.abort();
    await nextTurn(); // the last PUBACKs are written in this turn of the event loop
    await new Promise<void>((resolve) => broker.close(resolve));
    for (const listener of this.#listeners) listener.hangUp();
    await Promise.all(closed);
  }
}
