/**
 * Observation times: whatever a device sends becomes whole µs since 1970 UTC, rounded half up from the exact decimal, so
 * that the same instant is always the same number. Never a guess: a local time without a zone is refused unless the
 * route names the zone. Times before 1970 and after 2255 are refused.
 */
import { civilToUs, daysFromCivil, fractionToUs, parseZone } from './calendar.js';
import { compileTimeFormat } from './time-format.js';

export interface TimeOptions {
  readonly unit: 'auto' | 'iso' | 's' | 'ms' | 'us' | 'ns';
  /** A pattern such as `dd/MM/yyyy HH:mm:ss`; then `unit` has no say. */
  readonly format?: string | undefined;
  /** Zone of times that carry none, in minutes east of UTC. */
  readonly zoneMinutes?: number | undefined;
}

/** Whole µs since 1970 UTC, or NaN. */
export type ReadTime = (value: unknown) => number;

export interface CompiledTime {
  readonly read: ReadTime;
  /** For messages. */
  readonly expected: string;
}

/** A unit as a power of ten of µs. */
const US_EXPONENT = { s: 6, ms: 3, us: 0, ns: -3 } as const;
const US_FACTOR = { s: 1e6, ms: 1e3, us: 1, ns: 1e-3 } as const;
type NumericUnit = keyof typeof US_EXPONENT;

export function compileTime(options: TimeOptions): CompiledTime {
  const { unit, format, zoneMinutes } = options;
  if (format !== undefined) {
    const read = compileTimeFormat(format, zoneMinutes)!;
    return {
      expected: `a time like ${format}`,
      read: (value) => (typeof value === 'string' ? inRange(read(value)) : NaN),
    };
  }
  const zoneHint = zoneMinutes === undefined ? ' with Z or an offset (or set `timezone`)' : '';
  if (unit === 'iso') {
    return {
      expected: `an ISO 8601 time${zoneHint}`,
      read: (value) => (typeof value === 'string' ? inRange(parseIso(value, zoneMinutes)) : NaN),
    };
  }
  if (unit !== 'auto') {
    const read = numeric(() => unit);
    return { expected: `a number of ${unit} since 1970`, read: (value) => inRange(read(value)) };
  }
  const read = numeric(unitByMagnitude);
  return {
    expected: `a number of seconds, ms, µs or ns since 1970, or an ISO 8601 time${zoneHint}`,
    read: (value) => {
      if (typeof value === 'number') return inRange(read(value));
      if (typeof value !== 'string') return NaN;
      const us = parseIso(value, zoneMinutes);
      return inRange(Number.isNaN(us) ? read(value) : us);
    },
  };
}

function inRange(us: number): number {
  return us >= 0 && us <= Number.MAX_SAFE_INTEGER ? us : NaN;
}

/** The unit in which a present-day time has this size: seconds until 5138, ms from 1973. */
function unitByMagnitude(value: number): NumericUnit {
  const size = Math.abs(value);
  return size < 1e11 ? 's' : size < 1e14 ? 'ms' : size < 1e17 ? 'us' : 'ns';
}

function numeric(unitOf: (value: number) => NumericUnit): ReadTime {
  return (value) => {
    if (typeof value === 'number') return numberToUs(value, unitOf(value));
    if (typeof value !== 'string') return NaN;
    const plain = value.trim();
    return decimalToUs(plain, US_EXPONENT[unitOf(Number(plain))]);
  };
}

/** Below these a double is within a quarter of a µs of the decimal it prints as. */
const CLOSE_BELOW = { s: 2 ** 32, ms: 2 ** 42, us: 0, ns: 0 } as const;

function numberToUs(value: number, unit: NumericUnit): number {
  const factor = US_FACTOR[unit];
  const whole = Math.floor(value);
  if (whole === value && factor >= 1) return value * factor; // out of range if not exact
  if (value >= 0 && value < CLOSE_BELOW[unit]) {
    const partUs = (value - whole) * factor; // the difference is exact
    const rounded = Math.round(partUs);
    if (Math.abs(partUs - rounded) < 0.25) return whole * factor + rounded;
  }
  return decimalToUs(String(value), US_EXPONENT[unit]);
}

/** A decimal number times 10^exponent, rounded half up; NaN if it is no number or absurdly long. */
export function decimalToUs(text: string, exponent: number): number {
  const match = /^([+-]?)(\d{1,40})(?:\.(\d{0,60}))?(?:e([+-]?\d{1,3}))?$/i.exec(text);
  if (match === null) return NaN;
  const [, sign, integer, fraction = '', scientific = '0'] = match;
  const shift = exponent + Number(scientific) - fraction.length;
  if (Math.abs(shift) > 100) return NaN;
  const mantissa = BigInt(`${integer}${fraction}`) * (sign === '-' ? -1n : 1n);
  if (shift >= 0) return Number(mantissa * 10n ** BigInt(shift));
  const divisor = 10n ** BigInt(-shift);
  const doubled = 2n * mantissa + divisor;
  const floored = doubled / (2n * divisor) - (doubled < 0n && doubled % (2n * divisor) !== 0n ? 1n : 0n);
  return Number(floored);
}

/**
 * `2026-11-21T02:15:04.123456Z`, `2026-11-21 02:15+01:00` and a bare date; read by character, as this is the hot path.
 * Without a zone of its own the time is taken to be in `zoneMinutes`, and refused if that is undefined.
 */
export function parseIso(text: string, zoneMinutes: number | undefined): number {
  const days = daysFromCivil(digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2));
  if (Number.isNaN(days) || text.charCodeAt(4) !== DASH || text.charCodeAt(7) !== DASH) return NaN;
  if (text.length === 10) return zoneMinutes === undefined ? NaN : civilToUs(days, 0, 0, 0, 0, zoneMinutes);
  const separator = text.charCodeAt(10) | 32; // T, t or a space
  if ((separator !== LOWER_T && separator !== SPACE) || text.charCodeAt(13) !== COLON) return NaN;
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  let second = 0;
  let us = 0;
  let at = 16;
  if (text.charCodeAt(at) === COLON) {
    second = digits(text, at + 1, 2);
    at += 3;
    const mark = text.charCodeAt(at);
    if (mark === DOT || mark === COMMA) {
      const end = endOfDigits(text, at + 1);
      us = fractionToUs(text, at + 1, end);
      at = end;
    }
  }
  const zone = at === text.length ? zoneMinutes : zoneAt(text, at);
  return zone === undefined || Number.isNaN(hour + minute) ? NaN : civilToUs(days, hour, minute, second, us, zone);
}

const DASH = 45;
const DOT = 46;
const COMMA = 44;
const COLON = 58;
const SPACE = 32;
const LOWER_T = 116;

function digits(text: string, start: number, count: number): number {
  let value = 0;
  for (let at = start; at < start + count; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (!(digit >= 0 && digit <= 9)) return NaN;
    value = value * 10 + digit;
  }
  return value;
}

function endOfDigits(text: string, start: number): number {
  let at = start;
  while (text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at++;
  return at;
}

/** Z, ±hh, ±hhmm or ±hh:mm up to the end of the text; undefined if it is none of them. */
function zoneAt(text: string, at: number): number | undefined {
  if ((text.charCodeAt(at) | 32) === 122 && text.length === at + 1) return 0;
  const zone = text.slice(at);
  return parseZone(zone.length === 3 ? `${zone}:00` : zone);
}
