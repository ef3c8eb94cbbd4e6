/**
 * Times of a fixed pattern, as CSV files have them: `dd/MM/yyyy HH:mm:ss`, `M/d/yyyy h:mm a`. A pattern is compiled once.
 */
import { civilToUs, daysFromCivil, fractionToUs, parseZone } from './calendar.js';

const TOKENS: Readonly<Record<string, { readonly pattern: string; readonly part: Part }>> = {
  yyyy: { pattern: '(\\d{4})', part: 'year' },
  MM: { pattern: '(\\d{2})', part: 'month' },
  M: { pattern: '(\\d{1,2})', part: 'month' },
  dd: { pattern: '(\\d{2})', part: 'day' },
  d: { pattern: '(\\d{1,2})', part: 'day' },
  HH: { pattern: '(\\d{2})', part: 'hour' },
  H: { pattern: '(\\d{1,2})', part: 'hour' },
  hh: { pattern: '(\\d{2})', part: 'hour' },
  h: { pattern: '(\\d{1,2})', part: 'hour' },
  mm: { pattern: '(\\d{2})', part: 'minute' },
  m: { pattern: '(\\d{1,2})', part: 'minute' },
  ss: { pattern: '(\\d{2})', part: 'second' },
  s: { pattern: '(\\d{1,2})', part: 'second' },
  S: { pattern: '(\\d{1,12})', part: 'fraction' },
  a: { pattern: '([AaPp])\\.?[Mm]\\.?', part: 'half' },
  Z: { pattern: '(Z|[+-]\\d{2}:?\\d{2})', part: 'zone' },
};

type Part = 'year' | 'month' | 'day' | 'hour' | 'minute' | 'second' | 'fraction' | 'half' | 'zone';

const TOKEN = /yyyy|MM?|dd?|HH?|hh?|mm?|ss?|S+|a|Z|'([^']*)'|[A-Za-z]+/g;

/** What is wrong with a pattern; undefined if nothing. */
export function timeFormatProblem(format: string): string | undefined {
  const parsed = parseFormat(format);
  if (typeof parsed === 'string') return parsed;
  const missing = (['year', 'month', 'day'] as const).filter((part) => !parsed.parts.includes(part));
  return missing.length > 0 ? `a pattern with year, month and day (yyyy, MM, dd)` : undefined;
}

/** Does the pattern itself say in which zone its times are? */
export function formatHasZone(format: string): boolean {
  const parsed = parseFormat(format);
  return typeof parsed !== 'string' && parsed.parts.includes('zone');
}

/** Undefined if there is something wrong with the pattern. */
export function compileTimeFormat(
  format: string,
  zoneMinutes: number | undefined,
): ((text: string) => number) | undefined {
  const parsed = parseFormat(format);
  if (typeof parsed === 'string') return undefined;
  const { regex, parts } = parsed;
  const group = (part: Part) => parts.indexOf(part) + 1;
  const [year, month, day] = [group('year'), group('month'), group('day')];
  const [hour, minute, second] = [group('hour'), group('minute'), group('second')];
  const [fraction, half, zone] = [group('fraction'), group('half'), group('zone')];
  return (text) => {
    const match = regex.exec(text);
    if (match === null) return NaN;
    const days = daysFromCivil(Number(match[year]), Number(match[month]), Number(match[day]));
    const offset = zone > 0 ? parseZone(match[zone]!) : zoneMinutes;
    if (offset === undefined) return NaN;
    const clock = hour > 0 ? hourOfDay(Number(match[hour]), half > 0 ? match[half]! : '') : 0;
    const us = fraction > 0 ? fractionToUs(match[fraction]!, 0, match[fraction]!.length) : 0;
    return civilToUs(days, clock, numberAt(match, minute), numberAt(match, second), us, offset);
  };
}

function numberAt(match: RegExpExecArray, group: number): number {
  return group > 0 ? Number(match[group]) : 0;
}

function hourOfDay(hour: number, half: string): number {
  if (half === '') return hour;
  if (hour < 1 || hour > 12) return NaN;
  return (hour % 12) + (half.toLowerCase() === 'p' ? 12 : 0);
}

/** The pattern as a regular expression and what its groups are; or what was expected instead. */
function parseFormat(format: string): { regex: RegExp; parts: Part[] } | string {
  const parts: Part[] = [];
  let pattern = '';
  let end = 0;
  for (const match of format.matchAll(TOKEN)) {
    pattern += escaped(format.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[1] !== undefined) {
      pattern += escaped(match[1]);
      continue;
    }
    const token = TOKENS[match[0].startsWith('S') ? 'S' : match[0]];
    if (token === undefined) return `yyyy MM dd HH mm ss S a Z and 'text', not ${match[0]}`;
    if (parts.includes(token.part)) return `each part once (${match[0]} is the second ${token.part})`;
    parts.push(token.part);
    pattern += token.pattern;
  }
  return { regex: new RegExp(`^\\s*${pattern}${escaped(format.slice(end))}\\s*$`), parts };
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
