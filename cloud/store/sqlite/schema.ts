/**
 * The cloud's database: one SQLite file, written by one process and read by any number.
 *
 * gateways, epochs    who reports, what of its quota is used, and the databases they reported from
 * groups, devices, metrics   dictionaries: small ids for names. A device belongs to a group, a group to a gateway
 * windows     one row a device-window with all its metrics in one blob; the highest revision. Clustered by device, so that
 *             an hour or a day of one device is a few neighbouring pages
 * rollups     one row an hour, day or month of a device, a group or everything; clustered by time within its level, so that a
 *             fleet report reads one stretch
 * dirty       the roll-ups that are out of date
 * ledger      readings that a gateway says it counted, per device, UTC day and epoch
 * losses      what a gateway says was lost, left out or put aside, per UTC day, kind, reason and device (0: not known)
 * sessions    which batches of a session arrived: a few ranges of sequences, as JSON
 * quarantine  rejected messages, whole, the oldest making room
 * counters    what happened since the file was made
 *
 * Rows of windows are a few hundred bytes and those of roll-ups about a thousand: WITHOUT ROWID keeps rows beside their
 * key, and pages of 8 KiB keep all but the widest sketches out of overflow pages.
 *
 * synchronous=FULL is set and checked on every open: in WAL mode better-sqlite3 otherwise falls back to NORMAL, which
 * forgets commits at a power cut. A file that is not ours, or is newer than this program, is refused and left as it is.
 */
import { existsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { EdgetallyError } from '../../../shared/errors.js';
import { upgradeFromVersion1 } from './upgrade.js';

const APPLICATION_ID = 0x45544c43; // "ETLC"
export const SCHEMA_VERSION = 2;
/** A corruption bug of the WAL is mended from here on. */
const OLDEST_SQLITE = [3, 51, 3] as const;
const PAGE_BYTES = 8192;
const CACHE_KIB = 64 * 1024;

const SCHEMA = `
  CREATE TABLE gateways (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seen_ms INTEGER NOT NULL DEFAULT 0, newest_ms INTEGER,
    batches INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
    devices INTEGER NOT NULL DEFAULT 0, metrics INTEGER NOT NULL DEFAULT 0, day_ms INTEGER NOT NULL DEFAULT 0,
    rows_today INTEGER NOT NULL DEFAULT 0, over_quota INTEGER NOT NULL DEFAULT 0,
    status TEXT, status_ms INTEGER NOT NULL DEFAULT 0
  );
  CREATE TABLE epochs (
    id INTEGER PRIMARY KEY, gateway INTEGER NOT NULL, epoch TEXT NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    status TEXT, status_ms INTEGER NOT NULL DEFAULT 0, UNIQUE (gateway, epoch)
  );
  CREATE TABLE groups (id INTEGER PRIMARY KEY, gateway INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (gateway, name));
  CREATE TABLE devices (id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (grp, name));
  CREATE TABLE metrics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE windows (
    device INTEGER NOT NULL, start_ms INTEGER NOT NULL, length_ms INTEGER NOT NULL, part INTEGER NOT NULL,
    epoch INTEGER NOT NULL, revision INTEGER NOT NULL, readings INTEGER NOT NULL, summary BLOB NOT NULL,
    PRIMARY KEY (device, start_ms, length_ms, part, epoch)
  ) WITHOUT ROWID;
  CREATE TABLE rollups (
    level INTEGER NOT NULL, start_ms INTEGER NOT NULL, subject INTEGER NOT NULL,
    mark INTEGER NOT NULL, readings INTEGER NOT NULL, counted INTEGER NOT NULL, longest_ms INTEGER NOT NULL,
    summary BLOB NOT NULL,
    PRIMARY KEY (level, start_ms, subject)
  ) WITHOUT ROWID;
  CREATE TABLE dirty (
    level INTEGER NOT NULL, start_ms INTEGER NOT NULL, subject INTEGER NOT NULL, mark INTEGER NOT NULL,
    since_ms INTEGER NOT NULL, PRIMARY KEY (level, start_ms, subject)
  ) WITHOUT ROWID;
  CREATE INDEX longest_dirty ON dirty (level, since_ms);
  CREATE TABLE ledger (
    day_ms INTEGER NOT NULL, device INTEGER NOT NULL, epoch INTEGER NOT NULL, readings INTEGER NOT NULL,
    told_ms INTEGER NOT NULL, PRIMARY KEY (day_ms, device, epoch)
  ) WITHOUT ROWID;
  CREATE TABLE losses (
    day_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, device INTEGER NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (day_ms, epoch, kind, reason, device)
  ) WITHOUT ROWID;
  CREATE TABLE sessions (
    epoch INTEGER NOT NULL, session INTEGER NOT NULL, sequences TEXT NOT NULL, PRIMARY KEY (epoch, session)
  ) WITHOUT ROWID;
  CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, digest BLOB NOT NULL, received_ms INTEGER NOT NULL,
    topic TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, payload BLOB NOT NULL, UNIQUE (gateway, digest)
  );
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`;

export type Db = Database.Database;

/** Opens, or makes, the database for writing. */
export function openForWriting(path: string): Db {
  // A transaction that was cut off while the file was made has to be rolled back first, which takes a writer.
  const isCutOff = existsSync(`${path}-journal`);
  if (!isNew(path) && !isCutOff) opened(path, { readonly: true }, (db) => checkIdentity(db, path)).close();
  return opened(path, {}, (db) => {
    checkSqlite(db);
    db.pragma(`page_size = ${PAGE_BYTES}`);
    // Before the WAL, so that even a file torn away from its WAL says what it is.
    db.transaction(() => create(db)).immediate();
    checkIdentity(db, path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.transaction(() => upgrade(db)).immediate();
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.pragma('trusted_schema = OFF');
    if (db.pragma('synchronous', { simple: true }) !== 2 || db.pragma('journal_mode', { simple: true }) !== 'wal') {
      throw new EdgetallyError('database-failed', `${path}: synchronous=FULL with a WAL did not take`);
    }
  });
}

/** Opens the database for reading, beside the process that writes. Never writes to it, not even at its close. */
export function openForReading(path: string): Db {
  if (isNew(path)) {
    throw new EdgetallyError('database-failed', `${path}: there is no database`, {
      hint: 'Check the path; `edgetally-cloud run` makes the database.',
    });
  }
  return opened(path, { readonly: true }, (db) => {
    checkIdentity(db, path);
    checkIsUpToDate(db, path);
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.pragma('trusted_schema = OFF');
  });
}

/**
 * Keeps a second writing process out for as long as it is open. A lock of the operating system: it goes with its process,
 * however that ends. SQLite's own write lock does not do, it is free between transactions.
 */
export function lockForWriting(path: string): Db {
  try {
    return opened(`${path}.lock`, { timeout: 0 }, (db) => {
      db.pragma('journal_mode = MEMORY');
      db.exec('BEGIN EXCLUSIVE');
    });
  } catch (error) {
    if (!(error instanceof EdgetallyError) || error.code !== 'database-locked') throw error;
    throw new EdgetallyError('database-locked', `${path} is in use by another edgetally-cloud`, { cause: error });
  }
}

function isNew(path: string): boolean {
  return !existsSync(path) || statSync(path).size === 0;
}

function opened(path: string, options: Database.Options, prepare: (db: Db) => void): Db {
  let db: Db | undefined;
  try {
    db = new Database(path, { timeout: 5000, ...options });
    prepare(db);
    return db;
  } catch (error) {
    db?.close();
    throw explain(error, path);
  }
}

function create(db: Db): void {
  if (db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() !== 0) return;
  db.exec(SCHEMA);
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.pragma(`user_version = ${SCHEMA_VERSION}`);
}

function upgrade(db: Db): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version === SCHEMA_VERSION) return;
  upgradeFromVersion1(db);
  db.pragma(`user_version = ${SCHEMA_VERSION}`);
}

function checkSqlite(db: Db): void {
  const version = String(db.prepare('SELECT sqlite_version()').pluck().get());
  const parts = version.split('.').map(Number);
  const differing = OLDEST_SQLITE.findIndex((want, i) => parts[i] !== want);
  if (differing >= 0 && (parts[differing] ?? 0) < OLDEST_SQLITE[differing]!) {
    throw new EdgetallyError('database-failed', `SQLite ${version} is too old, expected ${OLDEST_SQLITE.join('.')}`);
  }
}

function checkIdentity(db: Db, path: string): void {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new EdgetallyError('database-invalid', `${path} is not a database of edgetally-cloud`);
  }
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > SCHEMA_VERSION) {
    throw new EdgetallyError('database-newer', `${path} has version ${version}, this program knows ${SCHEMA_VERSION}`);
  }
}

function checkIsUpToDate(db: Db, path: string): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version === SCHEMA_VERSION) return;
  throw new EdgetallyError('database-failed', `${path} was written by an older version (${version})`, {
    hint: 'Start `edgetally-cloud run` once: it brings the database up to date.',
  });
}

/** SQLite's errors in our words; others as they are. */
export function explain(error: unknown, path: string): unknown {
  // better-sqlite3 says by a TypeError that the directory is missing.
  const noDirectory = error instanceof TypeError && error.message.includes('directory does not exist');
  if (!(error instanceof Database.SqliteError) && !noDirectory) return error;
  const code = error instanceof Database.SqliteError ? error.code : '';
  if (code.startsWith('SQLITE_BUSY')) {
    return new EdgetallyError('database-locked', `${path} is in use by another process`, { cause: error });
  }
  if (code === 'SQLITE_NOTADB') {
    return new EdgetallyError('database-invalid', `${path} is not an SQLite database`, { cause: error });
  }
  return new EdgetallyError('database-failed', `${path}: ${error.message}`, { cause: error });
}
