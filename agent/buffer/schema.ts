/**
 * The gateway's database: one SQLite file.
 *
 * meta        what this database is: its epoch (made once, with the file), the last session that wrote to it,
 *             the names of its windows, the books
 * devices, metrics   dictionaries: small ids for names
 * journal     one block a commit: readings that are in no saved window yet
 * windows     one row a window. revision grows with each save; receipted is the highest revision that the cloud has
 *             committed; the backlog is the rows where the one is above the other. attempted is the highest revision
 *             that ever left: while it is 0 nobody else knows the window. folded says up to which block the journal is
 *             in it. seen is NULL where the memory of what was counted was given up to save room. checksum: see window-row.ts
 *             in the order of time, because what is saved, sent and receipted together is of one time: see window-keys.ts
 * window_lengths   every length that a window has
 * backlog_totals   of the table of windows, kept by triggers: counting a million rows takes half a second
 * ledger      readings counted per device and UTC day, sent along so that the cloud knows what it lacks
 * losses      what was lost, left out or put aside, by UTC day, kind, reason and device (0: not known); receipted is the
 *             highest count that the cloud has
 * held        readings from the future, until their time comes
 * undated     readings that brought no time while the clock was not believed, until it is
 * damaged     rows whose checksum does not hold, from whatever table
 * deliveries  of blocks that left the journal: by what messages are known that say nothing of themselves
 * quarantine  samples of what was rejected
 * imports     how far each imported file is in
 * refused     windows that could not be delivered, and why
 *
 * synchronous=FULL is set and checked on every open: in WAL mode better-sqlite3 otherwise falls back to NORMAL, which
 * forgets commits at a power cut. locking_mode=EXCLUSIVE keeps a second writer out.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { EdgetallyError, type ErrorCode } from '../../shared/errors.js';
import { isReadable, latestVersion, MIGRATIONS, migrate, versionOf } from './migrations.js';

const APPLICATION_ID = 0x45544c41; // "ETLA"
const OLDEST_SQLITE = [3, 51, 3] as const; // a corruption bug of the WAL is mended there

const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE devices (id INTEGER PRIMARY KEY, grp TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (grp, name));
  CREATE TABLE metrics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE journal (sequence INTEGER PRIMARY KEY, block BLOB NOT NULL);
  CREATE TABLE windows (
    device INTEGER NOT NULL, start_ms INTEGER NOT NULL, length_ms INTEGER NOT NULL, part INTEGER NOT NULL,
    revision INTEGER NOT NULL, attempted INTEGER NOT NULL DEFAULT 0, receipted INTEGER NOT NULL DEFAULT 0,
    folded INTEGER NOT NULL,
    closes_ms INTEGER NOT NULL, readings INTEGER NOT NULL, bytes INTEGER NOT NULL, checksum INTEGER NOT NULL,
    summary BLOB NOT NULL, seen BLOB,
    PRIMARY KEY (start_ms, device, length_ms, part)
  ) WITHOUT ROWID;
  CREATE INDEX backlog ON windows (start_ms, device, length_ms, part, closes_ms, bytes)
    WHERE revision > receipted;
  CREATE INDEX receipted ON windows (closes_ms) WHERE revision <= receipted;
  CREATE INDEX outstanding ON windows (start_ms, device, length_ms, part, bytes) WHERE attempted > receipted;
  CREATE TABLE window_lengths (length_ms INTEGER PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE backlog_totals (windows INTEGER NOT NULL, bytes INTEGER NOT NULL, last_closing_ms INTEGER NOT NULL);
  INSERT INTO backlog_totals VALUES (0, 0, 0);
  CREATE TRIGGER window_in AFTER INSERT ON windows BEGIN
    UPDATE backlog_totals SET windows = windows + (new.revision > new.receipted),
      bytes = bytes + (new.revision > new.receipted) * new.bytes, last_closing_ms = max(last_closing_ms, new.closes_ms);
  END;
  CREATE TRIGGER window_changed AFTER UPDATE OF revision, receipted, bytes, closes_ms ON windows BEGIN
    UPDATE backlog_totals SET windows = windows + (new.revision > new.receipted) - (old.revision > old.receipted),
      bytes = bytes + (new.revision > new.receipted) * new.bytes - (old.revision > old.receipted) * old.bytes,
      last_closing_ms = max(last_closing_ms, new.closes_ms);
  END;
  CREATE TRIGGER window_out AFTER DELETE ON windows WHEN old.revision > old.receipted BEGIN
    UPDATE backlog_totals SET windows = windows - 1, bytes = bytes - old.bytes;
  END;
  CREATE TABLE ledger (day_ms INTEGER NOT NULL, device INTEGER NOT NULL, readings INTEGER NOT NULL,
    PRIMARY KEY (day_ms, device)) WITHOUT ROWID;
  CREATE TABLE losses (day_ms INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, device INTEGER NOT NULL,
    count INTEGER NOT NULL, receipted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day_ms, kind, reason, device)) WITHOUT ROWID;
  CREATE TABLE held (id INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL, block BLOB NOT NULL);
  CREATE TABLE undated (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, last_us INTEGER NOT NULL, readings INTEGER NOT NULL,
    block BLOB NOT NULL);
  CREATE TABLE damaged (id INTEGER PRIMARY KEY, place TEXT NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL,
    bytes BLOB NOT NULL);
  CREATE TABLE deliveries (id INTEGER PRIMARY KEY, records BLOB NOT NULL);
  CREATE TABLE quarantine (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, payload BLOB NOT NULL);
  CREATE TABLE imports (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, position INTEGER NOT NULL, rows INTEGER NOT NULL,
    done INTEGER NOT NULL) WITHOUT ROWID;
`;

/** Came later than the first databases; programs that do not know it do not miss it. */
const REFUSED = `
  CREATE TABLE IF NOT EXISTS refused (
    device INTEGER NOT NULL, start_ms INTEGER NOT NULL, length_ms INTEGER NOT NULL, part INTEGER NOT NULL,
    revision INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (start_ms, device, length_ms, part)
  ) WITHOUT ROWID;
`;

export type Db = Database.Database;

/** Opens, or makes, the database for writing. */
export function openDatabase(path: string): Db {
  const db = open(path, {});
  try {
    db.pragma('locking_mode = EXCLUSIVE');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('trusted_schema = OFF');
    db.pragma('temp_store = MEMORY'); // no file outside of the data directory
    // IMMEDIATE takes the lock, so that a second process learns of the first one here and not in mid-run.
    db.transaction(() => prepare(db, path)).immediate();
    if (db.pragma('synchronous', { simple: true }) !== 2) {
      throw new EdgetallyError('database-failed', `${path}: synchronous=FULL did not take`);
    }
    return db;
  } catch (error) {
    db.close();
    throw explain(error, path);
  }
}

/** Opens the database of a stopped agent for reading. */
export function openReadOnly(path: string): Db {
  if (!existsSync(path)) throw new EdgetallyError('database-failed', `${path}: there is no database yet`);
  const db = open(path, { readonly: true });
  try {
    checkVersion(db, path);
    return db;
  } catch (error) {
    db.close();
    throw explain(error, path);
  }
}

function open(path: string, options: Database.Options): Db {
  try {
    return new Database(path, { timeout: 2000, ...options });
  } catch (error) {
    throw explain(error, path);
  }
}

function prepare(db: Db, path: string): void {
  const version = String(db.prepare('SELECT sqlite_version()').pluck().get());
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const [wantMajor, wantMinor, wantPatch] = OLDEST_SQLITE;
  if (major * 1e6 + minor * 1e3 + patch < wantMajor * 1e6 + wantMinor * 1e3 + wantPatch) {
    throw new EdgetallyError('database-failed', `SQLite ${version} is too old, expected ${OLDEST_SQLITE.join('.')}`);
  }
  const isNew = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0;
  if (isNew) {
    db.exec(SCHEMA);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${latestVersion(MIGRATIONS)}`);
    const set = db.prepare('INSERT INTO meta VALUES (?, ?)');
    set.run('epoch', randomBytes(16).toString('hex'));
    set.run('session', 0);
  }
  checkVersion(db, path);
  migrate(db, MIGRATIONS);
  db.exec(REFUSED);
}

function checkVersion(db: Db, path: string): void {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new EdgetallyError('database-invalid', `${path} is not the database of a gateway`);
  }
  const known = latestVersion(MIGRATIONS);
  if (!isReadable(db, known)) {
    throw new EdgetallyError('database-newer', `${path} has version ${versionOf(db)}, this program knows ${known}`);
  }
}

/** A fault of the database in our words. */
export class DatabaseError extends EdgetallyError {
  /** No room: the disk is full, or the database has reached its cap. */
  readonly isFull: boolean;

  constructor(code: ErrorCode, message: string, cause: unknown, isFull = false) {
    super(code, message, { cause });
    this.isFull = isFull;
  }
}

/** RLIMIT_FSIZE and some file systems give a failed write where others say full. */
const FULL = new Set(['SQLITE_FULL', 'SQLITE_IOERR_WRITE']);

export function explain(error: unknown, path: string): DatabaseError {
  if (error instanceof DatabaseError) return error;
  if (error instanceof EdgetallyError) return new DatabaseError(error.code, error.message, error);
  const code = error instanceof Database.SqliteError ? error.code : '';
  if (code === 'SQLITE_BUSY')
    return new DatabaseError('database-locked', `${path} is in use by another process`, error);
  if (code === 'SQLITE_NOTADB')
    return new DatabaseError('database-invalid', `${path} is not an SQLite database`, error);
  if (code.startsWith('SQLITE_CORRUPT')) return new DatabaseError('database-damaged', `${path} is damaged`, error);
  const text = error instanceof Error ? error.message : String(error);
  return new DatabaseError('database-failed', `${path}: ${text}`, error, FULL.has(code));
}
