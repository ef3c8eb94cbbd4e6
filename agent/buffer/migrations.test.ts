import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { emptyTally } from '../block.js';
import { EdgeBuffer } from './buffer.js';
import { type Migration, migrate, versionOf } from './migrations.js';
import { bufferSchema } from './options.js';

const options = bufferSchema.parse({});
const NEXT: Migration = {
  version: 2,
  oldestReader: 1,
  sql: `ALTER TABLE windows ADD COLUMN note TEXT; CREATE TABLE notes (id INTEGER PRIMARY KEY);`,
};

/** A database of ours with a block in its journal, after programs with these migrations. */
function migrated(t: Test, ...programs: (readonly Migration[])[]): string {
  const path = join(t.testdir(), 'edgetally.db');
  const buffer = new EdgeBuffer(path, options);
  buffer.begin(buffer.savedBooks.books);
  const tally = { ...emptyTally(), in: 7 };
  buffer.commit({ block: { readings: [], tally }, samples: [], held: [], released: [] });
  buffer.close();
  const db = new Database(path);
  for (const migrations of programs) migrate(db, migrations);
  db.close();
  return path;
}

t.test('a database of the next version that says it may be read is opened, with what is in it', async (t) => {
  const path = migrated(t, [NEXT]);
  const buffer = new EdgeBuffer(path, options);
  t.same(
    [...buffer.journal.blocks()].map(({ block }) => block.tally.in),
    [7],
  );
  buffer.begin(buffer.savedBooks.books);
  buffer.commit({ block: { readings: [], tally: emptyTally() }, samples: [], held: [], released: [] });
  buffer.close();
  const db = new Database(path, { readonly: true });
  t.teardown(() => db.close());
  t.equal(versionOf(db), 2, 'and stays of its version');
});

t.test('one that may not is refused with words, and left as it is', async (t) => {
  const path = migrated(t, [{ ...NEXT, oldestReader: 2 }]);
  const before = readFileSync(path);
  t.throws(() => new EdgeBuffer(path, options), {
    code: 'database-newer',
    message: /has version 2, this program knows 1/,
  });
  t.same(readFileSync(path), before);
});

t.test('each migration runs once, in one transaction', async (t) => {
  const after = { version: 3, oldestReader: 2, sql: 'INSERT INTO notes VALUES (1)' };
  const path = migrated(t, [NEXT], [NEXT, after], [NEXT, after]);
  const db = new Database(path);
  t.teardown(() => db.close());
  t.equal(db.prepare('SELECT count(*) FROM notes').pluck().get(), 1);
  const broken = { version: 4, oldestReader: 4, sql: 'INSERT INTO notes VALUES (2); INSERT INTO nowhere VALUES (1)' };
  t.throws(() => migrate(db, [NEXT, after, broken]), /nowhere/);
  t.equal(versionOf(db), 3);
  t.equal(db.prepare('SELECT count(*) FROM notes').pluck().get(), 1, 'half of one is none');
});
