/**
 * The client of a broker that is already there as a source of readings. Promises: with QoS 1 and a persistent session
 * the broker keeps each message until it is on disk here, so that neither a crash here nor a restart there loses one
 * (what the broker itself forgets is counted as a lost session); connects again for ever, with full jitter; says plainly
 * why it cannot. Never decodes a payload, never publishes.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { IClientOptions } from 'mqtt';
import { type BackoffLimits, backoffMs } from '../../shared/backoff.js';
import { credentialsOf, type Diagnosis, pemOf } from '../../shared/certificates.js';
import { EdgetallyError } from '../../shared/errors.js';
import { explainEnd, isAboutVersion, type MqttEnd, TAKEN_OVER } from '../../shared/mqtt-reasons.js';
import type { Source, SourceState } from '../reading.js';
import { Link } from './mqtt-link.js';
import { arrivalTimes, type SourceContext } from './source-context.js';
import type { MqttSourceOptions } from './source-options.js';

/** Waits between connections, ms. */
export interface Waits extends BackoffLimits {
  /** After another client took our session: it would only take it back. */
  readonly takenOver: number;
  /** A connection that lasted this long was a good one. */
  readonly good: number;
}

const WAITS: Waits = { minBackoff: 1000, maxBackoff: 60_000, takenOver: 120_000, good: 30_000 };
/** How long stop() waits for what was handed over to be committed and acknowledged. */
const STOP_WAIT_MS = 5_000;
/** How long it then waits for the broker to close the connection. */
const GOODBYE_MS = 500;

const LOST_HINT = 'Nothing to do: the broker keeps what comes meanwhile.';

type Protocol = 5 | 4;

export class MqttSource implements Source {
  readonly name: string;
  readonly #options: MqttSourceOptions;
  readonly #context: SourceContext;
  readonly #waits: Waits;
  readonly #arrivalUs: () => number;
  readonly #stopping = new AbortController();
  readonly #counters = {
    stored: 0,
    unstored: 0,
    retainedIgnored: 0,
    redelivered: 0,
    connects: 0,
    failures: 0,
    /** The broker had forgotten our session: what came while we were away is lost. */
    sessionsLost: 0,
    subscriptionsRefused: 0,
  };
  #protocol: Protocol;
  #protocolProven = false;
  #link: Link | undefined;
  #state: 'up' | 'down' = 'down';
  #problem = 'not connected yet';
  #failuresInARow = 0;
  #running: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: MqttSourceOptions, context: SourceContext, waits: Waits = WAITS) {
    this.name = options.name;
    this.#options = options;
    this.#context = context;
    this.#waits = waits;
    this.#arrivalUs = arrivalTimes(context.clock);
    this.#protocol = options.protocol === '3.1.1' ? 4 : 5;
  }

  get clientId(): string {
    return this.#options.clientId ?? `edgetally-${this.#context.gateway}-${this.#context.number}`;
  }

  /** Begins to connect, and does not wait for it: a broker may come up after its gateway. */
  async start(): Promise<void> {
    this.#running ??= this.#run();
  }

  /** Takes nothing more in, waits until what it handed over is acknowledged, then says goodbye; the session stays. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  describe(): SourceState {
    const stopped = this.#stopped !== undefined || this.#running === undefined;
    const state = stopped ? 'stopped' : this.#state;
    const version = this.#protocol === 5 ? 'MQTT 5' : 'MQTT 3.1.1';
    const trouble = this.#problem === '' ? '' : `; ${this.#problem}`;
    const detail = state === 'up' ? `${version} to ${this.#options.url} as ${this.clientId}${trouble}` : this.#problem;
    const counters = { ...this.#counters, inFlight: this.#link?.inFlight ?? 0 };
    return { name: this.name, state, detail: stopped ? 'stopped' : detail, counters };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedMs = this.#context.clock.monotonicMs();
      const waitMs = await this.#connectOnce().catch((error: unknown) => this.#failed(asError(error)));
      if (this.#context.clock.monotonicMs() - startedMs >= this.#waits.good) this.#failuresInARow = 0;
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One connection, to its end; the wait before the next one, ms. */
  async #connectOnce(): Promise<number> {
    const { options, own } = await this.#clientOptions();
    if (this.#stopping.signal.aborted) return 0;
    const { url, maxInFlight, retained } = this.#options;
    const link = new Link({
      url,
      client: options,
      accept: this.#context.accept,
      arrivalUs: this.#arrivalUs,
      maxInFlight,
      acceptRetained: retained === 'accept',
      counters: this.#counters,
    });
    this.#link = link;
    const granted = await link.up;
    if (granted !== undefined) await this.#connected(link, granted.sessionPresent);
    const end = await link.ended;
    link.end(true);
    this.#link = undefined;
    this.#state = 'down';
    if (this.#stopping.signal.aborted) return 0;
    this.#reconsiderProtocol(end);
    const wait = this.#failed(
      explainEnd(end, {
        address: addressOf(url),
        ca: this.#options.ca,
        own,
        clientId: this.clientId,
        lostHint: LOST_HINT,
      }),
    );
    return end.reasonCode === TAKEN_OVER ? this.#waits.takenOver * (1 + Math.random()) : wait;
  }

  async #connected(link: Link, sessionPresent: boolean): Promise<void> {
    const first = this.#counters.connects === 0;
    this.#counters.connects++;
    this.#protocolProven = true;
    this.#problem = '';
    if (!first && !sessionPresent && this.#options.qos === 1) {
      this.#counters.sessionsLost++;
      this.#context.log.error(
        { source: this.name, clientId: this.clientId },
        'the broker has forgotten the session: what was published while this gateway was away is lost',
      );
    }
    this.#state = 'up';
    this.#context.log.info(
      { source: this.name, url: this.#options.url, mqtt: this.#protocol, sessionPresent },
      'connected',
    );
    // A session may be from a run with other routes, so the first connection subscribes in any case.
    if (first || !sessionPresent) await this.#subscribe(link);
  }

  async #subscribe(link: Link): Promise<void> {
    const { qos, subscribe } = this.#options;
    const filters = subscribe ?? this.#context.filters;
    const answers = await Promise.all(filters.map((filter) => link.subscribe(filter, qos)));
    const refused = filters.filter((_, index) => typeof answers[index] !== 'number' || answers[index]! >= 128);
    const lowered = filters.filter((_, index) => qos === 1 && answers[index] === 0);
    this.#counters.subscriptionsRefused += refused.length;
    this.#context.log.info({ source: this.name, filters: filters.length - refused.length }, 'subscribed');
    if (refused.length > 0) this.#problem = `the broker refused to subscribe to ${refused.join(', ')}`;
    else if (lowered.length > 0) this.#problem = `the broker grants only QoS 0 for ${lowered.join(', ')}`;
    else return;
    this.#context.log.error({ source: this.name }, this.#problem);
    if (refused.length === filters.length) link.end(true); // it may be allowed later
  }

  /** Read and checked anew each time: files may have been replaced. */
  async #clientOptions(): Promise<{ options: IClientOptions; own: Diagnosis }> {
    const { username, password, passwordFile, qos } = this.#options;
    const own = await credentialsOf(this.#options, this.#context.clock.nowMs(), readFile);
    const secret = passwordFile === undefined ? password : await readPassword(passwordFile);
    const options: IClientOptions = {
      clientId: this.clientId,
      clean: qos === 0, // without QoS 1 there is nothing that a session could keep
      protocolVersion: this.#protocol,
      keepalive: Math.round(this.#options.keepalive / 1000),
      connectTimeout: this.#options.connectTimeout,
      ...(username !== undefined && { username }),
      ...(secret !== undefined && { password: secret }),
      ...pemOf(own),
    };
    if (this.#protocol === 5) {
      const sessionExpiryInterval = qos === 0 ? 0 : Math.round(this.#options.sessionExpiry / 1000);
      options.properties = { sessionExpiryInterval, receiveMaximum: this.#options.maxInFlight };
    }
    return { options, own };
  }

  /** A broker without MQTT 5 says so, or (an old one) hangs up: then the other version is tried next. */
  #reconsiderProtocol(end: MqttEnd): void {
    if (this.#options.protocol !== 'auto' || end.wasUp || this.#protocolProven) return;
    const hungUp = end.error === undefined && end.reasonCode === undefined;
    if (isAboutVersion(end.reasonCode) || hungUp) this.#protocol = this.#protocol === 5 ? 4 : 5;
  }

  #failed(error: EdgetallyError): number {
    const problem = `${error.message}. ${error.hint}`;
    if (problem !== this.#problem) {
      // the same complaint again and again helps nobody
      const level = error.code === 'session-taken-over' ? 'error' : 'warn';
      this.#context.log[level]({ source: this.name, code: error.code, hint: error.hint }, error.message);
    }
    this.#problem = problem;
    this.#counters.failures++;
    return backoffMs(++this.#failuresInARow, this.#waits, Math.random());
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    const link = this.#link;
    if (link !== undefined) {
      const up = await within(STOP_WAIT_MS, link.up);
      if (up !== undefined) await within(STOP_WAIT_MS, link.drain());
      link.end(up === undefined);
      if ((await within(GOODBYE_MS, link.ended)) === undefined) link.end(true);
    }
    await this.#running;
  }
}

/** What the promise gives, or undefined when the time is over. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const over = new AbortController();
  const late = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined);
  const first = await Promise.race([promise, late]);
  over.abort();
  return first;
}

function addressOf(url: string): string {
  return url.replace(/^mqtts?:\/\//, '').replace(/\/$/, '');
}

async function readPassword(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new EdgetallyError('config-unreadable', `the password file ${path} cannot be read`, { cause });
  }
}

function asError(error: unknown): EdgetallyError {
  if (error instanceof EdgetallyError) return error;
  return new EdgetallyError('link-refused', error instanceof Error ? error.message : String(error), { cause: error });
}
