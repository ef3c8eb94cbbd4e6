/** What a report is asked for: reads the arguments, and says of each wrong one what it is, where, and what to do. Pure. */

import { parseDuration } from '../../shared/config-fields.js';
import { EdgetallyError } from '../../shared/errors.js';
import { DAY_MS, floorTo, type Span, type Where } from '../store/store.js';
import { checkTimeZone, instantMs, localInstantMs } from './time-zone.js';

export const GROUP_KEYS = ['gateway', 'group', 'device', 'day', 'hour'] as const;
export type GroupKey = (typeof GROUP_KEYS)[number];

export const FORMATS = ['table', 'csv', 'json'] as const;
export type Format = (typeof FORMATS)[number];

/** As they are typed. */
export interface ReportArguments {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly groupBy?: string | undefined;
  readonly metrics?: string | undefined;
  readonly gateway?: string | undefined;
  readonly group?: string | undefined;
  readonly device?: string | undefined;
  readonly tz?: string | undefined;
}

export interface ReportQuery {
  /** In the order of the columns; the metric is always the last key, and not in here. */
  readonly keys: readonly GroupKey[];
  /** Of window starts; the ends of time where nothing was asked. */
  readonly span: Span;
  readonly where: Where;
  readonly metrics: ReadonlySet<string> | 'all';
  readonly timeZone: string;
}

/** What a Date can hold. */
export const BEGINNING_MS = -8.64e15;
export const END_MS = 8.64e15;

export function parseQuery(given: ReportArguments, nowMs: number): ReportQuery {
  const timeZone = given.tz ?? 'UTC';
  checkTimeZone(timeZone);
  const fromMs = given.from === undefined ? BEGINNING_MS : parseTime('--from', given.from, timeZone, nowMs);
  const toMs = given.to === undefined ? END_MS : parseTime('--to', given.to, timeZone, nowMs);
  if (fromMs >= toMs) {
    const range = `${new Date(fromMs).toISOString()} to ${new Date(toMs).toISOString()}`;
    throw new EdgetallyError('usage', `--from is not before --to: ${range}`, {
      hint: '--to is where the range ends and is not part of it: one day is --from 2026-07-01 --to 2026-07-02.',
    });
  }
  const { gateway, group, device } = given;
  return {
    keys: parseKeys(given.groupBy ?? 'device'),
    span: { fromMs, toMs },
    where: {
      ...(gateway !== undefined && { gateway }),
      ...(group !== undefined && { group }),
      ...(device !== undefined && { device }),
    },
    metrics: given.metrics === undefined ? 'all' : new Set(list('--metrics', given.metrics)),
    timeZone,
  };
}

/** Which losses; days are those of UTC. */
export interface LossQuery {
  readonly span: Span;
  readonly where: Where;
}

export function parseLosses({ from, to, ...place }: ReportArguments, nowMs: number): LossQuery {
  const { span, where } = parseQuery({ from, to, ...place }, nowMs);
  return { span: wholeDays(span), where };
}

/** As they are typed. */
export interface ReconcileArguments {
  readonly gateway?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly maxSilence?: string | undefined;
}

/** Days are those of UTC: the ledger is kept by them. */
export function parseReconcile({ gateway, from, to, maxSilence = '5m' }: ReconcileArguments, nowMs: number) {
  if (gateway === undefined) throw new EdgetallyError('usage', 'which gateway? Give --gateway NAME');
  const maxSilenceMs = parseDuration(maxSilence);
  if (maxSilenceMs === undefined) {
    throw new EdgetallyError('usage', `--max-silence: ${JSON.stringify(maxSilence)} is not a length of time`, {
      hint: 'Give such as 90s, 5m or 2h.',
    });
  }
  return { gateway, span: wholeDays(parseQuery({ from, to }, nowMs).span), nowMs, maxSilenceMs };
}

/** Widens a range to the UTC days that it has part in. */
export function wholeDays({ fromMs, toMs }: Span): Span {
  return { fromMs: floorTo(fromMs, DAY_MS), toMs: -floorTo(-toMs, DAY_MS) };
}

function parseKeys(text: string): GroupKey[] {
  const keys = list('--group-by', text);
  const unknown = keys.filter((key) => key !== 'metric' && key !== 'all' && !isGroupKey(key));
  if (unknown.length > 0) {
    throw new EdgetallyError(
      'usage',
      `--group-by: there is no key ${unknown.map((key) => JSON.stringify(key)).join(', ')}`,
      {
        hint: `Give some of ${GROUP_KEYS.join(', ')}, separated by commas, or all. The metric is always a key.`,
      },
    );
  }
  if (keys.includes('all') && keys.some(isGroupKey)) {
    throw new EdgetallyError('usage', '--group-by: "all" stands alone', { hint: 'Leave out all, or the other keys.' });
  }
  return keys.filter(isGroupKey);
}

function isGroupKey(key: string): key is GroupKey {
  return (GROUP_KEYS as readonly string[]).includes(key);
}

function list(option: string, text: string): string[] {
  const items = [...new Set(text.split(',').map((item) => item.trim()))].filter((item) => item !== '');
  if (items.length === 0)
    throw new EdgetallyError('usage', `${option} is empty`, { hint: 'Leave it out, or name some.' });
  return items;
}

function parseTime(option: string, text: string, timeZone: string, nowMs: number): number {
  const trimmed = text.trim();
  if (trimmed === 'now') return nowMs;
  const back = /[a-z]$/.test(trimmed) ? parseDuration(trimmed) : undefined;
  if (back !== undefined) return nowMs - back;
  try {
    const ms = /[zZ]$|[+-]\d\d:?\d\d$/.test(trimmed.slice(10)) ? instantMs(trimmed) : localInstantMs(trimmed, timeZone);
    if (/^\d{4}-/.test(trimmed)) return ms;
  } catch {
    // Said below, whatever it was.
  }
  throw new EdgetallyError('usage', `${option}: ${JSON.stringify(text)} is not a time`, {
    hint:
      'Give a date (2026-07-01), a local time in --tz (2026-07-01T14:30), an instant (2026-07-01T12:30:00Z), ' +
      'or how long ago (24h, 7d).',
  });
}
