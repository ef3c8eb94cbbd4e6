/**
 * When to commit: once an interval at most, and the first reading after a pause does not wait for one. A sensor that
 * speaks now and then gets its PUBACK at once, at the same number of commits.
 */
import type { Clocks } from './clock.js';

export class CommitTiming {
  readonly #intervalMs: number;
  readonly #clock: Clocks;
  readonly #commit: () => void;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #committedMs = Number.NEGATIVE_INFINITY;

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

  /** A commit begins, for whatever reason. */
  committed(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
    this.#immediate = undefined;
    this.#committedMs = this.#clock.monotonicMs();
  }
}
