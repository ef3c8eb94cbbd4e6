/** The one file of the agent that reads the clock; everything else is told the time. */

export interface Clock {
  /** Wall clock, ms since 1970 UTC. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };
