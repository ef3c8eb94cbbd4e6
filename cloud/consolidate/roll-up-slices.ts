/**
 * A slice of work on roll-ups: those that are due, the finest level first, computed afresh and put. Any number of
 * processes may do that at once: of two results the later state wins, and a roll-up is the same whoever computes it.
 *
 * A roll-up that cannot be computed or stored (a damaged window, counts beyond all sense) stays stale until it changes, and
 * does not hold up the others.
 */
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

export interface RollUpSlicesOptions {
  readonly store: RollUpStore;
  readonly log: Log;
  /** After a change, wait for its company: a roll-up that changes ten times a second is computed once. */
  readonly settleMs: number;
  readonly now: () => number;
  /** Work in one go. */
  readonly sliceMs: number;
  /** Hours, days and months that are going on are computed once in this time at most; a minute where it is left out. */
  readonly refreshMs?: number;
  /** Ends a slice early. */
  readonly signal: AbortSignal;
}

/** Of hours, days and months that are over, or of such that are going on. */
export type RollUpWork = 'over' | 'goingOn';

const MAX_IN_SLICE = 256;
const REFRESH_MS = 60_000;
/** Windows come for some time after their hour is over. */
const STRAGGLING_MS = 90_000;

interface Due {
  readonly kind: RollUpWork;
  readonly stale: readonly DirtyRollUp[];
}

export class RollUpSlices {
  readonly #options: RollUpSlicesOptions;
  #recomputed = 0;
  #latestMs = 0;
  /** Marks of those that cannot be kept up to date. */
  readonly #hopeless = new Map<string, number>();

  constructor(options: RollUpSlicesOptions) {
    this.#options = options;
  }

  /** So far. */
  get recomputed(): number {
    return this.#recomputed;
  }

  /** What kind of work was done; undefined where there was none. */
  async next(): Promise<RollUpWork | undefined> {
    const { store, sliceMs, signal } = this.#options;
    const endMs = performance.now() + sliceMs;
    const computed = await store.read(async (snapshot) => {
      const due = await this.#due(snapshot);
      const rollUps: RollUp[] = [];
      for (const stale of due?.stale ?? []) {
        await this.#attempt(stale, async () => rollUps.push(await recompute(snapshot, stale)));
        if (performance.now() >= endMs || signal.aborted) break;
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
    const goingOn = { staleSinceMs: before(this.#options.refreshMs ?? REFRESH_MS), limit };
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
}

function nameOf({ scope, resolution, subject, startMs }: RollUpKey): string {
  return JSON.stringify([scope, resolution, subject.gateway, subject.group, subject.device, startMs]);
}

function isPassing(error: unknown): boolean {
  return error instanceof EdgetallyError && error.retryable;
}
