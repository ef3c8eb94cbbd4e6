/** Dates, times of day and zone offsets as plain arithmetic: the proleptic Gregorian calendar, UTC, no clock. */

/** `utc`, `Z`, `+02:00` → minutes east of UTC; undefined if it is none of them. */
export function parseZone(text: string): number | undefined {
  if (/^(utc|z)$/i.test(text)) return 0;
  const match = /^([+-])(\d\d):?(\d\d)$/.exec(text);
  if (match === null || Number(match[2]) > 14 || Number(match[3]) > 59) return undefined;
  return (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3]));
}

/** Days from 1970-01-01 to a date of the proleptic Gregorian calendar; NaN if there is no such date. */
export function daysFromCivil(year: number, month: number, day: number): number {
  if (!(month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month))) return NaN;
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Date and time of day → µs; NaN if out of bounds. A leap second is the first second of the next minute. */
export function civilToUs(days: number, hour: number, minute: number, second: number, us: number, zoneMinutes: number) {
  if (hour > 23 || minute > 59 || second > 60) return NaN;
  return ((days * 24 + hour) * 3600 + (minute - zoneMinutes) * 60 + second) * 1e6 + us;
}

/** Digits after the point → µs, rounded half up; NaN if there are none. */
export function fractionToUs(text: string, start: number, end: number): number {
  if (end === start) return NaN;
  let us = 0;
  for (let at = start; at < start + 6; at++) us = us * 10 + (at < end ? text.charCodeAt(at) - 48 : 0);
  return end > start + 6 && text.charCodeAt(start + 6) >= 53 ? us + 1 : us;
}
