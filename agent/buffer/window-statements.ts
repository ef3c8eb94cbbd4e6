/** What is asked of the table of windows. */
import type { Statement } from 'better-sqlite3';
import type { Db } from './schema.js';
import { ROW_COLUMNS } from './window-row.js';

type Name =
  | 'find'
  | 'within'
  | 'isOwed'
  | 'empty'
  | 'save'
  | 'addLedger'
  | 'ledger'
  | 'backlog'
  | 'leftBefore'
  | 'unsent'
  | 'backlogState'
  | 'lastClosing'
  | 'attempted'
  | 'receipted'
  | 'purgeable'
  | 'purge';

export function prepareWindowStatements(db: Db): Readonly<Record<Name, Statement>> {
  const key = 'device = ? AND start_ms = ? AND length_ms = ? AND part = ?';
  return {
    find: db.prepare(`SELECT ${ROW_COLUMNS} FROM windows WHERE device = ? AND start_ms = ? AND length_ms = ?`),
    within: db.prepare(`SELECT ${ROW_COLUMNS} FROM windows WHERE device = ? AND start_ms >= ? AND start_ms < ?`),
    isOwed: db.prepare(`SELECT 1 FROM windows WHERE ${key} AND revision > receipted`),
    empty: db.prepare(
      `UPDATE windows SET part = ?, revision = 0, attempted = 0, receipted = 0, readings = 0, bytes = 0, checksum = ?,
         summary = ?, seen = ? WHERE ${key}`,
    ),
    save: db.prepare(
      `INSERT INTO windows (device, start_ms, length_ms, part, revision, folded, closes_ms, readings, bytes,
         checksum, summary, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET revision = excluded.revision, folded = excluded.folded, closes_ms = excluded.closes_ms,
         readings = excluded.readings, bytes = excluded.bytes, checksum = excluded.checksum, summary = excluded.summary, seen = excluded.seen`,
    ),
    addLedger: db.prepare(
      'INSERT INTO ledger VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET readings = readings + excluded.readings',
    ),
    ledger: db.prepare('SELECT readings FROM ledger WHERE device = ? AND day_ms = ?').pluck(),
    backlog: db.prepare(
      `SELECT ${ROW_COLUMNS} FROM windows INDEXED BY backlog WHERE revision > receipted AND closes_ms <= ?
         AND (start_ms, device, length_ms, part) > (?, ?, ?, ?) ORDER BY start_ms, device, length_ms, part LIMIT ?`,
    ),
    leftBefore: db.prepare(
      `SELECT ${ROW_COLUMNS} FROM windows INDEXED BY outstanding WHERE attempted > receipted AND closes_ms <= ?
         AND (start_ms, device, length_ms, part) > (?, ?, ?, ?) ORDER BY start_ms, device, length_ms, part LIMIT ?`,
    ),
    unsent: db.prepare(
      `SELECT ${ROW_COLUMNS} FROM windows WHERE ${key} AND revision > receipted AND closes_ms <= ? AND attempted >= ?`,
    ),
    backlogState: db.prepare(
      `SELECT windows, bytes, (SELECT start_ms FROM windows INDEXED BY backlog WHERE revision > receipted
         ORDER BY start_ms, device, length_ms, part LIMIT 1) AS oldestMs FROM backlog_totals`,
    ),
    lastClosing: db.prepare('SELECT last_closing_ms FROM backlog_totals').pluck(),
    attempted: db
      .prepare(`UPDATE windows SET attempted = revision WHERE ${key} AND revision = ? RETURNING bytes`)
      .pluck(),
    receipted: db.prepare(`UPDATE windows SET receipted = ? WHERE ${key} AND receipted < ?`),
    purgeable: db.prepare(
      `SELECT device, start_ms, length_ms, part FROM windows AS one INDEXED BY receipted
         WHERE revision <= receipted AND closes_ms <= @beforeMs AND start_ms + length_ms <= @overMs
         AND folded < (SELECT coalesce(min(sequence), 9e15) FROM journal)
         AND NOT EXISTS (SELECT 1 FROM windows AS other WHERE other.device = one.device AND other.start_ms = one.start_ms
           AND other.length_ms = one.length_ms AND other.closes_ms > @beforeMs) ORDER BY closes_ms LIMIT @limit`,
    ),
    purge: db.prepare(`DELETE FROM windows WHERE ${key}`),
  };
}
