/**
 * A loss record: how much of one kind was lost, left out or put aside for one reason on one day, in the gateway's own count.
 *
 * Cumulative since the gateway's database was made, and the greatest count wins: records that are lost, repeated or come in
 * another order change nothing.
 */

/** What may become of a reading or a window besides being counted and sent. A receiver takes other words too. */
export const LOSS_KINDS = [
  'rejected', // readings, and messages that held none
  'values', // single metrics left out of readings that count
  'duplicate', // readings that had been counted before
  'held', // readings put aside because they are from the future or nobody knows the time
  'released', // of these, the ones whose time came or became known
  'estimated', // of those released, the ones whose time is an estimate
  'unstored', // readings that could not be stored, and were not acknowledged
  'coarsened', // windows merged into longer ones to save room
  'damaged', // what a damaged database lost
] as const;

export type LossKind = (typeof LOSS_KINDS)[number];

export interface LossRecord {
  /** The UTC day on which it happened, by the clock of the gateway: of readings, the day they arrived. */
  readonly dayMs: number;
  /** A word: a LossKind, or one of a newer gateway. */
  readonly kind: string;
  /** A word. */
  readonly reason: string;
  /** Both undefined where no one device is known. */
  readonly group: string | undefined;
  readonly device: string | undefined;
  readonly count: number;
}

/** A kind or a reason: safe to print. */
export const WORD = /^[a-z0-9-]{1,64}$/;
