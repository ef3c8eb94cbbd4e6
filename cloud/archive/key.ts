/**
 * Where a raw message lies in the archive: `<date>/<gateway>/<epoch>-<session>-<sequence>` of a batch,
 * `<date>/<gateway>/<epoch>-status-<sentMs>` of a status. Pure.
 *
 * Promises: the same message has the same key, whenever and however often it is delivered, so a repetition overwrites itself.
 * Hence the date is that on which the gateway sent it by its own clock, which is in the message: the day of delivery would be
 * another one for a repetition after midnight. A gateway whose clock is wrong has its batches under a wrong date; none is lost
 * by that, since a replay without dates reads them all.
 */
import type { Status } from '../../shared/status.js';
import { GATEWAY_NAME } from '../../shared/topics.js';

export interface ArchivedBatch {
  readonly kind: 'batch';
  readonly gateway: string;
  readonly sentMs: number;
  readonly epoch: string;
  readonly session: number;
  readonly sequence: number;
}

export interface ArchivedStatus {
  readonly kind: 'status';
  readonly gateway: string;
  readonly sentMs: number;
  readonly epoch: string;
}

export function archiveKey(message: ArchivedBatch | ArchivedStatus): string {
  const { gateway, sentMs, epoch } = message;
  const name = message.kind === 'batch' ? `${message.session}-${message.sequence}` : `status-${sentMs}`;
  return `${dateOf(sentMs)}/${gateway}/${epoch}-${name}`;
}

/** UTC; a clock may say anything, and a Date holds no more than this. */
function dateOf(ms: number): string {
  return new Date(Math.min(ms, 8.64e15)).toISOString().split('T')[0]!;
}

/**
 * Each gateway says every minute how it is. Kept are its last words, and about one an hour: a replay needs the books, not
 * their history, and an object costs more than a row.
 */
export function isArchived({ state, final, sentMs }: Status): boolean {
  return state !== 'online' || final === true || sentMs % HOUR_MS < MINUTE_MS;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export interface ArchiveEntry {
  readonly kind: 'batch' | 'status';
  readonly date: string;
  readonly gateway: string;
}

/** Undefined for what is not ours. */
export function readArchiveKey(key: string): ArchiveEntry | undefined {
  const match = /^([+-]?\d{4,6}-\d\d-\d\d)\/([^/]+)\/[0-9a-f]{32}-(status-\d+|\d+-\d+)$/.exec(key);
  if (match === null || !GATEWAY_NAME.test(match[2]!)) return undefined;
  return { date: match[1]!, gateway: match[2]!, kind: match[3]!.startsWith('status') ? 'status' : 'batch' };
}
