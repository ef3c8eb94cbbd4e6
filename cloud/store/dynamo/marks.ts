/**
 * What is out of date of one gateway: for each hour, day and month the devices and groups concerned, with the version of the
 * books in which they were marked last. Pure. There are few entries: what one commit marks of an hour is one entry.
 */
import type { Resolution } from '../store.js';
import { DAY_MS, floorTo, HOUR_MS, startOf } from '../store.js';

/** Everything is not kept: it is the sum of the groups. */
export type KeptScope = 'device' | 'group';

export interface Mark {
  readonly scope: KeptScope;
  readonly resolution: Resolution;
  readonly startMs: number;
  readonly version: number;
  /** Out of date since then, by the clock of the cloud side. */
  readonly sinceMs: number;
  /** Of devices or groups; ascending. */
  readonly ids: readonly number[];
}

/** Devices by the start of the hour or day that changed. */
export interface Stains {
  /** Windows. */
  readonly hours: Map<number, Set<number>>;
  /** Ledger entries, which are part of days and months only. */
  readonly days: Map<number, Set<number>>;
}

export function newStains(): Stains {
  return { hours: new Map(), days: new Map() };
}

export function stainHour(stains: Stains, device: number, ms: number): void {
  add(stains.hours, floorTo(ms, HOUR_MS), [device]);
}

export function stainDay(stains: Stains, device: number, ms: number): void {
  add(stains.days, floorTo(ms, DAY_MS), [device]);
}

/** What was stale stays so since it was first marked. */
export function addMarks(
  marks: readonly Mark[],
  stains: Stains,
  groupOf: (device: number) => number,
  version: number,
  nowMs: number,
): Mark[] {
  let all = [...marks];
  for (const resolution of ['hour', 'day', 'month'] as const) {
    const devices = staleOf(resolution, stains);
    for (const [startMs, ids] of devices) {
      all = addMark(all, { scope: 'device', resolution, startMs, version, sinceMs: nowMs, ids: sorted(ids) });
      const groups = new Set([...ids].map(groupOf));
      all = addMark(all, { scope: 'group', resolution, startMs, version, sinceMs: nowMs, ids: sorted(groups) });
    }
  }
  return all;
}

/** One roll-up that was computed for what had been marked by a version. */
export interface Cleared {
  readonly scope: KeptScope;
  readonly resolution: Resolution;
  readonly startMs: number;
  readonly id: number;
  readonly version: number;
}

/** The same array where nothing of it is cleared. */
export function clearMarks(marks: readonly Mark[], cleared: readonly Cleared[]): readonly Mark[] {
  const versions = new Map(cleared.map((one) => [`${placeOf(one)}/${one.id}`, one.version]));
  let changed = false;
  const left = marks.map((mark) => {
    const ids = mark.ids.filter((id) => (versions.get(`${placeOf(mark)}/${id}`) ?? -1) < mark.version);
    if (ids.length === mark.ids.length) return mark;
    changed = true;
    return { ...mark, ids };
  });
  return changed ? left.filter(({ ids }) => ids.length > 0) : marks;
}

/** As JSON: [level, start in hours, version, since, first and last id of each run]. */
export type MarkRow = readonly [number, number, number, number, readonly number[]];

const LEVELS = (['device', 'group'] as const).flatMap((scope) =>
  (['hour', 'day', 'month'] as const).map((resolution) => ({ scope, resolution })),
);

export function rowOf({ scope, resolution, startMs, version, sinceMs, ids }: Mark): MarkRow {
  const level = LEVELS.findIndex((one) => one.scope === scope && one.resolution === resolution);
  const runs: number[] = [];
  for (const id of ids) {
    if (runs.length > 0 && runs.at(-1) === id - 1) runs[runs.length - 1] = id;
    else runs.push(id, id);
  }
  return [level, startMs / HOUR_MS, version, sinceMs, runs];
}

export function markOf([level, hours, version, sinceMs, runs]: MarkRow): Mark {
  const ids: number[] = [];
  for (let i = 0; i < runs.length; i += 2) for (let id = runs[i]!; id <= runs[i + 1]!; id++) ids.push(id);
  return { ...LEVELS[level]!, startMs: hours * HOUR_MS, version, sinceMs, ids };
}

function addMark(marks: readonly Mark[], fresh: Mark): Mark[] {
  const place = placeOf(fresh);
  const ids = new Set(fresh.ids);
  let { sinceMs } = fresh;
  const others: Mark[] = [];
  for (const mark of marks) {
    if (placeOf(mark) !== place) others.push(mark);
    else {
      const left = mark.ids.filter((id) => !ids.has(id));
      if (left.length < mark.ids.length) sinceMs = Math.min(sinceMs, mark.sinceMs);
      if (left.length > 0) others.push({ ...mark, ids: left });
    }
  }
  return [...others, { ...fresh, sinceMs }];
}

function staleOf(resolution: Resolution, { hours, days }: Stains): Map<number, Set<number>> {
  const stale = new Map<number, Set<number>>();
  for (const changed of resolution === 'hour' ? [hours] : [hours, days]) {
    for (const [ms, ids] of changed) add(stale, startOf(resolution, ms), ids);
  }
  return stale;
}

function add(to: Map<number, Set<number>>, startMs: number, ids: Iterable<number>): void {
  const known = to.get(startMs);
  if (known === undefined) to.set(startMs, new Set(ids));
  else for (const id of ids) known.add(id);
}

function placeOf({ scope, resolution, startMs }: Pick<Mark, 'scope' | 'resolution' | 'startMs'>): string {
  return `${scope}/${resolution}/${startMs}`;
}

function sorted(ids: Iterable<number>): number[] {
  return [...ids].sort((a, b) => a - b);
}
