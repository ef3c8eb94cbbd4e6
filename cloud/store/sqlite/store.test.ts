import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type Test, test } from 'tap';
import { testConformance } from '../conformance.js';
import { collect, QUOTA, recomputeAll, total, WHOLE_DAY } from '../conformance-tools.js';
import { batchOf, NOON, windowsOf } from '../samples.js';
import { openForWriting } from './schema.js';
import { openSqliteReader, openSqliteStore } from './store.js';

const maxQuarantineBytes = 1000;

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'edgetally-cloud-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

function open(path: string) {
  return openSqliteStore({ path, maxQuarantineBytes, quota: QUOTA });
}

test('conformance', async (t) => {
  testConformance(t, 'SQLite', async (t) => {
    const path = join(folder(t), 'cloud.db');
    let store = open(path);
    t.teardown(() => store.close());
    return {
      store,
      isIsolated: true,
      sharesQuarantine: true,
      reopen: async () => {
        await store.close();
        store = open(path);
        return store;
      },
    };
  });
});

test('synchronous=FULL and the WAL are there on every open, and stay after writes', (t) => {
  const path = join(folder(t), 'cloud.db');
  for (const time of ['first', 'second']) {
    const db = openForWriting(path);
    db.exec(`INSERT INTO counters VALUES ('${time}', 1)`);
    t.equal(db.pragma('synchronous', { simple: true }), 2);
    t.equal(db.pragma('journal_mode', { simple: true }), 'wal');
    db.close();
  }
  t.end();
});

test('one process writes', async (t) => {
  const path = join(folder(t), 'cloud.db');
  const store = open(path);
  t.throws(() => open(path), { code: 'database-locked' });
  const reader = openSqliteReader(path);
  await store.commit([batchOf(windowsOf([{ timeMs: NOON, values: { c: 1 } }]))]);
  t.equal((await reader.read((snapshot) => snapshot.devices())).length, 1, 'others read');
  await reader.close();
  await store.close();
  await open(path).close();
});

test('a file that is not ours, or newer, is refused and left as it is', async (t) => {
  const path = join(folder(t), 'other.db');
  const refuse = (code: string) => {
    const before = readFileSync(path);
    t.throws(() => open(path), { code });
    t.throws(() => openSqliteReader(path), { code });
    t.ok(readFileSync(path).equals(before), `${code}: not a byte changed`);
  };
  writeFileSync(path, 'these are somebody’s notes, and they are long enough '.repeat(50));
  refuse('database-invalid');
  rmSync(path);
  new Database(path).exec('CREATE TABLE notes (text)').close();
  refuse('database-invalid');
  rmSync(path);

  await open(path).close();
  const other = new Database(path);
  other.pragma('user_version = 3');
  other.exec('CREATE TABLE new (x)');
  // Not yet in the file, but in the WAL only.
  copyFileSync(path, `${path}.copy`);
  copyFileSync(`${path}-wal`, `${path}.copy-wal`);
  other.close();
  refuse('database-newer');
  copyFileSync(`${path}.copy`, path);
  copyFileSync(`${path}.copy-wal`, `${path}-wal`);
  refuse('database-newer');
});

test('a database of version 1 is brought up to date; until then nobody reads it', async (t) => {
  const path = join(folder(t), 'cloud.db');
  const window = windowsOf([{ timeMs: NOON, values: { c: 1 } }]);
  const ledger = [{ group: 'hall', device: 'told', dayMs: NOON - (NOON % 86_400_000), readings: 5 }];
  const store = open(path);
  await store.commit([batchOf(window, { ledger })]);
  await recomputeAll(store);
  const truth = await store.read((snapshot) => total(snapshot, { scope: 'all', resolution: 'month' }));
  await store.close();
  const old = new Database(path);
  for (const name of ['devices', 'metrics', 'day_ms', 'rows_today', 'over_quota'])
    old.exec(`ALTER TABLE gateways DROP COLUMN ${name}`);
  old.exec('DROP TABLE losses; ALTER TABLE rollups DROP COLUMN longest_ms; DELETE FROM rollups WHERE level > 5');
  old.pragma('user_version = 1');
  old.close();
  t.throws(() => openSqliteReader(path), { code: 'database-failed', message: /older version \(1\)/ });
  const upgraded = open(path);
  const read = () => upgraded.read((snapshot) => total(snapshot, { scope: 'all', resolution: 'month' }));
  t.equal(await read(), truth);
  await recomputeAll(upgraded);
  t.equal(await read(), truth);
  const [month] = await upgraded.read((snapshot) =>
    collect(snapshot.rollUps({ scope: 'all', resolution: 'month' }, { span: WHOLE_DAY, where: {}, metrics: 'none' })),
  );
  t.match(month, { readings: 1, counted: 5, longestMs: 60_000 });
  await upgraded.close();
});

test('killed while the file was made: the next start makes it', async (t) => {
  const dir = folder(t);
  const made = join(dir, 'made.db');
  const db = new Database(made);
  db.pragma('cache_size = 1');
  db.exec('BEGIN; CREATE TABLE half (x)');
  for (let i = 0; i < 100; i++) db.exec('INSERT INTO half VALUES (randomblob(3000))');
  const path = join(dir, 'cloud.db');
  for (const end of ['', '-journal']) copyFileSync(`${made}${end}`, `${path}${end}`);
  db.close();
  t.ok(statSync(path).size > 0 && statSync(`${path}-journal`).size > 0, 'a part of it is there');
  const store = open(path);
  t.same(await store.read((snapshot) => snapshot.gateways()), []);
  await store.close();
});

test('a path that cannot be opened is an error in words', (t) => {
  t.throws(() => openSqliteReader('/nowhere/cloud.db'), { code: 'database-failed' });
  t.throws(() => open('/nowhere/cloud.db'), { code: 'database-failed' });
  t.end();
});

test('after an error of the disk nothing is half there, and the next call opens the file afresh', async (t) => {
  const path = join(folder(t), 'cloud.db');
  const store = open(path);
  t.teardown(() => store.close());
  await store.commit([batchOf(windowsOf([{ timeMs: NOON, values: { c: 1 } }]))]);
  const { transaction } = Database.prototype;
  // The disk fails at the commit, after all statements went well.
  Database.prototype.transaction = function (this: Database.Database, work: () => unknown) {
    return transaction.call(this, () => {
      work();
      throw new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_FSYNC');
    });
  } as typeof transaction;
  const lost = batchOf(windowsOf([{ timeMs: NOON, device: 'd2', values: { c: 1, rh: 1 } }]));
  await t.rejects(store.commit([lost]), { code: 'database-failed' });
  Database.prototype.transaction = transaction;
  t.same(await store.commit([lost]), [{ windows: 1 }]);
  t.equal((await store.read((snapshot) => snapshot.devices())).length, 2);
});
