/**
 * Keeps the roll-ups up to date in the background: a slice of work, then a rest at least as long, so that batches never
 * wait for more than a slice. Starts with what an earlier process left stale. Nothing depends on it but speed: a stale
 * roll-up is not read.
 *
 * A roll-up that cannot be computed or stored (a damaged window, counts beyond all sense) stays stale until it changes, and
 * does not hold up the others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EdgetallyError } from '../../shared/errors.js';
import type { Log } from '../log.js';
import { recompute } from '../store/gather.js';
import { type DirtyRollUp, LEVELS, type Level, type RollUp, type RollUpKey, type RollUpStore } from '../store/store.js';

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
  /** Marks of those that cannot be kept up to date. */
  readonly #hopeless = new Map<string, number>();

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
    const { store } = this.#options;
    const computed = await store.read(async (snapshot) => {
      const oldest = await snapshot.oldestDirty(MAX_IN_SLICE + this.#hopeless.size);
      const rollUps: RollUp[] = [];
      let tried = 0;
      for (const stale of finest(oldest.filter((one) => this.#hopeless.get(nameOf(one)) !== one.mark))) {
        tried++;
        await this.#attempt(stale, async () => rollUps.push(await recompute(snapshot, stale)));
        if (performance.now() >= endMs || this.#stopping.signal.aborted) break;
      }
      return { rollUps, tried };
    });
    await this.#put(computed.rollUps);
    return computed.tried;
  }

  async #put(rollUps: readonly RollUp[]): Promise<void> {
    const { store } = this.#options;
    if (rollUps.length === 0) return;
    try {
      await store.putRollUps(rollUps);
    } catch (error) {
      if (isPassing(error)) throw error;
      for (const rollUp of rollUps) await this.#attempt(rollUp, () => store.putRollUps([rollUp]));
    }
    for (const rollUp of rollUps) {
      const name = nameOf(rollUp);
      if (this.#hopeless.get(name) !== rollUp.mark) this.#hopeless.delete(name);
    }
  }

  /** A fault that this very roll-up brings out is its own. */
  async #attempt(rollUp: DirtyRollUp, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (isPassing(error)) throw error;
      this.#hopeless.set(nameOf(rollUp), rollUp.mark);
      const { scope, resolution, subject, startMs } = rollUp;
      const what = { scope, resolution, ...subject, start: new Date(startMs).toISOString() };
      this.#options.log.warn({ err: error, ...what }, 'a roll-up cannot be kept; reports read its windows instead');
    }
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

function nameOf({ scope, resolution, subject, startMs }: RollUpKey): string {
  return JSON.stringify([scope, resolution, subject.gateway, subject.group, subject.device, startMs]);
}

function isPassing(error: unknown): boolean {
  return error instanceof EdgetallyError && error.retryable;
}

function isOf(rollUp: DirtyRollUp, { scope, resolution }: Level): boolean {
  return rollUp.scope === scope && rollUp.resolution === resolution;
}

/** Ends early, and without an error, when stopped. */
async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
