/**
 * Group commit: changes that come while a commit is running go into the next one together. A source that waits for each
 * change before it hands over the next one gets one commit a change; one that does not gets fewer and larger ones.
 *
 * A store that fails for a while is tried again for as long as it takes; nobody is told that a change is committed before
 * it is. A change that the store cannot take is put into quarantine, so that it does not hold up the others.
 */
import pRetry from 'p-retry';
import { EdgetallyError } from '../../shared/errors.js';
import type { Log } from '../log.js';
import type { Applied, Change, ChangeStore } from '../store/store.js';

const MAX_CHANGES = 64;

export interface CommitQueueOptions {
  readonly store: ChangeStore;
  readonly log: Log;
  /** Waiting for a failed store ends. */
  readonly signal: AbortSignal;
  /** First and last ceiling of the wait between attempts. */
  readonly backoffMs?: readonly [number, number];
}

export interface Committed extends Applied {
  /** The change as it was committed. */
  readonly change: Change;
}

interface Waiting {
  readonly change: Change;
  readonly instead: (error: Error) => Change;
  readonly resolve: (committed: Committed) => void;
  readonly reject: (error: unknown) => void;
}

export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the change is durable, or what it became `instead` because the store cannot take it. Rejects when stopped,
   * or where the store takes nothing and waiting does not help.
   */
  put(change: Change, instead: (error: Error) => Change): Promise<Committed> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, instead, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves once nothing is being committed. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // What is put in the same turn belongs to the same commit.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#commit(this.#waiting.splice(0, MAX_CHANGES));
    this.#running = undefined;
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    try {
      const applied = await this.#tryLong(group.map(({ change }) => change));
      for (const [i, { change, resolve }] of group.entries()) resolve({ ...applied[i]!, change });
    } catch (error) {
      const hopeless = this.#options.signal.aborted || error instanceof EdgetallyError || !(error instanceof Error);
      if (hopeless) for (const { reject } of group) reject(error);
      else if (group.length > 1) for (const one of group) await this.#commit([one]);
      else await this.#setAside(group[0]!, error);
    }
  }

  /** A fault of ours that this very change brings out. */
  async #setAside({ change, instead, resolve, reject }: Waiting, error: Error): Promise<void> {
    this.#options.log.error({ err: error, gateway: change.gateway }, `put into quarantine: ${error.message}`);
    const replacement = instead(error);
    await this.#tryLong([replacement]).then(([applied]) => resolve({ ...applied!, change: replacement }), reject);
  }

  #tryLong(changes: readonly Change[]): Promise<readonly Applied[]> {
    const { store, log, signal, backoffMs = [250, 30_000] } = this.#options;
    return pRetry(() => store.commit(changes), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: backoffMs[0],
      maxTimeout: backoffMs[1],
      signal,
      randomize: true,
      shouldRetry: ({ error }) => isPassing(error),
      onFailedAttempt: ({ error, attemptNumber }) => {
        if (!isPassing(error)) return;
        log.error({ err: error, attemptNumber }, `nothing is acknowledged until the store is back: ${error.message}`);
      },
    });
  }
}

function isPassing(error: Error): boolean {
  return error instanceof EdgetallyError && error.retryable;
}
