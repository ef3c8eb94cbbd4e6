/**
 * Receipts that are held back: a gateway gets one message for several batches. They are owed in its books, put there and
 * taken out in the very write that commits a batch. Pure.
 */
import type { BatchIdentity } from '../../../shared/batch.js';

/** `due` at once where there is none. */
export interface ReceiptOptions {
  /** A receipt is owed for so long at most, while batches or `takeOwed` come. */
  readonly delayMs: number;
  /** So many are due at once. */
  readonly most: number;
}

/** [epoch, session, sequence] */
type OwedRow = readonly [string, number, number];

export interface Owed {
  /** When the oldest was committed. */
  readonly sinceMs: number;
  readonly batches: readonly OwedRow[];
}

export interface Owing {
  readonly owed: Owed | undefined;
  readonly due: readonly BatchIdentity[];
}

/** A batch was committed. With an urgent one everything is due that is owed. */
export function owe(
  owed: Owed | undefined,
  { epoch, session, sequence }: BatchIdentity,
  isUrgent: boolean,
  nowMs: number,
  { delayMs, most }: ReceiptOptions,
): Owing {
  const before = owed?.batches ?? [];
  const isOwed = before.some(([e, s, n]) => e === epoch && s === session && n === sequence);
  const batches: readonly OwedRow[] = isOwed ? before : [...before, [epoch, session, sequence]];
  const all = { sinceMs: owed?.sinceMs ?? nowMs, batches };
  return isUrgent || batches.length >= most
    ? { owed: undefined, due: identitiesOf(all) }
    : overdue(all, nowMs, delayMs);
}

export function overdue(owed: Owed | undefined, nowMs: number, delayMs: number): Owing {
  if (owed === undefined || nowMs - owed.sinceMs < delayMs) return { owed, due: [] };
  return { owed: undefined, due: identitiesOf(owed) };
}

function identitiesOf({ batches }: Owed): BatchIdentity[] {
  return batches.map(([epoch, session, sequence]) => ({ epoch, session, sequence }));
}
