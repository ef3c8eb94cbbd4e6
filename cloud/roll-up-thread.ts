/**
 * The keeper of the roll-ups in a thread of its own: it reads through a connection of its own and hands rows over to be
 * written here, so that batches wait for a short transaction and never for computing. A thread that dies is replaced; what it
 * was about is still stale, and is computed then.
 */
import { Worker } from 'node:worker_threads';
import { EdgetallyError, type ErrorCode } from '../shared/errors.js';
import type { Log } from './log.js';
import type { RollUpRow } from './store/sqlite/roll-ups.js';

export interface RollUpWork {
  readonly path: string;
  readonly settleMs: number;
}

export type FromWorker =
  | { readonly kind: 'put'; readonly rows: readonly RollUpRow[] }
  | { readonly kind: 'log'; readonly level: keyof Log; readonly fields: object; readonly text: string };

export type ToWorker =
  | { readonly kind: 'nudge' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'done'; readonly error?: { readonly code: ErrorCode | undefined; readonly message: string } };

export interface RollUpThreadOptions extends RollUpWork {
  /** Durable when the promise resolves. */
  readonly put: (rows: readonly RollUpRow[]) => Promise<void>;
  readonly log: Log;
}

const REPLACED_AFTER_MS = 5000;
const WORKER = new URL('./roll-up-worker.js', import.meta.url);

export class RollUpThread {
  readonly #options: RollUpThreadOptions;
  #worker: Worker | undefined;
  #exited: Promise<void> | undefined;
  #replacing: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(options: RollUpThreadOptions) {
    this.#options = options;
  }

  start(): void {
    const { path, settleMs, log } = this.#options;
    const worker = new Worker(WORKER, { workerData: { path, settleMs } satisfies RollUpWork });
    this.#worker = worker;
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'put') void this.#put(worker, message.rows);
      else log[message.level](message.fields, message.text);
    });
    worker.on('error', (error) => log.error({ err: error }, `roll-ups stopped, and start again: ${error.message}`));
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    void this.#exited.then(() => {
      this.#worker = undefined;
      if (!this.#stopping) this.#replacing = setTimeout(() => this.start(), REPLACED_AFTER_MS);
    });
  }

  /** Something became stale. */
  nudge(): void {
    this.#tell(this.#worker, { kind: 'nudge' });
  }

  /** Idempotent; what is left stale waits for the next start. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#replacing);
    this.#tell(this.#worker, { kind: 'stop' });
    await this.#exited;
  }

  async #put(worker: Worker, rows: readonly RollUpRow[]): Promise<void> {
    try {
      await this.#options.put(rows);
      this.#tell(worker, { kind: 'done' });
    } catch (error) {
      const code = error instanceof EdgetallyError ? error.code : undefined;
      this.#tell(worker, { kind: 'done', error: { code, message: (error as Error).message } });
    }
  }

  #tell(worker: Worker | undefined, message: ToWorker): void {
    worker?.postMessage(message);
  }
}
