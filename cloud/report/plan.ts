/**
 * Which roll-ups and windows answer a query: whole UTC months in one bucket from month roll-ups, whole days from day roll-ups,
 * whole hours from hour roll-ups, the rest from windows. Pure: days with data in, stretches to read out.
 *
 * A window belongs to the range, hour and day in which it starts.
 */
import { DAY_MS, endOf, floorTo, HOUR_MS, type Resolution, type Scope, type Span, startOf } from '../store/store.js';
import type { ReportQuery } from './query.js';
import { type Cut, cutLocally } from './time-zone.js';

/** One value of the time keys. Buckets are numbered in the order of time. */
export interface Bucket {
  readonly day: string;
  readonly hour: string;
}

/** Part of a stretch; what starts in it belongs to `bucket`. */
export interface Piece extends Span {
  readonly bucket: number;
}

/** What is read in one go, at one resolution. The pieces are in order. */
export interface Stretch extends Span {
  readonly resolution: Resolution | 'window';
  readonly pieces: readonly Piece[];
}

export interface ReportPlan {
  readonly scope: Scope;
  readonly buckets: readonly Bucket[];
  readonly stretches: readonly Stretch[];
  /** Days whose readings are to be counted for completeness, beside those of day and month stretches. */
  readonly coverage: readonly Span[];
  /** The buckets that a day has part in; of a month that is read whole, by its first day too. */
  readonly bucketsOfDay: ReadonlyMap<number, readonly number[]>;
}

export function planReport(query: ReportQuery, days: readonly number[]): ReportPlan {
  const cut = cutOf(query);
  const numbers = new Map<string, number>();
  const buckets: Bucket[] = [];
  const bucketsOfDay = new Map<number, number[]>();
  const stretches: MutableStretch[] = [];
  const coverage: { fromMs: number; toMs: number }[] = [];
  let dayBefore: 'whole' | 'in parts' | undefined;
  for (const unit of unitsOf(days, cut, query.span)) {
    const span = { fromMs: Math.max(unit.fromMs, query.span.fromMs), toMs: Math.min(unit.toMs, query.span.toMs) };
    if (span.fromMs >= span.toMs) continue;
    const parts = cutLocally(span, cut, query.timeZone);
    const members: number[] = [];
    for (const { fromMs, toMs, day, hour } of parts) {
      const label = `${day}/${hour}`;
      const bucket = numbers.get(label) ?? buckets.push({ day, hour }) - 1;
      numbers.set(label, bucket);
      members.push(bucket);
      for (const piece of cover({ fromMs, toMs })) extend(stretches, piece, bucket);
    }
    bucketsOfDay.set(unit.fromMs, members);
    const whole = parts.length === 1 && span.toMs - span.fromMs === unit.toMs - unit.fromMs;
    // Between two days in parts there is no whole one, so one stretch covers both.
    if (!whole && dayBefore === 'in parts') coverage.at(-1)!.toMs = unit.toMs;
    else if (!whole) coverage.push({ ...unit });
    dayBefore = whole ? 'whole' : 'in parts';
  }
  // Of a month that is out of date its days are read.
  for (const dayMs of days) {
    const ofMonth = bucketsOfDay.get(startOf('month', dayMs));
    if (ofMonth !== undefined && !bucketsOfDay.has(dayMs)) bucketsOfDay.set(dayMs, ofMonth);
  }
  return { scope: scopeOf(query), buckets, stretches, coverage, bucketsOfDay };
}

/** The days, and in their place the months that are wanted whole and in one bucket. */
function unitsOf(days: readonly number[], cut: Cut, span: Span): Span[] {
  const units: Span[] = [];
  for (const dayMs of days) {
    const monthMs = startOf('month', dayMs);
    const month = { fromMs: monthMs, toMs: endOf('month', monthMs) };
    const isWhole = cut === 'none' && month.fromMs >= span.fromMs && month.toMs <= span.toMs;
    if (!isWhole) units.push({ fromMs: dayMs, toMs: dayMs + DAY_MS });
    else if (units.at(-1)?.fromMs !== monthMs) units.push(month);
  }
  return units;
}

interface MutableStretch extends Stretch {
  toMs: number;
  readonly pieces: Piece[];
}

/** Between two pieces of one resolution that follow each other there is nothing, so they are read in one go. */
function extend(stretches: MutableStretch[], { resolution, fromMs, toMs }: Cover, bucket: number): void {
  const before = stretches.at(-1);
  if (before?.resolution === resolution) {
    before.toMs = toMs;
    before.pieces.push({ fromMs, toMs, bucket });
  } else stretches.push({ resolution, fromMs, toMs, pieces: [{ fromMs, toMs, bucket }] });
}

interface Cover extends Span {
  readonly resolution: Stretch['resolution'];
}

/** Covers a UTC month, or a stretch of one UTC day. */
export function cover({ fromMs, toMs }: Span): Cover[] {
  if (toMs - fromMs > DAY_MS) return [{ resolution: 'month', fromMs, toMs }];
  if (fromMs % DAY_MS === 0 && toMs - fromMs === DAY_MS) return [{ resolution: 'day', fromMs, toMs }];
  const firstHour = Math.min(toMs, -floorTo(-fromMs, HOUR_MS));
  const lastHour = Math.max(firstHour, floorTo(toMs, HOUR_MS));
  const covers: Cover[] = [
    { resolution: 'window', fromMs, toMs: firstHour },
    { resolution: 'hour', fromMs: firstHour, toMs: lastHour },
    { resolution: 'window', fromMs: lastHour, toMs },
  ];
  return covers.filter((part) => part.fromMs < part.toMs);
}

function cutOf({ keys }: ReportQuery): Cut {
  if (keys.includes('hour')) return 'hour';
  return keys.includes('day') ? 'day' : 'none';
}

/** The coarsest scope that tells apart what the query does. */
function scopeOf({ keys, where }: ReportQuery): Scope {
  if (keys.includes('device') || where.device !== undefined) return 'device';
  const groups = keys.includes('group') || keys.includes('gateway') || where.group !== undefined;
  return groups || where.gateway !== undefined ? 'group' : 'all';
}
