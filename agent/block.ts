/**
 * A block is what one commit makes durable: the readings accepted since the last one, by dictionary ids, and the counts
 * of what was not accepted. The state of the gateway is a pure function of its saved windows and the blocks after them;
 * live running and recovery apply the same blocks by the same code.
 */
import type { LossKind, LossRecord } from '../shared/loss.js';
import type { DeliveryRecord } from './deliveries.js';

/** What readings of one route and one set of metrics have in common. */
export interface Shape {
  readonly windowMs: number;
  readonly latenessMs: number;
  /** Dictionary ids of the metrics, in the order of a reading's values. */
  readonly metrics: readonly number[];
  /** '' or, for messages that carry one named metric, its name: see `Reading.lane`. */
  readonly lane: string;
  /** Their time is the one at which they came: no two are the same reading, unless they have the same record id. */
  readonly undated?: boolean;
}

export interface BlockReading {
  /** Dictionary id of (group, device). */
  readonly device: number;
  readonly shape: Shape;
  /** µs since 1970 UTC; of an undated reading that is held, µs by the monotonic clock. */
  readonly timeUs: number;
  readonly recordId: string | undefined;
  readonly values: readonly number[];
}

/** So many readings (of kind `values` metrics, of kind `coarsened` windows) that ended otherwise than counted. */
export interface Loss {
  /** The UTC day on which it happened: of readings, the day they arrived. */
  readonly dayMs: number;
  readonly kind: LossKind;
  readonly reason: string;
  /** Dictionary id; 0 where no one device is known. */
  readonly device: number;
  readonly count: number;
}

/** Losses that the cloud does not know of, as they may be sent now. */
export interface UntoldLoss {
  readonly key: string;
  readonly record: LossRecord;
}

/** What a block adds to the books besides its readings. */
export interface Tally {
  /** Everything that came in, in whatever way it ended. */
  readonly in: number;
  /** When the block was made, ms: repeated readings are filed under this day. */
  readonly atMs: number;
  /** No two of one day, kind, reason and device. */
  readonly losses: readonly Loss[];
}

export interface Block {
  readonly readings: readonly BlockReading[];
  readonly tally: Tally;
  /** Of messages that nothing else would tell from their repetition. */
  readonly deliveries?: readonly DeliveryRecord[];
}

export function emptyTally(atMs = 0): Tally {
  return { in: 0, atMs, losses: [] };
}
