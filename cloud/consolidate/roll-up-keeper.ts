/**
 * Keeps the roll-ups up to date in the background: a slice of work, then a rest, so that batches never wait for more than
 * a slice. Starts with what an earlier process left stale. Nothing depends on it but speed: a stale
 * roll-up is not read.
 *
 * Hours and days that are over are computed soon after a change. Those that are still going on change with every window
 * that closes, and computing an hour of minutes each minute reads every window thirty times: so they wait for a minute,
 * come after all others, and get the smaller share of the time. The more there are, the staler they get.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.js';
import type { RollUpStore } from '../store/store.js';
import { RollUpSlices, type RollUpWork } from './roll-up-slices.js';

export interface RollUpKeeperOptions {
  readonly store: RollUpStore;
  readonly log: Log;
  /** After a change, wait for its company: a roll-up that changes ten times a second is computed once. */
  readonly settleMs: number;
  readonly now: () => number;
  /** Work in one go. */
  readonly sliceMs?: number;
  /** See RollUpSlicesOptions. */
  readonly refreshMs?: number;
  /** How long a rest is, beside the work before it. */
  readonly rests?: Readonly<Record<RollUpWork, number>>;
}

const AFTER_ERROR_MS = 5000;
/** Something may fall due by itself. */
const IDLE_MS = 10_000;
/** Where the thread that works here has batches to take in, too. */
const RESTS = { over: 1, goingOn: 4 };
const SLICE_MS = 20;

export class RollUpKeeper {
  readonly #options: RollUpKeeperOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #changed = true;
  readonly #slices: RollUpSlices;

  constructor(options: RollUpKeeperOptions) {
    this.#options = options;
    this.#slices = new RollUpSlices({ sliceMs: SLICE_MS, ...options, signal: this.#stopping.signal });
  }

  /** Since the start of the process. */
  get recomputed(): number {
    return this.#slices.recomputed;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Something became stale. */
  nudge(): void {
    this.#changed = true;
    this.#wake?.();
  }

  /** Idempotent; what is left stale waits for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const startedMs = performance.now();
        this.#changed = false;
        const done = await this.#slices.next();
        if (done === undefined) await this.#untilChanged();
        else await rest((performance.now() - startedMs) * (this.#options.rests ?? RESTS)[done], signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#options.log.warn({ err: error }, 'roll-ups could not be computed; reports are right, and slower');
        await rest(AFTER_ERROR_MS, signal);
      }
    }
  }

  async #untilChanged(): Promise<void> {
    if (!this.#changed && !this.#stopping.signal.aborted) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await rest(IDLE_MS, woken.signal);
      this.#wake = undefined;
    }
    await rest(this.#options.settleMs, this.#stopping.signal);
  }
}

/** Ends early, and without an error, when stopped. */
async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
