/**
 * A row of the table of windows, and whether it is what was saved. The summary has a checksum of its own; that of the row
 * is over the numbers beside it and the memory of what was counted. Not over `attempted` and `receipted`, which change without a save,
 * and `bytes`, which only bounds.
 */
import { crc32 } from '../../shared/crc32.js';
import { decodeMetrics } from '../../shared/summary-codec.js';
import { damageOf } from './damage.js';

export interface WindowRow {
  readonly device: number;
  readonly start_ms: number;
  readonly length_ms: number;
  readonly part: number;
  readonly revision: number;
  readonly folded: number;
  readonly closes_ms: number;
  readonly readings: number;
  readonly checksum: number;
  readonly summary: Uint8Array;
  readonly seen: Uint8Array | null;
}

/** What `WindowRow` has, in SQL. */
export const ROW_COLUMNS =
  'device, start_ms, length_ms, part, revision, folded, closes_ms, readings, checksum, summary, seen';

export function checksumOf(row: Omit<WindowRow, 'checksum' | 'summary'>): number {
  const { device, start_ms, length_ms, part, revision, folded, closes_ms, readings, seen } = row;
  const numbers = Float64Array.of(device, start_ms, length_ms, part, revision, folded, closes_ms, readings);
  const bytes = new Uint8Array(numbers.byteLength + (seen?.length ?? 0));
  bytes.set(new Uint8Array(numbers.buffer));
  if (seen !== null) bytes.set(seen, numbers.byteLength);
  return crc32(bytes);
}

/** In words; undefined where there is none. */
export function damageIn(row: WindowRow): string | undefined {
  if (!isWhole(row)) return 'its checksum does not hold';
  try {
    decodeMetrics(row.summary, row.start_ms, row.length_ms);
    return undefined;
  } catch (error) {
    const reason = damageOf(error);
    if (reason === undefined) throw error;
    return reason;
  }
}

/** Readings that a damaged row held, as far as can be told: the number that changed may be this very one. */
export function readingsIn(row: WindowRow): number {
  if (isWhole(row)) return row.readings;
  try {
    const summaries = [...decodeMetrics(row.summary, row.start_ms, row.length_ms).values()];
    return Math.max(1, ...summaries.map(({ n }) => n));
  } catch {
    return 1;
  }
}

/** But for the summary, which tells when it is decoded. */
export function isWhole(row: WindowRow): boolean {
  return checksumOf(row) === row.checksum;
}
