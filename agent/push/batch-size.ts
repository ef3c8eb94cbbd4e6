/**
 * How many windows fill a batch: an estimate learned from what the last batches took. Only an estimate: whoever fills a
 * batch by it looks at what came out.
 */
import { BATCH_LIMITS } from '../../shared/batch.js';
import type { BacklogWindow } from '../stored-window.js';

/** Index, dates and counts of a window. */
const WINDOW_BYTES = 12;
/** What the first batch is taken to need of its windows' stored size. */
const FIRST_RATIO = 0.5;
/** Weight of the newest batch, where it took less than expected; where it took more, only it counts. */
const LEARNING = 0.3;
/** Batches differ; aim below the limit rather than encode twice. */
const AIM = 0.92;
/** A batch is gathered, encoded and marked in one go, in which nothing else is done. */
const MAX_WINDOWS = 2_000;
const MAX_SUMMARIES = BATCH_LIMITS.maxSummaries;
/** A body compresses, but not below this share of what is inflated again over there. */
const MAX_STORED_BYTES = BATCH_LIMITS.maxBodyBytes / 2;

export class BatchSize {
  readonly maxBytes: number;
  #ratio = FIRST_RATIO;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** A batch to be filled. */
  fill(): BatchFill {
    return new BatchFill(Math.min((this.maxBytes * AIM) / this.#ratio, MAX_STORED_BYTES));
  }

  /** These windows took that many bytes, encoded. */
  learn(windows: readonly BacklogWindow[], bytes: number): void {
    const stored = windows.reduce((sum, window) => sum + storedBytes(window), 0);
    const ratio = bytes / stored;
    this.#ratio = ratio > this.#ratio ? ratio : this.#ratio + LEARNING * (ratio - this.#ratio);
  }

  /** How many of `count` windows fit where all of them took `bytes`. */
  fitting(count: number, bytes: number): number {
    return Math.max(1, Math.min(count - 1, Math.floor((count * this.maxBytes * AIM) / bytes)));
  }
}

export class BatchFill {
  #stored: number;
  #windows = MAX_WINDOWS;
  #summaries = MAX_SUMMARIES;
  #any = false;

  constructor(storedBytes: number) {
    this.#stored = storedBytes;
  }

  /** Whether the window fits; the first one always does. */
  add(window: BacklogWindow): boolean {
    this.#stored -= storedBytes(window);
    this.#summaries -= window.summary.metrics.size;
    this.#windows--;
    const fits = this.#stored >= 0 && this.#summaries >= 0 && this.#windows >= 0;
    const first = !this.#any;
    this.#any = true;
    return first || fits;
  }
}

function storedBytes({ bytes }: BacklogWindow): number {
  return WINDOW_BYTES + bytes;
}
