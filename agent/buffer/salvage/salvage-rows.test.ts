import { join } from 'node:path';
import t from 'tap';
import { openDatabase } from '../schema.js';
import { ROWS_OF_THEIR_OWN } from './salvage-rows.js';

/** Taken over by steps of their own, or made of the rows that are. */
const OTHERS = ['meta', 'devices', 'metrics', 'journal', 'windows', 'window_lengths', 'backlog_totals'];

t.test('a salvage takes over every table that there is', async (t) => {
  const db = openDatabase(join(t.testdir(), 'edgetally.db'));
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").pluck();
  t.strictSame((tables.all() as string[]).sort(), [...ROWS_OF_THEIR_OWN, ...OTHERS].sort());
  db.close();
});
