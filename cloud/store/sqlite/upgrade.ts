/**
 * Brings a database that an older version wrote up to date, in the transaction of its caller. Windows and ledgers are never
 * changed; roll-ups are caches, so an older version's are forgotten and marked stale: reports are right at once, and fast
 * again when the background has computed them.
 */

import { DAY_MS, HOUR_MS, LEVELS, type Level, startOf } from '../store.js';
import type { Db } from './schema.js';
import { levelNumber } from './stale.js';

/** From version 1: losses, quotas, months, and the longest window of a roll-up. */
export function upgradeFromVersion1(db: Db): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS losses (
      day_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, device INTEGER NOT NULL,
      count INTEGER NOT NULL, PRIMARY KEY (day_ms, epoch, kind, reason, device)
    ) WITHOUT ROWID;
    ALTER TABLE gateways ADD COLUMN devices INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE gateways ADD COLUMN metrics INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE gateways ADD COLUMN day_ms INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE gateways ADD COLUMN rows_today INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE gateways ADD COLUMN over_quota INTEGER NOT NULL DEFAULT 0;
    UPDATE gateways SET devices =
      (SELECT count(*) FROM devices d JOIN groups g ON g.id = d.grp WHERE g.gateway = gateways.id);
    DELETE FROM rollups;
    DROP TABLE dirty;
    CREATE TABLE dirty (
      level INTEGER NOT NULL, start_ms INTEGER NOT NULL, subject INTEGER NOT NULL, mark INTEGER NOT NULL,
      since_ms INTEGER NOT NULL, PRIMARY KEY (level, start_ms, subject)
    ) WITHOUT ROWID;
    CREATE INDEX longest_dirty ON dirty (level, since_ms);
    ALTER TABLE rollups ADD COLUMN longest_ms INTEGER NOT NULL DEFAULT 0;
    INSERT INTO counters (name, value) VALUES ('mark', 1) ON CONFLICT DO UPDATE SET value = value + 1;
  `);
  for (const level of LEVELS) markAll(db, level);
}

/** Everything that windows start in; of days and months, what a ledger has part in too. */
function markAll(db: Db, { scope, resolution }: Level): void {
  const subject = { device: 'w.device', group: 'd.grp', all: '0' }[scope];
  const stepMs = resolution === 'hour' ? HOUR_MS : DAY_MS;
  const starts = 'SELECT device, start_ms FROM windows';
  const from = resolution === 'hour' ? starts : `${starts} UNION ALL SELECT device, day_ms FROM ledger`;
  const rows = db
    .prepare(
      `SELECT DISTINCT ${subject} AS subject, start_ms - ((start_ms % ${stepMs}) + ${stepMs}) % ${stepMs} AS start
       FROM (${from}) w JOIN devices d ON d.id = w.device`,
    )
    .all() as { subject: number; start: number }[];
  const mark = db.prepare(
    `INSERT INTO dirty (level, start_ms, subject, mark, since_ms) SELECT ?, ?, ?, value, 0 FROM counters WHERE name = 'mark'
     ON CONFLICT DO UPDATE SET mark = excluded.mark`,
  );
  const level = levelNumber({ scope, resolution });
  for (const { subject: id, start } of rows) mark.run(level, startOf(resolution, start), id);
}
