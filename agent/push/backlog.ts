/** The buffer, as the push stage sees it. */
import type { LedgerEntry } from '../../shared/batch.js';
import type { BacklogWindow, RefusedWindow, WindowId, WindowRef } from '../stored-window.js';
import type { LossSource } from './loss-courier.js';

export interface Backlog {
  /** Closed windows without a receipt, oldest first, behind `after`. */
  page(after: WindowId, limit: number): BacklogWindow[];
  /** One window as it may be sent now; undefined where it has its receipt or is not closed. */
  unsent(id: WindowId): BacklogWindow | undefined;
  ledger(refs: readonly WindowRef[]): LedgerEntry[];
  /**
   * These revisions are about to leave: from now on the cloud may know them. Durable when it returns; returns those that
   * are still there as they were.
   */
  attempted(refs: readonly WindowRef[]): WindowRef[];
  /** The cloud has these revisions. What was known of their refusal is forgotten. */
  receipted(refs: readonly WindowRef[]): void;
  /** What could not be delivered so far. */
  refused(): readonly RefusedWindow[];
  /** Remembers, beyond a restart, that this window could not be delivered. */
  refuse(ref: WindowRef, reason: string, detail: string): void;
  readonly losses: LossSource;
}

export function keyOf({ device, startMs, lengthMs, part }: WindowId): string {
  return `${device}/${startMs}/${lengthMs}/${part}`;
}
