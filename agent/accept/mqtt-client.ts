/**
 * The client of a broker that is already there as a source of readings. Promises: with QoS 1 and a persistent session
 * the broker keeps each message until it is on disk here, so that neither a crash here nor a restart there loses one
 * (what the broker itself forgets is counted as a lost session); connects again for ever, with full jitter; says plainly
 * why it cannot. Never decodes a payload, never publishes.
 */
import { readFile } from 'node:fs/promises';
import type { IClientOptions } from 'mqtt';
import { credentialsOf, type Diagnosis, pemOf } from '../../shared/certificates.js';
import { EdgetallyError } from '../../shared/errors.js';
import { explainEnd, type MqttEnd } from '../../shared/mqtt-reasons.js';
import type { MqttConnection } from '../mqtt/connection.js';
import { Lifecycle, type Protocol, WAITS, type Waits, within } from '../mqtt/lifecycle.js';
import type { Source, SourceState } from '../reading.js';
import { Link } from './mqtt-link.js';
import { arrivalTimes, type SourceContext } from './source-context.js';
import type { MqttSourceOptions } from './source-options.js';

/** How long stop() waits for what was handed over to be committed and acknowledged. */
const STOP_WAIT_MS = 5_000;

const LOST_HINT = 'Nothing to do: the broker keeps what comes meanwhile.';

export class MqttSource implements Source {
  readonly name: string;
  readonly #options: MqttSourceOptions;
  readonly #context: SourceContext;
  readonly #arrivalUs: () => number;
  readonly #counters = {
    stored: 0,
    unstored: 0,
    retainedIgnored: 0,
    redelivered: 0,
    /** The broker had forgotten our session: what came while we were away is lost. */
    sessionsLost: 0,
    subscriptionsRefused: 0,
  };
  readonly #lifecycle: Lifecycle<MqttConnection>;
  #link: Link | undefined;
  #own: Diagnosis | undefined;
  /** What is wrong with a link that is up. */
  #trouble = '';
  #started = false;
  #stopped: Promise<void> | undefined;

  constructor(options: MqttSourceOptions, context: SourceContext, waits: Waits = WAITS) {
    this.name = options.name;
    this.#options = options;
    this.#context = context;
    this.#arrivalUs = arrivalTimes(context.clock);
    this.#lifecycle = new Lifecycle({
      name: options.name,
      protocol: options.protocol,
      waits,
      handlers: {
        open: (protocol, signal) => this.#open(protocol, signal),
        up: (_connection, { sessionPresent }) => this.#connected(this.#link!, sessionPresent),
        down: () => {
          this.#trouble = '';
        },
        explain: (end) => this.#explain(end),
      },
      monotonicMs: () => context.clock.monotonicMs(),
      log: context.log,
    });
  }

  get clientId(): string {
    return this.#options.clientId ?? `edgetally-${this.#context.gateway}-${this.#context.number}`;
  }

  /** Begins to connect, and does not wait for it: a broker may come up after its gateway. */
  async start(): Promise<void> {
    this.#started = true;
    this.#lifecycle.start();
  }

  /** Takes nothing more in, waits until what it handed over is acknowledged, then says goodbye; the session stays. */
  stop(): Promise<void> {
    this.#stopped ??= this.#lifecycle.stop(async () => void (await within(STOP_WAIT_MS, this.#link!.drain())));
    return this.#stopped;
  }

  describe(): SourceState {
    const counters = { ...this.#counters, ...this.#lifecycle.counters, inFlight: this.#link?.inFlight ?? 0 };
    if (this.#stopped !== undefined || !this.#started) {
      return { name: this.name, state: 'stopped', detail: 'stopped', counters };
    }
    const { state, protocol, problem = 'not connected yet' } = this.#lifecycle;
    if (state !== 'up') return { name: this.name, state: 'down', detail: problem, counters };
    const version = protocol === 5 ? 'MQTT 5' : 'MQTT 3.1.1';
    const trouble = this.#trouble === '' ? '' : `; ${this.#trouble}`;
    return {
      name: this.name,
      state,
      detail: `${version} to ${this.#options.url} as ${this.clientId}${trouble}`,
      counters,
    };
  }

  async #open(protocol: Protocol, signal: AbortSignal): Promise<MqttConnection> {
    const { url, maxInFlight, retained } = this.#options;
    const client = await this.#clientOptions(protocol);
    signal.throwIfAborted();
    this.#link = new Link({
      name: `${this.name}/${this.clientId}`,
      url,
      client,
      accept: this.#context.accept,
      arrivalUs: this.#arrivalUs,
      maxInFlight,
      acceptRetained: retained === 'accept',
      counters: this.#counters,
    });
    return this.#link.connection;
  }

  #explain(end: MqttEnd): EdgetallyError {
    const { url, ca } = this.#options;
    return explainEnd(end, {
      address: addressOf(url),
      ca,
      clientId: this.clientId,
      lostHint: LOST_HINT,
      ...(this.#own && { own: this.#own }),
    });
  }

  async #connected(link: Link, sessionPresent: boolean): Promise<void> {
    const first = this.#lifecycle.counters.connects === 1;
    if (!first && !sessionPresent && this.#options.qos === 1) {
      this.#counters.sessionsLost++;
      this.#context.log.error(
        { source: this.name, clientId: this.clientId },
        'the broker has forgotten the session: what was published while this gateway was away is lost',
      );
    }
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
    if (refused.length > 0) this.#trouble = `the broker refused to subscribe to ${refused.join(', ')}`;
    else if (lowered.length > 0) this.#trouble = `the broker grants only QoS 0 for ${lowered.join(', ')}`;
    else return;
    this.#context.log.error({ source: this.name }, this.#trouble);
    if (refused.length === filters.length) link.connection.end(true); // it may be allowed later
  }

  /** Read and checked anew each time: files may have been replaced. */
  async #clientOptions(protocolVersion: Protocol): Promise<IClientOptions> {
    const { username, password, passwordFile, qos } = this.#options;
    this.#own = await credentialsOf(this.#options, this.#context.clock.nowMs(), readFile);
    const secret = passwordFile === undefined ? password : await readPassword(passwordFile);
    const options: IClientOptions = {
      clientId: this.clientId,
      clean: qos === 0, // without QoS 1 there is nothing that a session could keep
      protocolVersion,
      keepalive: Math.round(this.#options.keepalive / 1000),
      connectTimeout: this.#options.connectTimeout,
      ...(username !== undefined && { username }),
      ...(secret !== undefined && { password: secret }),
      ...pemOf(this.#own),
    };
    if (protocolVersion === 5) {
      const sessionExpiryInterval = qos === 0 ? 0 : Math.round(this.#options.sessionExpiry / 1000);
      options.properties = { sessionExpiryInterval, receiveMaximum: this.#options.maxInFlight };
    }
    return options;
  }
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
