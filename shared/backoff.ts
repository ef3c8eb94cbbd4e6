/**
 * How long to wait before the next attempt: random below a ceiling that doubles with each failure ("full jitter", AWS
 * Architecture Blog, "Exponential Backoff And Jitter"), so that a thousand gateways do not come back at once. Pure.
 */

export interface BackoffLimits {
  /** The floor, ms; the first ceiling is twice as high. */
  readonly minBackoff: number;
  /** The last ceiling, ms. */
  readonly maxBackoff: number;
}

/** `failures`: attempts in a row that failed, from 1; `random`: 0 ≤ random < 1. */
export function backoffMs(failures: number, { minBackoff, maxBackoff }: BackoffLimits, random: number): number {
  const ceiling = Math.min(maxBackoff, minBackoff * 2 ** Math.min(failures, 30));
  return minBackoff + random * Math.max(0, ceiling - minBackoff);
}
