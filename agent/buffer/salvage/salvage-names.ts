/** The dictionaries of a damaged database. Each name stands in its table and in the index that keeps it unique. */
import type { Work } from './salvage.js';
import { rootOf, TableSource } from './table-source.js';
import { Tree } from './tree.js';

export interface Names {
  readonly devices: ReadonlySet<number>;
  readonly metrics: ReadonlySet<number>;
}

export function salvageNames(work: Work): Names {
  return {
    devices: salvage(work, 'devices', ['grp', 'name']),
    metrics: salvage(work, 'metrics', ['name']),
  };
}

function salvage({ file, db, tally }: Work, table: string, columns: readonly string[]): Set<number> {
  const ids = new Set<number>();
  const places = columns.map(() => '?').join(', ');
  const insert = db.prepare(`INSERT OR IGNORE INTO ${table} (id, ${columns.join(', ')}) VALUES (?, ${places})`);
  const add = (id: unknown, names: readonly unknown[]) => {
    if (typeof id !== 'number' || id < 1 || names.some((name) => typeof name !== 'string')) return;
    if (insert.run(id, ...names).changes === 0) return;
    ids.add(id);
    tally.keep(table);
  };
  const gaps = new TableSource(file, db, table).read((row) =>
    add(
      row.id,
      columns.map((column) => row[column]),
    ),
  );
  const index = new Tree(file, rootOf(file, db, `sqlite_autoindex_${table}_1`), true, ({ values }) =>
    add(values[columns.length], values.slice(0, columns.length)),
  );
  if (gaps.length > 0 && index.gaps.length > 0) {
    for (const { page, reason } of gaps) tally.lose(table, `page ${page}: ${reason}`);
  }
  return ids;
}
