/** The cloud side as a whole, in the order of the flow: accept → consolidate → store. Starts the stages and stops them. */

import { Consumer, type ConsumerState } from './accept/consumer.js';
import type { CloudConfig } from './config.js';
import { type ConsolidateBooks, Consolidator } from './consolidate/consolidator.js';
import { CreditBook } from './consolidate/credit.js';
import type { OpenDatabase, RollUpWorker } from './database.js';
import type { Log } from './log.js';
import type { Store } from './store/store.js';

export interface ServiceState {
  readonly consumer: ConsumerState;
  readonly books: ConsolidateBooks;
}

export class Service {
  readonly store: Store;
  readonly #log: Log;
  readonly #consumer: Consumer;
  readonly #consolidator: Consolidator;
  readonly #rollUps: RollUpWorker;
  readonly #stopping = new AbortController();
  #stopped: Promise<void> | undefined;

  /** The database is its own from then on: it closes it. */
  constructor(config: CloudConfig, { store, rollUps }: OpenDatabase, log: Log, now: () => number) {
    this.#log = log;
    this.store = store;
    this.#rollUps = rollUps;
    this.#consolidator = new Consolidator({
      store: this.store,
      send: (topic, payload) => this.#consumer.send(topic, payload),
      receiptDelayMs: config.receiptDelay,
      onChanged: () => this.#rollUps.nudge(),
      credit: new CreditBook(config.backlogWindowsPerSecond, performance.now()),
      signal: this.#stopping.signal,
      log,
      now,
    });
    this.#consumer = new Consumer({
      mqtt: config.mqtt,
      accept: (message) => this.#consolidator.accept({ ...message, receivedMs: now() }),
      log,
      now,
    });
  }

  get state(): ServiceState {
    return { consumer: this.#consumer.state, books: this.#consolidator.books };
  }

  /** Resolves when the link is up; the link comes later where the broker does. */
  async start(): Promise<void> {
    try {
      await this.#consumer.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#rollUps.start();
    await this.#consumer.untilUp();
  }

  /** Sends the receipts that are due, ends the connection, finishes the commit that is running. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#consolidator.flush();
    await this.#consumer.stop();
    this.#stopping.abort();
    await this.#consolidator.idle();
    await this.#rollUps.stop();
    await this.store.close();
    this.#log.info({ ...this.#consolidator.books }, 'stopped');
  }
}
