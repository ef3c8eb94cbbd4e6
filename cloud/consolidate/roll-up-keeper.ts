/**
 * Keeps the roll-ups up to date in the background: a slice of work, then a rest at least as long, so that batches never
 * wait for more than a slice. Starts with what an earlier process left stale. Nothing depends on it but speed: a stale
 * roll-up is not read.
 *
 * Hours and days that are over are computed soon after a change. Those that are still going on change with every window
 * that closes, and computing an hour of minutes each minute reads every window thirty times: so they wait for REFRESH_MS,
 * come after all others, and get a fifth of the time at most. The more there are, the staler they get.
 *
 * A roll-up that cannot be computed or stored (a damaged window, counts beyond all sense) stays stale until it changes, and
 * does not hold up the others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EdgetallyError } from '../../shared/errors.js';
import type { Log } from '../log.js';
import { recompute } from '../store/gather.js';
import {
  type DirtyRollUp,
  LEVELS,
  type RollUp,
  type RollUpKey,
  type RollUpStore,
  type Snapshot,
} from '../store/store.js';

export interface RollUpKeeperOptions {
  readonly store: RollUpStore;
  readonly log: Log;
  /** After a change, wait for its company: a roll-up that changes ten times a second is computed once. */
  readonly settleMs: number;
  readonly now: () => number;
  /** Work in one go. */
  readonly sliceMs?: number;
}

const MAX_IN_SLICE = 256;
const AFTER_ERROR_MS = 5000;
/** An hour that goes on is computed once in this time at most. */
const REFRESH_MS = 60_000;
/** Windows come for some time after their hour is over. */
const STRAGGLING_MS = 90_000;
/** Something may fall due by itself. */
const IDLE_MS = 10_000;
const SHARE_OF_TIME = { over: 1, goingOn: 4 };

interface Due {
  readonly kind: keyof typeof SHARE_OF_TIME;
  readonly stale: readonly DirtyRollUp[];
}

export class RollUpKeeper {
  readonly #options: RollUpKeeperOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #changed = true;
  #recomputed = 0;
  #latestMs = 0;
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
        if (done === undefined) await this.#untilChanged();
        else await rest((performance.now() - startedMs) * SHARE_OF_TIME[done], signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#options.log.warn({ err: error }, 'roll-ups could not be computed; reports are right, and slower');
        await rest(AFTER_ERROR_MS, signal);
      }
    }
  }

  /** What kind of work was done; undefined where there was none. */
  async #slice(): Promise<Due['kind'] | undefined> {
    const endMs = performance.now() + (this.#options.sliceMs ?? 20);
    this.#changed = false;
    const { store } = this.#options;
    const computed = await store.read(async (snapshot) => {
      const due = await this.#due(snapshot);
      const rollUps: RollUp[] = [];
      for (const stale of due?.stale ?? []) {
        await this.#attempt(stale, async () => rollUps.push(await recompute(snapshot, stale)));
        if (performance.now() >= endMs || this.#stopping.signal.aborted) break;
      }
      return { rollUps, kind: due?.kind };
    });
    await this.#put(computed.rollUps);
    this.#recomputed += computed.rollUps.length;
    return computed.kind;
  }

  /** Of the finest level that has any. */
  async #due(snapshot: Snapshot): Promise<Due | undefined> {
    const nowMs = this.#options.now();
    const wentBack = nowMs < this.#latestMs; // the clock was set: what it said before means nothing now
    this.#latestMs = Math.max(nowMs, this.#latestMs);
    const before = (ms: number) => (wentBack ? Number.MAX_SAFE_INTEGER : nowMs - ms);
    const limit = MAX_IN_SLICE + this.#hopeless.size;
    const over = { staleSinceMs: before(this.#options.settleMs), overByMs: before(STRAGGLING_MS), limit };
    const goingOn = { staleSinceMs: before(REFRESH_MS), limit };
    for (const [kind, query] of [['over', over] as const, ['goingOn', goingOn] as const]) {
      for (const level of LEVELS) {
        const due = await snapshot.due(level, query);
        const stale = due.filter((one) => this.#hopeless.get(nameOf(one)) !== one.mark);
        if (stale.length > 0) return { kind, stale };
      }
    }
    return undefined;
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
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await rest(IDLE_MS, woken.signal);
      this.#wake = undefined;
    }
    await rest(this.#options.settleMs, this.#stopping.signal);
  }
}

function nameOf({ scope, resolution, subject, startMs }: RollUpKey): string {
  return JSON.stringify([scope, resolution, subject.gateway, subject.group, subject.device, startMs]);
}

function isPassing(error: unknown): boolean {
  return error instanceof EdgetallyError && error.retryable;
}

/** Ends early, and without an error, when stopped. */
async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
