/**
 * The books of the gateway: what came in and what became of it. They balance at every moment:
 * in = counted + duplicate + rejected + held. Books are a pure sum over blocks, so they survive a crash exactly.
 */
import { z } from 'zod';
import { utcDayMs } from '../shared/window.js';
import type { Loss, Tally } from './block.js';

const reasonsSchema = z.record(z.string(), z.number().int().nonnegative());

export const booksSchema = z.object({
  /** Readings, and messages that held none. */
  in: z.number().int().nonnegative(),
  counted: z.number().int().nonnegative(),
  duplicate: z.number().int().nonnegative(),
  /** Held apart now, because they are from the future or nobody knows the time yet. */
  held: z.number().int().nonnegative(),
  /** Of those counted: readings that brought no time, of a boot that ended before its clock was set. */
  estimated: z.number().int().nonnegative().default(0),
  rejected: reasonsSchema,
  /** Single metrics left out of readings that otherwise count. */
  values: reasonsSchema,
  /** Unsent windows that were merged into coarser ones to save room, by the length of those: `15m`, `1h`, `1d`. */
  coarsened: reasonsSchema,
});

export type Books = z.infer<typeof booksSchema>;

export function emptyBooks(): Books {
  return { in: 0, counted: 0, duplicate: 0, held: 0, estimated: 0, rejected: {}, values: {}, coarsened: {} };
}

/** What one block lost, as the cloud is told. */
export function lossesOf(tally: Tally, { duplicate }: { duplicate: number }): readonly Loss[] {
  if (duplicate === 0) return tally.losses;
  const dayMs = utcDayMs(tally.atMs);
  return [...tally.losses, { dayMs, kind: 'duplicate', reason: 'repeated', device: 0, count: duplicate }];
}

/** Adds what one block brought, in place. */
export function enter(books: Books, tally: Tally, applied: { counted: number; duplicate: number }): void {
  books.in += tally.in;
  books.counted += applied.counted;
  books.duplicate += applied.duplicate;
  for (const { kind, reason, count } of tally.losses) {
    if (kind === 'rejected' || kind === 'values') addReasons(books[kind], { [reason]: count });
    else if (kind === 'duplicate') books.duplicate += count;
    else if (kind === 'held') books.held += count;
    else if (kind === 'released') books.held -= count;
    else if (kind === 'estimated') books.estimated += count;
  }
}

export function addReasons(total: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [reason, count] of Object.entries(more)) total[reason] = (total[reason] ?? 0) + count;
}

export function sumReasons(reasons: Readonly<Record<string, number>>): number {
  return Object.values(reasons).reduce((sum, count) => sum + count, 0);
}

/** After a salvage, in place: so many are held, and what was lost did not come in, as far as the books know. */
export function rebalance(books: Books, held: number): void {
  books.held = held;
  books.in -= imbalance(books);
}

/** What is in no other place; 0 as long as the promise holds. */
export function imbalance(books: Books): number {
  return books.in - books.counted - books.duplicate - sumReasons(books.rejected) - books.held;
}
