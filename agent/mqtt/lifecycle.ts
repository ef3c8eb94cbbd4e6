/**
 * One connection after the other, until it is stopped: the same for the uplink and for a source.
 *
 * Promises: never gives up for a fault that may pass; waits between attempts grow with full jitter; a refusal is said
 * plainly, once, with what to do. Names are resolved and credentials read anew for each connection.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type BackoffLimits, backoffMs } from '../../shared/backoff.js';
import { EdgetallyError } from '../../shared/errors.js';
import { isAboutVersion, type MqttEnd, TAKEN_OVER } from '../../shared/mqtt-reasons.js';
import type { Granted } from './connection.js';

/** Waits between connections, ms. */
export interface Waits extends BackoffLimits {
  /** After another client took our session: it would only take it back. */
  readonly takenOver: number;
  /** A connection that lasted this long was a good one. */
  readonly good: number;
}

export const WAITS: Waits = { minBackoff: 1000, maxBackoff: 60_000, takenOver: 60_000, good: 30_000 };

export type Protocol = 5 | 4;

/** What a life is made of, from the attempt to its end. */
export interface Connection {
  /** Resolves when the other side has accepted it; undefined if it never does. */
  readonly up: Promise<Granted | undefined>;
  /** Resolves when it is over; never rejects. */
  readonly ended: Promise<MqttEnd>;
  /** Ends it: after what was written is sent, or (`force`) at once. */
  end(force: boolean): void;
}

export interface LifecycleHandlers<C extends Connection> {
  /** Reads credentials, then begins a connection; after the signal it must not. */
  open(protocol: Protocol, signal: AbortSignal): Promise<C>;
  /** The other side accepted it. */
  up(connection: C, granted: Granted): void | Promise<void>;
  /** It is over. */
  down(): void;
  /** Says in our words why a connection failed or ended. */
  explain(end: MqttEnd): EdgetallyError;
}

export interface LifecycleOptions<C extends Connection> {
  readonly name: string;
  /** Of MQTT; `none` where it is not spoken. */
  readonly protocol: 'auto' | '5' | '3.1.1' | 'none';
  readonly waits: Waits;
  readonly handlers: LifecycleHandlers<C>;
  readonly monotonicMs: () => number;
  readonly log: Logger;
}

/** How long the broker may take to end a connection that we have ended. */
const GOODBYE_MS = 500;

export class Lifecycle<C extends Connection> {
  readonly counters = { connects: 0, failures: 0 };
  readonly #options: LifecycleOptions<C>;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #connection: C | undefined;
  #state: 'up' | 'connecting' | 'down' = 'down';
  #protocol: Protocol;
  #protocolProven = false;
  #problem: string | undefined;
  #failuresInARow = 0;

  constructor(options: LifecycleOptions<C>) {
    this.#options = options;
    this.#protocol = options.protocol === '3.1.1' ? 4 : 5;
  }

  get state(): 'up' | 'connecting' | 'down' {
    return this.#state;
  }

  /** Why it is not up. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get protocol(): Protocol {
    return this.#protocol;
  }

  get stopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Begins to connect, and does not wait for it: a broker may come up after its gateway. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the connection, so that a new one is made. `forget`: also what was learnt of the broker. */
  renew(forget: boolean): void {
    if (forget && this.#options.protocol === 'auto') {
      this.#protocol = 5;
      this.#protocolProven = false;
    }
    this.#connection?.end(true);
  }

  /** Takes no more connections, lets `finish` end what is under way, then says goodbye. */
  async stop(finish: () => Promise<void> = async () => undefined): Promise<void> {
    this.#stopping.abort();
    const connection = this.#connection;
    if (connection !== undefined) {
      const isUp = this.#state === 'up';
      if (isUp) await finish();
      connection.end(!isUp);
      if ((await within(GOODBYE_MS, connection.ended)) === undefined) connection.end(true);
    }
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { monotonicMs, waits } = this.#options;
    while (!signal.aborted) {
      const startedMs = monotonicMs();
      const waitMs = await this.#connectOnce().catch((error: unknown) =>
        this.stopping ? 0 : this.#failed(asError(error)),
      );
      if (monotonicMs() - startedMs >= waits.good) this.#failuresInARow = 0;
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One connection, to its end; the wait before the next one, ms. */
  async #connectOnce(): Promise<number> {
    const { handlers, waits } = this.#options;
    this.#state = 'connecting';
    const connection = await handlers.open(this.#protocol, this.#stopping.signal);
    this.#connection = connection;
    const granted = await connection.up;
    if (granted !== undefined) await this.#up(connection, granted);
    const end = await connection.ended;
    connection.end(true);
    this.#connection = undefined;
    this.#state = 'down';
    if (granted !== undefined) handlers.down();
    if (this.stopping) return 0;
    const again = this.#reconsiderProtocol(end);
    const wait = this.#failed(handlers.explain(end));
    if (again) return 0;
    return end.reasonCode === TAKEN_OVER ? waits.takenOver * (1 + Math.random()) : wait;
  }

  async #up(connection: C, granted: Granted): Promise<void> {
    this.counters.connects++;
    this.#protocolProven = true;
    this.#problem = undefined;
    this.#state = 'up';
    const { name, log, handlers, protocol } = this.#options;
    const mqtt = protocol === 'none' ? {} : { mqtt: this.#protocol, sessionPresent: granted.sessionPresent };
    log.info({ name, ...mqtt }, 'connected');
    await handlers.up(connection, granted);
  }

  /** A broker without MQTT 5 says so, or (an old one) hangs up: then the other version is next. True where that may be at once. */
  #reconsiderProtocol(end: MqttEnd): boolean {
    if (this.#options.protocol !== 'auto' || end.wasUp || this.#protocolProven) return false;
    const hungUp = end.error === undefined && end.reasonCode === undefined;
    const refused = isAboutVersion(end.reasonCode);
    if (refused || hungUp) this.#protocol = this.#protocol === 5 ? 4 : 5;
    return refused && this.#protocol === 4;
  }

  #failed(error: EdgetallyError): number {
    this.#state = 'down';
    const problem = `${error.message}. ${error.hint}`;
    if (problem !== this.#problem) {
      // the same complaint again and again helps nobody
      const level = error.code === 'session-taken-over' ? 'error' : 'warn';
      this.#options.log[level]({ name: this.#options.name, code: error.code, hint: error.hint }, error.message);
    }
    this.#problem = problem;
    this.counters.failures++;
    return backoffMs(++this.#failuresInARow, this.#options.waits, Math.random());
  }
}

/** What the promise gives, or undefined when the time is over. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const over = new AbortController();
  const late = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
  }
}

function asError(error: unknown): EdgetallyError {
  if (error instanceof EdgetallyError) return error;
  return new EdgetallyError('link-refused', error instanceof Error ? error.message : String(error), { cause: error });
}
