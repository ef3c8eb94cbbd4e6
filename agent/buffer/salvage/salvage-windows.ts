/**
 * The windows of a damaged database. A row that cannot be read is known by the index of the backlog, if it had no receipt:
 * so what is told as lost is what the cloud may lack. Rows that the cloud has are no loss, but the memory of what they counted is.
 */

import { decodeMetrics } from '../../../shared/summary-codec.js';
import { utcDayMs } from '../../../shared/window.js';
import { isWhole, readingsIn, type WindowRow } from '../window-row.js';
import type { Work } from './salvage.js';
import type { Names } from './salvage-names.js';
import { rootOf, TableSource } from './table-source.js';
import { putAside, tell } from './told.js';
import { type Gap, Tree } from './tree.js';

/** Starts of windows, ms: rows of these may have been lost. */
export interface LostRange {
  readonly fromMs: number;
  readonly toMs: number;
}

interface SavedRow extends WindowRow {
  readonly attempted: number;
  readonly receipted: number;
}

/** `lostKeys` tells of the windows that are gone; to be called when the losses of the old database are in. */
export function salvageWindows(work: Work, names: Names): { lostRanges: LostRange[]; lostKeys: () => void } {
  const { file, db, tally } = work;
  const source = new TableSource(file, db, 'windows');
  const places = source.columns.map((column) => `@${column}`).join(', ');
  const insert = db.prepare(`INSERT OR IGNORE INTO windows (${source.columns.join(', ')}) VALUES (${places})`);
  const aside: { row: SavedRow; reason: string }[] = [];
  const gaps = source.read((row) => {
    const reason = wrongWith(row as unknown as SavedRow, names);
    if (reason !== undefined) aside.push({ row: row as unknown as SavedRow, reason });
    else {
      insert.run(row);
      tally.keep('windows');
    }
  });
  db.exec('INSERT OR IGNORE INTO window_lengths SELECT DISTINCT length_ms FROM windows');
  const lostRanges = [...gaps.map(rangeOf), ...aside.map(({ row }) => ({ fromMs: row.start_ms, toMs: row.start_ms }))];
  if (file.wal.isUnsure) lostRanges.push({ fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY });
  return { lostRanges, lostKeys: () => tellLost(work, gaps, aside) };
}

function tellLost(work: Work, gaps: readonly Gap[], aside: readonly { row: SavedRow; reason: string }[]): void {
  for (const { row, reason } of aside) setAsideWindow(work, row, reason);
  for (const { page, reason, after, before } of gaps) {
    const text = (key: Gap['after']) => (typeof key?.[0] === 'number' ? isoTime(key[0]) : '…');
    work.tally.lose('windows', `page ${page}: ${reason}, windows of ${text(after)} to ${text(before)}`);
  }
  const index = missingWindows(
    work,
    new Set(aside.map(({ row }) => keyOf(row.start_ms, row.device, row.length_ms, row.part))),
  );
  if (index.gaps.length > 0) tell(work, 'windows', { count: gaps.length });
  else if (file(work).isUnsure) tell(work, 'windows', { count: 1 });
}

const file = ({ file }: Work) => file.wal;

/** Tells of windows without a receipt that are in the index and nowhere else; their readings nobody knows: one each. */
function missingWindows(work: Work, known: ReadonlySet<string>): Tree {
  const { db } = work;
  const key = 'start_ms = ? AND device = ? AND length_ms = ? AND part = ?';
  const find = db.prepare(`SELECT 1 FROM windows WHERE ${key}`);
  // a receipt that the index does not know of: sending once more does no harm
  const owe = db.prepare(`UPDATE windows SET receipted = 0 WHERE ${key} AND revision <= receipted`);
  const isNamed = db.prepare('SELECT 1 FROM devices WHERE id = ?');
  return new Tree(work.file, rootOf(work.file, db, 'backlog'), true, ({ values }) => {
    const [startMs, device, lengthMs, part] = values;
    if (typeof startMs !== 'number' || typeof device !== 'number') return;
    if (find.get(startMs, device, lengthMs, part) !== undefined) {
      owe.run(startMs, device, lengthMs, part);
      return;
    }
    if (known.has(keyOf(startMs, device, lengthMs as number, part as number))) return;
    const ofDevice = isNamed.get(device) === undefined ? {} : { device };
    tell(work, 'windows', { count: 1, dayMs: utcDayMs(startMs), ...ofDevice });
  });
}

/** Under another epoch the cloud would count what left and has no receipt a second time. */
export function forgetUncertain(work: Work): void {
  const { db } = work;
  const rows = db.prepare('SELECT * FROM windows WHERE attempted > 0 AND revision > receipted').all() as SavedRow[];
  for (const row of rows) setAsideWindow(work, row, 'it left for the cloud under an epoch that is lost');
  db.exec('DELETE FROM windows WHERE attempted > 0 AND revision > receipted');
  db.exec('DELETE FROM ledger');
  db.exec(
    `INSERT INTO ledger SELECT start_ms - start_ms % 86400000, device, sum(readings) FROM windows
       WHERE revision > receipted GROUP BY 1, 2`,
  );
  db.exec('UPDATE losses SET count = count - receipted, receipted = 0 WHERE count > receipted');
  db.exec('DELETE FROM losses WHERE receipted > 0');
}

function setAsideWindow(work: Work, row: SavedRow, reason: string): void {
  const { device, start_ms: startMs, length_ms: lengthMs, part, revision, receipted, readings, summary, seen } = row;
  const key = JSON.stringify({ device, startMs, lengthMs, part, revision, readings });
  const bytes = Buffer.concat([summary, seen ?? new Uint8Array()]);
  const isNamed = work.db.prepare('SELECT 1 FROM devices WHERE id = ?').get(device) !== undefined;
  const count = revision > receipted ? readingsIn(row) : 0;
  const dayMs = utcDayMs(startMs);
  putAside(work, { place: 'windows', key, reason, bytes }, { count, dayMs, ...(isNamed ? { device } : {}) });
}

/** In words; undefined where there is nothing. */
function wrongWith(row: SavedRow, { devices, metrics }: Names): string | undefined {
  const { device, start_ms: startMs, length_ms: lengthMs, revision, attempted, receipted, readings, summary } = row;
  if (!devices.has(device)) return 'the name of its device is lost';
  if (!isWhole(row)) return 'its checksum does not hold';
  if (receipted < 0 || attempted < receipted || revision < attempted) return 'its revisions cannot be';
  try {
    for (const [metric, { n }] of decodeMetrics(summary, startMs, lengthMs)) {
      if (!metrics.has(metric)) return 'the name of a metric is lost';
      if (n > readings) return 'it says that it holds fewer readings than it does';
    }
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function rangeOf({ after, before }: Gap): LostRange {
  return {
    fromMs: typeof after?.[0] === 'number' ? after[0] : Number.NEGATIVE_INFINITY,
    toMs: typeof before?.[0] === 'number' ? before[0] : Number.POSITIVE_INFINITY,
  };
}

function keyOf(startMs: number, device: number, lengthMs: number, part: number): string {
  return `${startMs}/${device}/${lengthMs}/${part}`;
}

function isoTime(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms);
}
