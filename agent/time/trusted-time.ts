/**
 * When the wall clock is believed, and what time it then is. Pure: whoever looks at the clocks says what they show.
 *
 * A machine without a battery for its clock starts in 1970 or where it was switched off, and any clock may be set in
 * mid-run. So time is kept as the difference between the wall clock and the monotonic one; where that difference jumps,
 * the clock was set. A clock that is believed stays believed until it is set, whatever is said of it: nothing else makes
 * a good clock bad at once.
 */
import type { Evidence } from './clock-evidence.js';
import type { ClockOptions } from './clock-options.js';

/** The clocks at one moment. */
export interface Observation {
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** Asked only where it matters. */
  readonly evidence: () => Evidence;
}

export interface TrustRules {
  readonly trust: ClockOptions['trust'];
  readonly settleMs: number;
  /** Of the release of this program. */
  readonly releasedMs: number;
  /** The newest time that this database has seen; 0 where it is new. */
  readonly newestMs: number;
}

/** Why the clock is not believed. */
export type Doubt = 'before-release' | 'went-back' | 'not-synchronized' | 'just-set';

export interface Trust {
  readonly doubt: Doubt | undefined;
  /** Wall clock less monotonic clock: of a clock that is believed what holds, else what was seen last. */
  readonly offsetMs: number;
  /** Monotonic time since when the clock goes on without being set. */
  readonly sinceMs: number;
  /** Whether it was seen to be set. */
  readonly wasSet: boolean;
  /** A time service said so; then even a time before the newest is right. */
  readonly confirmed: boolean;
}

/** A difference beyond this between two looks is no drift. */
const STEP_MS = 1_000;
/** Drift is followed in steps of this size: in between, the order of arrival is the order of time. */
const DRIFT_MS = 20;
/** A little step back, as time services make, is not a clock that went back. */
const SLACK_MS = 60_000;

export function observe(before: Trust | undefined, seen: Observation, rules: TrustRules): Trust {
  const offsetMs = seen.wallMs - seen.monotonicMs;
  const movedMs = before === undefined ? 0 : Math.abs(offsetMs - before.offsetMs);
  const isSet = movedMs > STEP_MS;
  if (before !== undefined && before.doubt === undefined && !isSet) {
    return movedMs > DRIFT_MS ? { ...before, offsetMs } : before;
  }
  const wasSet = isSet || (before?.wasSet ?? false);
  const sinceMs = before === undefined || isSet ? seen.monotonicMs : before.sinceMs;
  const evidence = rules.trust === 'always' ? 'unknown' : seen.evidence();
  const settled = !wasSet || seen.monotonicMs - sinceMs >= rules.settleMs;
  const doubt = doubtOf(seen.wallMs, evidence, settled, rules);
  return { doubt, offsetMs, sinceMs, wasSet, confirmed: evidence === 'synchronized' };
}

function doubtOf(wallMs: number, evidence: Evidence, settled: boolean, rules: TrustRules): Doubt | undefined {
  if (rules.trust === 'always') return undefined;
  if (wallMs < rules.releasedMs) return 'before-release';
  if (evidence === 'synchronized') return undefined;
  if (evidence === 'unsynchronized' || rules.trust === 'synchronized') return 'not-synchronized';
  if (wallMs < rules.newestMs - SLACK_MS) return 'went-back';
  return settled ? undefined : 'just-set';
}

/** What the database should know as the newest time; undefined while there is nothing to say for sure. */
export function newestTime(trust: Trust, monotonicMs: number, newestMs: number): number | undefined {
  // a clock that was set wrong by mistake is mostly set right again soon
  if (trust.doubt !== undefined || monotonicMs - trust.sinceMs < STANDING_MS) return undefined;
  const nowMs = Math.round(trust.offsetMs + monotonicMs);
  return trust.confirmed ? nowMs : Math.max(nowMs, newestMs);
}

/** A clock that stood for that long without being set is taken down as seen. */
const STANDING_MS = 600_000;
