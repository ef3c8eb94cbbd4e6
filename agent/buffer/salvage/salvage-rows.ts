/** Tables whose rows stand for themselves: what can be read of them is taken over. */
import { decodeBlock } from '../block-codec.js';
import type { Work } from './salvage.js';
import type { Names } from './salvage-names.js';
import { type Row, TableSource } from './table-source.js';
import { noteGaps, putAside } from './told.js';

/** Without those that others depend on. */
export const ROWS_OF_THEIR_OWN = [
  'ledger',
  'losses',
  'damaged',
  'held',
  'undated',
  'deliveries',
  'quarantine',
  'imports',
  'refused',
] as const;

type Table = (typeof ROWS_OF_THEIR_OWN)[number] | 'meta';

/** Of devices whose names are lost there may be several. */
const ADD_LOSS = 'ON CONFLICT DO UPDATE SET count = count + excluded.count, receipted = receipted + excluded.receipted';

/** Returns how much of it could not be read. */
export function copyRows(work: Work, table: Table, names?: Names): number {
  const { file, db, tally } = work;
  const source = new TableSource(file, db, table);
  const places = source.columns.map((column) => `@${column}`).join(', ');
  const again = table === 'losses' ? ADD_LOSS : '';
  const insert = db.prepare(
    `INSERT OR REPLACE INTO ${table} (${source.columns.join(', ')}) VALUES (${places}) ${again}`,
  );
  const gaps = source.read((row) => {
    if (names !== undefined && !fits(work, table, row, names)) return;
    insert.run(row);
    tally.keep(table);
  });
  noteGaps(work, table, gaps, table === 'held' || table === 'undated');
  return gaps.length;
}

/** Whether the row can be used; what it lacks is mended where nothing depends on it. */
function fits(work: Work, table: Table, row: Row, { devices, metrics }: Names): boolean {
  if (table === 'held' || table === 'undated') {
    const unknown = unreadable(row.block as Buffer, { devices, metrics });
    if (unknown === undefined) return true;
    const count = table === 'held' ? 1 : Math.max(1, row.readings as number);
    putAside(work, { place: table, key: String(row.id), reason: unknown, bytes: row.block as Buffer }, { count });
    return false;
  }
  if (table === 'losses') {
    const { count, receipted, device } = row as { count: number; receipted: number; device: number };
    if (!devices.has(device)) row.device = 0;
    return count >= 0 && receipted >= 0;
  }
  if ((table === 'ledger' || table === 'refused') && !devices.has(row.device as number)) {
    work.tally.lose(table, 'a row of a device whose name is lost');
    return false;
  }
  return true;
}

/** What is wrong with a block of readings, in words. */
export function unreadable(bytes: Buffer, { devices, metrics }: Names): string | undefined {
  try {
    const { readings } = decodeBlock(bytes);
    const isNamed = readings.every(
      (one) => devices.has(one.device) && one.shape.metrics.every((id) => metrics.has(id)),
    );
    return isNamed ? undefined : 'the name of a device or metric is lost';
  } catch (error) {
    return (error as Error).message;
  }
}
