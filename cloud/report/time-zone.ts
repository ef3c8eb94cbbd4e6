/**
 * Local days and hours. A local day may have 23, 24 or 25 hours, and a local hour may come twice; so an interval is cut where
 * the local clock changes its day or hour, and each part is named by what the local clock says. Pure.
 */
import { Temporal } from 'temporal-polyfill';
import { EdgetallyError } from '../../shared/errors.js';
import { DAY_MS, HOUR_MS, type Span } from '../store/store.js';

export type Cut = 'none' | 'day' | 'hour';

/** A stretch of one local day or hour. */
export interface LocalPart extends Span {
  /** `2026-07-01`; '' where nothing is cut. */
  readonly day: string;
  /** `2026-07-01T14:00+02:00`: with the offset, without which the hour that comes twice would be one. */
  readonly hour: string;
}

export function checkTimeZone(timeZone: string): void {
  try {
    offsetMs(0, timeZone);
  } catch (cause) {
    const message = `--tz: there is no time zone ${JSON.stringify(timeZone)}`;
    throw new EdgetallyError('usage', message, { cause, hint: 'Give a name such as Europe/Berlin, or UTC.' });
  }
}

/** At most a day, where it is to be cut: at the bounds of local days or hours, in order. */
export function cutLocally(span: Span, cut: Cut, timeZone: string): LocalPart[] {
  if (cut === 'none') return [{ ...span, day: '', hour: '' }];
  const parts: LocalPart[] = [];
  for (const steady of steadyParts(span, timeZone)) {
    const lengthMs = cut === 'day' ? DAY_MS : HOUR_MS;
    for (let fromMs = steady.fromMs; fromMs < steady.toMs; ) {
      const localMs = fromMs + steady.offsetMs;
      const endMs = (Math.floor(localMs / lengthMs) + 1) * lengthMs - steady.offsetMs;
      const toMs = Math.min(endMs, steady.toMs);
      const [day = '', time = ''] = new Date(localMs).toISOString().split('T');
      const hour = cut === 'hour' ? `${day}T${time.slice(0, 2)}:00${offsetText(steady.offsetMs, timeZone)}` : '';
      const before = parts.at(-1);
      if (before?.day === day && before.hour === hour) parts[parts.length - 1] = { ...before, toMs };
      else parts.push({ fromMs, toMs, day, hour });
      fromMs = toMs;
    }
  }
  return parts;
}

/** Parts in which the local clock does not jump. No zone jumps twice within a day. */
function steadyParts({ fromMs, toMs }: Span, timeZone: string): (Span & { offsetMs: number })[] {
  const before = offsetMs(fromMs, timeZone);
  const after = offsetMs(toMs - 1, timeZone);
  if (before === after) return [{ fromMs, toMs, offsetMs: before }];
  let [low, high] = [fromMs, toMs - 1];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetMs(middle, timeZone) === before) low = middle;
    else high = middle;
  }
  return [
    { fromMs, toMs: high, offsetMs: before },
    { fromMs: high, toMs, offsetMs: after },
  ];
}

function offsetMs(ms: number, timeZone: string): number {
  if (timeZone === 'UTC') return 0;
  return Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone).offsetNanoseconds / 1e6;
}

function offsetText(offset: number, timeZone: string): string {
  if (timeZone === 'UTC') return 'Z';
  const minutes = Math.abs(Math.round(offset / 60_000));
  const two = (n: number) => String(n).padStart(2, '0');
  return `${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The instant of a local date (its first moment) or date-time; of an hour that comes twice, the first. */
export function localInstantMs(text: string, timeZone: string): number {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return Temporal.PlainDate.from(text).toZonedDateTime(timeZone).epochMilliseconds;
  return Temporal.PlainDateTime.from(text).toZonedDateTime(timeZone).epochMilliseconds;
}

export function instantMs(text: string): number {
  return Temporal.Instant.from(text).epochMilliseconds;
}
