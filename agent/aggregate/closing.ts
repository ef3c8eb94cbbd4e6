/**
 * When a window closes: once as much time has passed as was left of it when its first reading came, and the lateness of its
 * route. Time passes on the steady clock, so that a jump of the wall clock closes nothing early and keeps nothing open.
 * Pure.
 */

/** The time, as far as closing goes by it. */
export interface Moment {
  /** Goes on evenly, whatever is done to the clock. */
  readonly steadyMs: number;
  /** Undefined while nobody knows the time. */
  readonly trustedMs: number | undefined;
}

interface Closing {
  readonly startMs: number;
  readonly lengthMs: number;
  /** How often it was saved before. */
  readonly revision: number;
}

/**
 * On the steady clock. Each revision of a window waits twice as long as the one before, up to its length: readings that
 * trickle in late, or a clock that is far ahead and believed, do not become a flood of revisions.
 */
export function closingTime(window: Closing, timeUs: number, latenessMs: number, now: Moment): number {
  const { startMs, lengthMs, revision } = window;
  const left = startMs + lengthMs - (now.trustedMs ?? timeUs / 1000);
  const patienceMs = Math.max(latenessMs, Math.min(lengthMs, latenessMs * 2 ** revision));
  return now.steadyMs + Math.min(lengthMs, Math.max(0, left)) + patienceMs;
}
