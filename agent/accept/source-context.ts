/** What a source is given by the agent around it, and the little that all sources share. */
import type { Logger } from 'pino';
import type { Accept } from '../reading.js';
import type { Clock } from '../time/clock.js';

export interface SourceContext {
  readonly accept: Accept;
  /** The gateway's name. */
  readonly gateway: string;
  /** Which of the configured sources this is, from 1. */
  readonly number: number;
  /** The topic filters of all routes. */
  readonly filters: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Arrival times in µs by the monotonic clock, each later than the one before, so that their order is the order of arrival. */
export function arrivalTimes(clock: Clock): () => number {
  let last = 0;
  return () => {
    last = Math.max(Math.round(clock.monotonicMs() * 1000), last + 1);
    return last;
  };
}

/** Kinds may carry a client's name; names are not remembered without end. */
const MAX_KINDS = 1000;

/** Says the same kind of thing at most once in ten seconds; a thousand sensors may all be refused at once. */
export function seldom(clock: Clock, say: (details: object, message: string) => void) {
  const said = new Map<string, { atMs: number; unsaid: number }>();
  return (kind: string, details: object, message: string): void => {
    const nowMs = clock.monotonicMs();
    const before = said.get(kind);
    if (before !== undefined && nowMs - before.atMs < 10_000) {
      before.unsaid++;
      return;
    }
    if (said.size >= MAX_KINDS) said.clear();
    said.set(kind, { atMs: nowMs, unsaid: 0 });
    const unsaid = before?.unsaid ?? 0;
    say(unsaid === 0 ? details : { ...details, similar: unsaid }, message);
  };
}
