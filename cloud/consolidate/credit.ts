/**
 * How many windows of its backlog each gateway may send: granted in its receipts, so that a fleet that comes back at once
 * drains calmly. All gateways together get half of what comes live, and never less than the operator says; less, where
 * commits take long. Pure: time is an argument, of a clock that never jumps.
 *
 * A grant is a wish, not a wall: a gateway that does not know of credit sends what it likes.
 */
import type { Status } from '../../shared/status.js';

/** Of a batch: how many of its windows were sent soon after their end, and how many not. */
export interface Ages {
  readonly live: number;
  readonly backlog: number;
}

interface Gateway {
  /** Windows of its backlog that are still to come, as far as it has said. */
  owed: number;
  /** Until then it counts as one that drains. */
  untilMs: number;
}

/** Of what comes live. */
const SHARE = 0.5;
/** What comes live is averaged over this long. */
const AVERAGE_MS = 60_000;
/** After a batch with old windows, more are expected for this long; after a status that tells of some, until the next one. */
const MORE_MS = 10_000;
const STATUS_MS = 150_000;
/** Fewer, or younger ones, are no backlog that is worth a share. */
const LEAST_OWED = 50;
const OLD_MS = 120_000;
/** Commits that take longer than this mean that the store is busy. */
const SLOW_MS = 1_000;
const ADJUST_MS = 1_000;
const LEAST_EASE = 0.02;

/** A window that is sent later than this after its end, and twice its length, comes from a backlog. */
export const LIVE_MS = 30_000;

export class CreditBook {
  readonly #leastPerSecond: number;
  readonly #gateways = new Map<string, Gateway>();
  readonly #startMs: number;
  #live = 0;
  #liveAtMs: number;
  /** Share of the budget that is granted: shrinks while the store is slow. */
  #ease = 1;
  #easedMs: number;

  constructor(leastPerSecond: number, nowMs: number) {
    this.#leastPerSecond = leastPerSecond;
    this.#startMs = nowMs;
    this.#liveAtMs = nowMs;
    this.#easedMs = nowMs;
  }

  /** A batch was committed, `tookMs` after it came. */
  batch(gateway: string, { live, backlog }: Ages, tookMs: number, nowMs: number): void {
    this.#decay(nowMs);
    this.#live += live;
    this.#adjust(tookMs, nowMs);
    if (backlog === 0) return;
    const known = this.#gateways.get(gateway);
    const owed = Math.max(0, (known?.owed ?? 0) - backlog);
    this.#gateways.set(gateway, { owed, untilMs: Math.max(known?.untilMs ?? 0, nowMs + MORE_MS) });
  }

  /** A gateway says how it is. */
  status(gateway: string, { state, backlog, sentMs }: Status, nowMs: number): void {
    const isOld = backlog.oldestMs !== null && sentMs - backlog.oldestMs > OLD_MS;
    if (state === 'online' && isOld && backlog.windows >= LEAST_OWED) {
      this.#gateways.set(gateway, { owed: backlog.windows, untilMs: nowMs + STATUS_MS });
    } else this.#gateways.delete(gateway);
  }

  /** Windows of its backlog a second that a gateway may send. */
  grant(gateway: string, nowMs: number): number {
    this.#decay(nowMs);
    let draining = 0;
    for (const [name, { untilMs }] of this.#gateways) {
      if (untilMs <= nowMs) this.#gateways.delete(name);
      else draining++;
    }
    if (!this.#gateways.has(gateway)) draining++;
    const passedMs = Math.max(1_000, nowMs - this.#startMs);
    const livePerSecond = (1000 * this.#live) / (AVERAGE_MS * (1 - Math.exp(-passedMs / AVERAGE_MS)));
    const budget = Math.max(this.#leastPerSecond, SHARE * livePerSecond) * this.#ease;
    return Math.max(0.01, Math.round((100 * budget) / draining) / 100);
  }

  #decay(nowMs: number): void {
    this.#live *= Math.exp(-Math.max(0, nowMs - this.#liveAtMs) / AVERAGE_MS);
    this.#liveAtMs = nowMs;
  }

  #adjust(tookMs: number, nowMs: number): void {
    if (nowMs - this.#easedMs < ADJUST_MS) return;
    this.#easedMs = nowMs;
    this.#ease = tookMs > SLOW_MS ? Math.max(LEAST_EASE, this.#ease / 2) : Math.min(1, this.#ease * 1.2);
  }
}
