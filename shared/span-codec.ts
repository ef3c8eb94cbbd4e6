/**
 * A time span in µs, or any integer that likely ends in zeros, with its unit in the two lowest bits: most devices tell
 * whole seconds or milliseconds.
 */
import type { ByteReader, ByteWriter } from './bytes.js';
import { corrupt } from './decode-error.js';

/** The largest that there is a code for, whatever it ends in. */
export const MAX_SPAN = 2 ** 51 - 1;

export function writeSpan(to: ByteWriter, us: number): void {
  if (us % 1000 !== 0) to.varint(us * 4);
  else if (us % 1_000_000 !== 0) to.varint((us / 1000) * 4 + 1);
  else to.varint((us / 1_000_000) * 4 + 2);
}

const UNITS_US = [1, 1000, 1_000_000];

export function readSpan(from: ByteReader): number {
  const value = from.varint();
  const unit = UNITS_US[value % 4];
  if (unit === undefined) corrupt('an unknown unit of time');
  return Math.floor(value / 4) * unit;
}
