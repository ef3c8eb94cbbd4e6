/**
 * What the agent has to do with the nucleus all the time it runs, apart from the uplink: learns its configuration and each change of
 * it, judges what a deployment would bring, and says that it is up. One connection after the other.
 *
 * Promises: a nucleus that restarts is found again; a change made meanwhile is not missed. Gives up only where the nucleus has
 * refused this process for an hour: then it has forgotten it, and only starting it anew makes them known to each other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { EdgetallyError } from '../../shared/errors.js';
import { Lifecycle, WAITS } from '../mqtt/lifecycle.js';
import { type NucleusAddress, NucleusConnection, nucleusError } from './nucleus.js';

export interface SessionHandlers {
  /** The configuration as it is now, at the start and whenever it may have changed. */
  configuration(given: unknown): void;
  /** What is wrong with a configuration; undefined: nothing. */
  judge(given: unknown): string | undefined;
  giveUp(): void;
}

/** A deployment changes key after key. */
const SETTLED_MS = 500;
const REFUSED_MS = 3_600_000;

export class NucleusSession {
  readonly #address: NucleusAddress;
  readonly #handlers: SessionHandlers;
  readonly #monotonicMs: () => number;
  readonly #log: Logger;
  readonly #lifecycle: Lifecycle<NucleusConnection>;
  #up: NucleusConnection | undefined;
  #isRunning = false;
  #reading: Promise<void> | undefined;
  #refusedSinceMs: number | undefined;

  constructor(address: NucleusAddress, handlers: SessionHandlers, monotonicMs: () => number, log: Logger) {
    this.#address = address;
    this.#handlers = handlers;
    this.#monotonicMs = monotonicMs;
    this.#log = log;
    this.#lifecycle = new Lifecycle({
      name: 'nucleus',
      protocol: 'none',
      waits: WAITS,
      handlers: {
        open: (_protocol, signal) => this.#open(signal),
        up: (connection) => this.#connected(connection),
        down: () => {
          this.#up = undefined;
        },
        explain: ({ error }) => nucleusError(error),
      },
      monotonicMs,
      log,
    });
  }

  start(): void {
    this.#lifecycle.start();
  }

  async stop(): Promise<void> {
    await this.#lifecycle.stop();
  }

  /** The agent is up; said again to each nucleus that comes. */
  running(): void {
    this.#isRunning = true;
    this.#up?.reportRunning().catch((error: unknown) => this.#log.warn(nucleusError(error).message));
  }

  async #open(signal: AbortSignal): Promise<NucleusConnection> {
    try {
      return await NucleusConnection.open(this.#address, signal);
    } catch (error) {
      this.#noteRefusal(error instanceof EdgetallyError && error.code === 'link-unauthorized');
      throw error;
    }
  }

  #noteRefusal(isRefused: boolean): void {
    this.#refusedSinceMs = isRefused ? (this.#refusedSinceMs ?? this.#monotonicMs()) : undefined;
    if (this.#refusedSinceMs === undefined || this.#monotonicMs() - this.#refusedSinceMs < REFUSED_MS) return;
    this.#log.error('the nucleus does not know this process any more: ending, to be started anew');
    this.#handlers.giveUp();
  }

  async #connected(connection: NucleusConnection): Promise<void> {
    this.#up = connection;
    this.#refusedSinceMs = undefined;
    try {
      await connection.watchConfiguration(() => void this.#changed(connection));
      await this.#offerJudgement(connection);
      this.#handlers.configuration(await connection.configuration());
      if (this.#isRunning) await connection.reportRunning();
    } catch (error) {
      connection.fail(nucleusError(error));
    }
  }

  async #offerJudgement(connection: NucleusConnection): Promise<void> {
    try {
      await connection.judgeConfiguration((given) => this.#handlers.judge(given));
    } catch (error) {
      this.#log.debug(
        { error: (error as Error).message },
        'this nucleus does not ask before it changes the configuration',
      );
    }
  }

  /** Reads it once it has settled. */
  #changed(connection: NucleusConnection): Promise<void> {
    this.#reading ??= this.#readSettled(connection).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readSettled(connection: NucleusConnection): Promise<void> {
    await sleep(SETTLED_MS);
    if (this.#up !== connection) return; // the next connection begins by reading
    try {
      this.#handlers.configuration(await connection.configuration());
    } catch (error) {
      connection.fail(nucleusError(error));
    }
  }
}
