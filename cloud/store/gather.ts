/**
 * Reads what some windows hold, by way of roll-ups where these are up to date, and of what they are made of where not.
 * What comes out adds up to the same, to the last bit, whatever is up to date: merging is exactly associative.
 *
 *   month ← its days          day ← its 24 hours, and the ledger of that day
 *   hour of everything ← the hour of each group
 *   hour of a group ← the hour of each device             hour of a device ← its windows
 *
 * Pure reading over a snapshot; knows no database.
 */
import { type MetricSummary, mergeAll } from '../../shared/summary.js';
import {
  type DirtyRollUp,
  endOf,
  type Level,
  type Metrics,
  type Portion,
  type PortionQuery,
  type RollUp,
  type RollUpKey,
  type Snapshot,
  type Source,
} from './store.js';

const NOTHING: Portion['metrics'] = new Map();

/** Longer lists are merged before they grow: decoded summaries are large, and dear to keep. */
const LONG_LIST = 16;

/** The span must lie on the level's bounds. */
export async function* gather(
  snapshot: Snapshot,
  level: Level,
  query: PortionQuery,
): AsyncGenerator<readonly Portion[]> {
  yield* snapshot.rollUps(level, query);
  for (const stale of await snapshot.dirty(level, query.span, query.where)) {
    yield* gatherBelow(snapshot, stale, query.metrics);
  }
}

/** What a roll-up is made of. */
export async function* gatherBelow(
  snapshot: Snapshot,
  rollUp: RollUpKey,
  metrics: Metrics,
): AsyncGenerator<readonly Portion[]> {
  const { scope, resolution, subject, startMs } = rollUp;
  const query = { span: { fromMs: startMs, toMs: endOf(resolution, startMs) }, where: subject, metrics };
  if (resolution === 'month') yield* gather(snapshot, { scope, resolution: 'day' }, query);
  else if (resolution === 'day') {
    const counted = await snapshot.counted(startMs, subject);
    yield [{ subject, startMs, readings: 0, counted, longestMs: 0, metrics: NOTHING }];
    yield* gather(snapshot, { scope, resolution: 'hour' }, query);
  } else if (scope === 'all') yield* gather(snapshot, { scope: 'group', resolution }, query);
  else if (scope === 'group') yield* gather(snapshot, { scope: 'device', resolution }, query);
  else yield* snapshot.windows(query);
}

/** Works a stale roll-up out afresh. */
export async function recompute(snapshot: Snapshot, stale: DirtyRollUp): Promise<RollUp> {
  const lists = new Map<string, MetricSummary[]>();
  let readings = 0;
  let counted = 0;
  let longestMs = 0;
  const sources: Source[] = [];
  for await (const page of gatherBelow(snapshot, stale, 'all')) {
    for (const portion of page) {
      readings += portion.readings;
      counted += portion.counted;
      longestMs = Math.max(longestMs, portion.longestMs);
      for (const source of portion.sources ?? []) sources.push(source);
      for (const [metric, summary] of portion.metrics) {
        const list = lists.get(metric);
        if (list === undefined) lists.set(metric, [summary]);
        else collect(list, summary);
      }
    }
  }
  const metrics = new Map([...lists].map(([metric, list]) => [metric, mergeAll(list)]));
  return { ...stale, readings, counted, longestMs, metrics, ...(sources.length > 0 && { sources }) };
}

/** Adds to a list that is to be merged, and keeps it short. */
export function collect(list: MetricSummary[], summary: MetricSummary): void {
  if (list.length >= LONG_LIST) list.splice(0, list.length, mergeAll(list));
  list.push(summary);
}
