/**
 * When nothing is sent for a while, because of what the cloud refuses. Pure: time is an argument, of a clock that never jumps.
 */

/** Refusals that concern the batch as such, so that cutting it in halves would not help; and how long to wait after it. */
const WHOLE: Readonly<Record<string, number>> = {
  'newer-version': 600_000,
  'not-a-batch': 10_000,
  checksum: 10_000,
  quota: 600_000, // this gateway has had its share of today
};
/** A cloud that takes nothing at all is not asked about each window at full speed. */
const REFUSED_IN_A_ROW = 100;
const REFUSED_WAIT_MS = 60_000;

export class Pause {
  #untilMs = Number.NEGATIVE_INFINITY;
  #refusedInARow = 0;

  isOn(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }

  /** A batch was refused. True where that is about the batch as such, so that it may go again as it is. */
  refused(reason: string, nowMs: number): boolean {
    const waitMs = WHOLE[reason];
    if (waitMs !== undefined) this.#untilMs = nowMs + waitMs;
    else if (++this.#refusedInARow % REFUSED_IN_A_ROW === 0) this.#untilMs = nowMs + REFUSED_WAIT_MS;
    return waitMs !== undefined;
  }

  /** Windows were committed. */
  over(): void {
    this.#refusedInARow = 0;
  }
}
