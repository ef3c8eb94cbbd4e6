/**
 * What the agent writes to its disk, as somebody with an SD card asks: bytes a reading, and bytes a day as it goes now. Of the
 * last 24 hours at most, so that what changed shows. Pure: whoever measures hands samples in.
 */

export interface WriteSample {
  readonly monotonicMs: number;
  /** All of these only grow while the program runs. */
  readonly bytes: number;
  readonly readings: number;
  readonly commits: number;
}

/** Of the time that is looked at. */
export interface WriteState {
  readonly overMs: number;
  readonly bytes: number;
  readonly readings: number;
  /** Commits of readings, one fsync each. */
  readonly commits: number;
  /** Null where no reading came. */
  readonly bytesPerReading: number | null;
  /** Null while that would be a guess. */
  readonly bytesPerDay: number | null;
}

const DAY_MS = 86_400_000;
const MARK_MS = 600_000;
const LEAST_MS = 60_000;

export class WriteBudget {
  /** One each ten minutes, the oldest first. */
  readonly #marks: WriteSample[];

  constructor(first: WriteSample) {
    this.#marks = [first];
  }

  /** Called some times in ten minutes. */
  note(sample: WriteSample): void {
    if (sample.monotonicMs - this.#marks.at(-1)!.monotonicMs < MARK_MS) return;
    this.#marks.push(sample);
    while (sample.monotonicMs - this.#marks[1]!.monotonicMs >= DAY_MS) this.#marks.shift();
  }

  state(now: WriteSample): WriteState {
    const since = this.#marks[0]!;
    const overMs = now.monotonicMs - since.monotonicMs;
    const bytes = now.bytes - since.bytes;
    const readings = now.readings - since.readings;
    return {
      overMs,
      bytes,
      readings,
      commits: now.commits - since.commits,
      bytesPerReading: readings === 0 ? null : bytes / readings,
      bytesPerDay: overMs < LEAST_MS ? null : (bytes / overMs) * DAY_MS,
    };
  }
}
