/** The one file of the agent that reads the clocks; everything else is told the time. */

export interface Clock {
  /** Wall clock, ms since 1970 UTC. */
  nowMs(): number;
}

export interface Clocks extends Clock {
  /** Never jumps; only differences mean anything. */
  monotonicMs(): number;
}

export const systemClock: Clocks = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
