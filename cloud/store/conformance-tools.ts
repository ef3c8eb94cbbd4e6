/** What the cases of the conformance suite share. */
import type { Test } from 'tap';
import { type MetricSummary, mergeAll, statisticsOf } from '../../shared/summary.js';
import { gather, recompute } from './gather.js';
import type { Quota } from './quota.js';
import { NOON } from './samples.js';
import { DAY_MS, LEVELS, type Level, type Portion, type Snapshot, type Store, type Where } from './store.js';

export type ConformanceCases = Readonly<Record<string, (t: Test, database: ConformanceDatabase) => Promise<void>>>;

/** Of the database that is tested. */
export const QUOTA: Quota = { devices: 60, metrics: 20, rowsPerDay: 400 };

/** A database that can be closed and opened again; `maxQuarantineBytes` is 1000, the quota of a gateway is QUOTA. */
export interface ConformanceDatabase {
  readonly store: Store;
  /** A snapshot does not see what comes after it began. Without that it sees all that was committed by then, and nothing twice. */
  readonly isIsolated: boolean;
  /** Rejected messages of all gateways share the room; else each gateway has its own. */
  readonly sharesQuarantine: boolean;
  /** Closes the store and opens the same database again. */
  reopen(): Promise<Store>;
}

/** The day of NOON. */
export const DAY = NOON - (NOON % DAY_MS);
export const WHOLE_DAY = { fromMs: DAY, toMs: DAY + DAY_MS };

/** All pages as one. */
export async function collect(pages: AsyncIterable<readonly Portion[]>): Promise<Portion[]> {
  const all: Portion[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}

/** All that a snapshot says of a day, by way of one level. */
export async function total(snapshot: Snapshot, level: Level | 'windows', where: Where = {}): Promise<string> {
  const query = { span: WHOLE_DAY, where, metrics: 'all' } as const;
  const portions = await collect(level === 'windows' ? snapshot.windows(query) : gather(snapshot, level, query));
  const metrics = new Map<string, MetricSummary[]>();
  let readings = 0;
  for (const portion of portions) {
    readings += portion.readings;
    for (const [metric, summary] of portion.metrics) metrics.set(metric, [...(metrics.get(metric) ?? []), summary]);
  }
  const statistics = [...metrics].sort().map(([metric, list]) => [metric, statisticsOf(mergeAll(list))]);
  return JSON.stringify({ readings, statistics });
}

/** Recomputes every dirty roll-up, as the keeper of roll-ups does. */
export async function recomputeAll(store: Store): Promise<void> {
  for (const level of LEVELS) {
    const rollUps = await store.read(async (snapshot) => {
      const stale = await snapshot.due(level, { staleSinceMs: Number.MAX_SAFE_INTEGER, limit: 100_000 });
      return Promise.all(stale.map((one) => recompute(snapshot, one)));
    });
    await store.putRollUps(rollUps);
  }
}
