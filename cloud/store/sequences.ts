/**
 * Which batches of a session arrived. A gateway numbers them from 1 without a gap, so a number below the highest that is
 * missing here is a batch that was sent and did not arrive: lost on its way, or not here yet.
 *
 * What that does not say is that readings were lost. Windows without a receipt are sent again, in another batch under
 * another number, and the old number stays missing for ever. Gaps tell how the link is; the ledger tells what is missing.
 * Nor does it say anything of numbers above the highest: nobody knows whether they were given.
 *
 * Pure, and bounded: of a link so bad that there are over MAX_RANGES gaps the oldest are closed and their numbers counted.
 */

export interface SequenceSet {
  /** First and last of each run of numbers that arrived: ascending, with a gap between any two. */
  readonly ranges: readonly (readonly [number, number])[];
  /** Numbers that lie in a range, and are missing all the same: their gap was closed. */
  readonly closed: number;
}

export const NO_SEQUENCES: SequenceSet = { ranges: [], closed: 0 };
export const MAX_RANGES = 64;

/** The same object where the number is there already, or in a gap that was closed. */
export function addSequence(set: SequenceSet, sequence: number): SequenceSet {
  if (set.ranges.some(([first, last]) => first <= sequence && sequence <= last)) return set;
  const before = set.ranges.filter(([, last]) => last < sequence - 1);
  const after = set.ranges.filter(([first]) => first > sequence + 1);
  const touching = set.ranges.slice(before.length, set.ranges.length - after.length);
  const first = touching.find(([, last]) => last === sequence - 1)?.[0] ?? sequence;
  const last = touching.find(([start]) => start === sequence + 1)?.[1] ?? sequence;
  return bounded([...before, [first, last], ...after], set.closed);
}

function bounded(ranges: SequenceSet['ranges'], closed: number): SequenceSet {
  const [oldest, next, ...rest] = ranges;
  if (oldest === undefined || next === undefined || ranges.length <= MAX_RANGES) return { ranges, closed };
  return { ranges: [[oldest[0], next[1]], ...rest], closed: closed + next[0] - oldest[1] - 1 };
}

export interface SequenceTally {
  readonly highest: number;
  readonly arrived: number;
  /** Below the highest. */
  readonly missing: number;
  /** First and last of each run of missing numbers, but for those that were closed. */
  readonly gaps: readonly (readonly [number, number])[];
}

export function tallySequences({ ranges, closed }: SequenceSet): SequenceTally {
  const gaps: [number, number][] = [];
  let arrived = -closed;
  let highest = 0;
  for (const [first, last] of ranges) {
    if (first > highest + 1) gaps.push([highest + 1, first - 1]);
    arrived += last - first + 1;
    highest = last;
  }
  return { highest, arrived, missing: highest - arrived, gaps };
}
