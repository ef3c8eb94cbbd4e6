/**
 * The uplink through a Greengrass nucleus: no certificate of our own, and its connection instead of ours. What the nucleus has taken
 * has arrived nowhere yet; only a receipt tells.
 *
 * Promises: one message at a time, so that the small store of Nucleus Lite is never overrun; a message that is not taken ends
 * the connection, and the next one comes after a backoff: Lite keeps nothing while it is offline, and says so at once.
 */
import type { Logger } from 'pino';
import { EdgetallyError } from '../../shared/errors.js';
import { NucleusConnection, nucleusAddress, nucleusError } from '../greengrass/nucleus.js';
import type { Answer } from '../mqtt/ask.js';
import { Lifecycle, WAITS, within } from '../mqtt/lifecycle.js';
import type { Link, LinkHandlers, LinkState } from './link.js';
import type { PushOptions } from './options.js';

/** What was published last is given this long to go out. */
const FLUSH_MS = 2_000;

export class NucleusLink implements Link {
  readonly #handlers: LinkHandlers;
  readonly #lifecycle: Lifecycle<NucleusConnection>;
  #up: NucleusConnection | undefined;
  /** Settles when all that was published is taken. */
  #taken: Promise<void> = Promise.resolve();

  constructor(options: PushOptions, handlers: LinkHandlers, monotonicMs: () => number, log: Logger) {
    this.#handlers = handlers;
    this.#lifecycle = new Lifecycle({
      name: 'uplink',
      protocol: 'none',
      waits: { ...WAITS, minBackoff: options.minBackoff, maxBackoff: options.maxBackoff },
      handlers: {
        open: (_protocol, signal) => NucleusConnection.open(nucleusAddress(process.env), signal),
        up: (connection) => {
          this.#up = connection;
          this.#taken = Promise.resolve();
          handlers.up({ transport: 'nucleus' });
        },
        down: () => {
          this.#up = undefined;
          handlers.down();
        },
        explain: ({ error }) => nucleusError(error),
      },
      monotonicMs,
      log,
    });
  }

  get state(): LinkState {
    const { state, problem, counters } = this.#lifecycle;
    return { transport: 'nucleus', because: undefined, state, problem, ...counters };
  }

  start(): void {
    this.#lifecycle.start();
  }

  async stop(): Promise<void> {
    await this.#lifecycle.stop(async () => {
      await within(FLUSH_MS, this.#taken);
    });
  }

  renew(forget: boolean): void {
    this.#lifecycle.renew(forget);
  }

  send(topic: string, payload: Uint8Array): Promise<void> {
    return this.#publish(topic, payload, false);
  }

  post(topic: string, payload: Uint8Array, retained: boolean): void {
    this.#publish(topic, payload, retained).catch(() => undefined); // the connection has ended, and says why
  }

  async ask(topic: string): Promise<Answer> {
    throw new EdgetallyError('link-refused', `${topic}: a nucleus keeps what is about its own certificate to itself`);
  }

  async subscribe(topic: string): Promise<void> {
    await this.#up?.subscribe(topic, (heardOn, payload) => this.#handlers.message(heardOn, payload));
  }

  async #publish(topic: string, payload: Uint8Array, retained: boolean): Promise<void> {
    const connection = this.#up;
    const before = this.#taken;
    const taken = before.then(() => {
      if (connection === undefined || this.#up !== connection)
        throw new EdgetallyError('link-lost', 'the link is down');
      return connection.publish(topic, payload, retained);
    });
    this.#taken = taken.catch((error: unknown) => connection?.fail(nucleusError(error)));
    await taken;
  }
}
