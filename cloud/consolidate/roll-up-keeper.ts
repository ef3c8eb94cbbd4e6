/**
 * Keeps the roll-ups up to date in the background: a slice of work, then a rest at least as long, so that batches never
 * wait for more than a slice. Starts with what an earlier process left stale. Nothing depends on it but speed: a stale
 * roll-up is not read.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.js';
import { recompute } from '../store/gather.js';
import { type DirtyRollUp, LEVELS, type Level, type RollUp, type RollUpStore } from '../store/store.js';

export interface RollUpKeeperOptions {
  readonly store: RollUpStore;
  readonly log: Log;
  /** After a change, wait for its company: a roll-up that changes ten times a second is computed once. */
  readonly settleMs: number;
  /** Work in one go. */
  readonly sliceMs?: number;
}

const MAX_IN_SLICE = 256;
const AFTER_ERROR_MS = 5000;

export class RollUpKeeper {
  readonly #options: RollUpKeeperOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #changed = true;
  #recomputed = 0;

  constructor(options: RollUpKeeperOptions) {
    this.#options = options;
  }

  /** Since the start of the process. */
  get recomputed(): number {
    return this.#recomputed;
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
        const done = await this.#slice();
        this.#recomputed += done;
        if (done > 0) await rest(performance.now() - startedMs, signal);
        else await this.#untilChanged();
      } catch (error) {
        if (signal.aborted) return;
        this.#options.log.warn({ err: error }, 'roll-ups could not be computed; reports are right, and slower');
        await rest(AFTER_ERROR_MS, signal);
      }
    }
  }

  async #slice(): Promise<number> {
    const endMs = performance.now() + (this.#options.sliceMs ?? 20);
    this.#changed = false;
    const rollUps = await this.#options.store.read(async (snapshot) => {
      const computed: RollUp[] = [];
      for (const stale of finest(await snapshot.oldestDirty(MAX_IN_SLICE))) {
        computed.push(await recompute(snapshot, stale));
        if (performance.now() >= endMs || this.#stopping.signal.aborted) break;
      }
      return computed;
    });
    if (rollUps.length > 0) await this.#options.store.putRollUps(rollUps);
    return rollUps.length;
  }

  async #untilChanged(): Promise<void> {
    if (!this.#changed && !this.#stopping.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    await rest(this.#options.settleMs, this.#stopping.signal);
  }
}

/**
 * Those of the finest level among the oldest. What they are made of is up to date, or it would be among the oldest too; and
 * the coarser ones are better computed from these, once they are put.
 */
function finest(oldest: readonly DirtyRollUp[]): readonly DirtyRollUp[] {
  const first = LEVELS.find((level) => oldest.some((stale) => isOf(stale, level)));
  return first === undefined ? [] : oldest.filter((stale) => isOf(stale, first));
}

function isOf(rollUp: DirtyRollUp, { scope, resolution }: Level): boolean {
  return rollUp.scope === scope && rollUp.resolution === resolution;
}

/** Ends early, and without an error, when stopped. */
async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
