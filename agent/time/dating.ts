/**
 * Gives readings without a time of their own theirs, once the time is known. Pure.
 *
 * Of the boot that runs, the difference between wall clock and monotonic clock is known, so each gets the very time at
 * which it came. Of a boot that ended before its clock was ever believed, it is not: such readings came before the next
 * boot began, and are dated as if the machine had been switched off right then. That is the latest they can be, and what
 * a restart after a short power cut makes true within seconds; they are counted as estimated.
 */
import type { BlockReading } from '../block.js';

/** A start of the machine in which such readings came. */
export interface Boot {
  readonly bootId: string;
  /** When the last of them came, µs by the monotonic clock, which is 0 where the boot began. */
  readonly lastUs: number;
}

export interface BootTime {
  /** Wall clock less monotonic clock, ms: when the boot began. */
  readonly offsetMs: number;
  readonly isEstimate: boolean;
}

/** When each boot began. `boots` in order; the one that runs is `bootId`, and began at `offsetMs`. */
export function bootTimes(boots: readonly Boot[], bootId: string, offsetMs: number): Map<string, BootTime> {
  const times = new Map([[bootId, { offsetMs, isEstimate: false }]]);
  let nextMs = offsetMs;
  for (const boot of [...boots].reverse()) {
    if (boot.bootId === bootId) continue;
    nextMs -= boot.lastUs / 1000;
    times.set(boot.bootId, { offsetMs: nextMs, isEstimate: true });
  }
  return times;
}

export function dated(reading: BlockReading, offsetMs: number): BlockReading {
  return { ...reading, timeUs: Math.max(0, reading.timeUs + Math.round(offsetMs * 1000)) };
}
