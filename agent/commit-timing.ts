/**
 * When to commit: once an interval at most, and the first reading after a pause does not wait for one. A sensor that
 * speaks now and then gets its PUBACK at once, at the same number of commits.
 *
 * Where a thousand messages wait already, they need not wait longer, as long as the disk is quick (on an SD card it is not):
 * what waits is memory that the garbage collector moves about, and a block of ten thousand holds up the event loop.
 */
import type { Clocks } from './time/clock.js';

/** So many are committed at once, where commits take no more than a quarter of the time. */
const AMPLE = 1_000;
const EASE = 4;

export class CommitTiming {
  readonly #intervalMs: number;
  readonly #clock: Clocks;
  readonly #commit: () => void;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #committedMs = Number.NEGATIVE_INFINITY;
  /** How long the last commit took. */
  #tookMs = 0;

  constructor(intervalMs: number, clock: Clocks, commit: () => void) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
    this.#commit = commit;
  }

  /** Something waits. `urgent`: it cannot wait for company. */
  soon(urgent: boolean): void {
    if (this.#immediate !== undefined || (this.#timer !== undefined && !urgent)) return;
    const waitMs = urgent ? 0 : this.#committedMs + this.#intervalMs - this.#clock.monotonicMs();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // after all that this turn of the event loop brings
    if (waitMs <= 0) this.#immediate = setImmediate(this.#commit);
    else this.#timer = setTimeout(this.#commit, waitMs);
  }

  /** Whether so many messages are to be committed at once. */
  isEnough(messages: number): boolean {
    return messages >= AMPLE && this.#clock.monotonicMs() - this.#committedMs >= EASE * this.#tookMs;
  }

  /** The commit that had begun is on disk. */
  done(): void {
    this.#tookMs = this.#clock.monotonicMs() - this.#committedMs;
  }

  /** A commit begins, for whatever reason. */
  committed(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
    this.#immediate = undefined;
    this.#committedMs = this.#clock.monotonicMs();
  }
}
