/**
 * A window: a tumbling interval of observation time of one device, `[start, start + length)`, aligned to UTC.
 */

import type { MetricSummary } from './summary.js';

export interface WindowKey {
  readonly group: string;
  readonly device: string;
  readonly startMs: number;
  readonly lengthMs: number;
  /**
   * Who made it: the session, or a name that the session drew later. What comes for the same interval in another session, or
   * when the window is forgotten, is a part of its own. Parts merge; a part never replaces another.
   */
  readonly part: number;
}

export interface WindowSummary extends WindowKey {
  /** From 1 on; grows with every change after the window may have been sent. The highest one is the truth. */
  readonly revision: number;
  readonly readings: number;
  readonly metrics: ReadonlyMap<string, MetricSummary>;
}

export const DAY_MS = 86_400_000;

/** The start of the UTC day that holds an instant; before 1970 too. */
export function utcDayMs(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS;
}

/** The start of the window that holds `timeUs`; times before 1970 too. */
export function windowStartMs(timeUs: number, lengthMs: number): number {
  // Exact: a quotient of safe integers that is not whole is further from the next whole number than rounding can carry it.
  return Math.floor(timeUs / (lengthMs * 1000)) * lengthMs;
}
