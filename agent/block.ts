/**
 * A block is what one commit makes durable: the readings accepted since the last one, by dictionary ids, and the counts
 * of what was not accepted. The state of the gateway is a pure function of its saved windows and the blocks after them;
 * live running and recovery apply the same blocks by the same code.
 */
import type { RejectReason } from './reading.js';

/** What readings of one route and one set of metrics have in common. */
export interface Shape {
  readonly windowMs: number;
  readonly latenessMs: number;
  /** Dictionary ids of the metrics, in the order of a reading's values. */
  readonly metrics: readonly number[];
  /** '' or, for messages that carry one named metric, its name: see `Reading.lane`. */
  readonly lane: string;
}

export interface BlockReading {
  /** Dictionary id of (group, device). */
  readonly device: number;
  readonly shape: Shape;
  readonly timeUs: number;
  readonly recordId: string | undefined;
  readonly values: readonly number[];
}

/** What a block adds to the books besides its readings. Reading counts, except `values`, which are single metrics. */
export interface Tally {
  /** Everything that came in, in whatever way it ended. */
  in: number;
  rejected: Partial<Record<RejectReason, number>>;
  /** Single metrics left out of readings that otherwise count. */
  values: Partial<Record<RejectReason, number>>;
  /** Readings put aside because they are from the future, less those released. */
  held: number;
}

export interface Block {
  readonly readings: readonly BlockReading[];
  readonly tally: Tally;
}

export function emptyTally(): Tally {
  return { in: 0, rejected: {}, values: {}, held: 0 };
}
