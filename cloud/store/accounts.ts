/** The accounts that a store keeps beside the windows: of gateways and their databases, of days, and its own books. */
import type { Status } from '../../shared/status.js';
import type { SequenceSet } from './sequences.js';
import type { Subject } from './store.js';

export interface GatewayRow {
  readonly gateway: string;
  /** When a message last came from it, by the cloud's clock; 0 for never (only a retained status is known). */
  readonly seenMs: number;
  /** The end of the newest window that is committed; undefined before the first. */
  readonly newestMs: number | undefined;
  readonly batches: number;
  readonly rejected: number;
  /** Batches that were refused because the gateway has had its share. */
  readonly overQuota: number;
  readonly epochs: readonly EpochRow[];
  readonly status: Status | undefined;
  readonly statusMs: number;
}

/** One database of a gateway. */
export interface EpochRow {
  readonly epoch: string;
  readonly firstSeenMs: number;
  /** When its last batch came. */
  readonly lastSeenMs: number;
  /** The sum of its ledger. */
  readonly told: number;
  /**
   * The status with the fullest books. Not always the last one: a last will was written when the link came up, and is old
   * by the time it is heard.
   */
  readonly status: Status | undefined;
  readonly statusMs: number;
  readonly sessions: readonly SessionRow[];
}

/** How the batches of one session of a gateway arrived. */
export interface SessionRow {
  readonly session: number;
  readonly sequences: SequenceSet;
}

/** One device, UTC day and epoch. */
export interface DayTally {
  readonly subject: Subject;
  readonly dayMs: number;
  readonly epoch: string;
  /** Readings that the gateway says it counted; 0 where it has said nothing. */
  readonly counted: number;
  /** Readings in the windows that start on that day. */
  readonly arrived: number;
  /** When the gateway last raised its count, by the cloud's clock; 0 for never. */
  readonly toldMs: number;
}

/** See LossRecord. One record of one epoch; of a loss without a device the group is undefined too. */
export interface LossRow {
  readonly subject: Subject;
  readonly dayMs: number;
  readonly epoch: string;
  readonly kind: string;
  readonly reason: string;
  readonly count: number;
}

export interface StoreBooks {
  readonly quarantined: number;
  readonly quarantinedBytes: number;
  /** Rejected messages that had to make room for newer ones. */
  readonly evicted: number;
  /** Roll-ups that wait to be recomputed. */
  readonly dirty: number;
}
