/**
 * Looks at the files of a database before SQLite does, which would take a log that is damaged in its middle for a shorter one,
 * and a file that was emptied for a new one. Changes nothing.
 */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { EdgetallyError } from '../../shared/errors.js';
import { readEpoch } from './damaged-files.js';
import { PageFile } from './salvage/page-file.js';

const MAGIC = 'SQLite format 3\0';

/** What is damaged, in words; undefined where nothing is seen to be. `isTornByPowerCuts`: durability is relaxed. */
export function damageOfFiles(path: string, isTornByPowerCuts: boolean): string | undefined {
  if (!existsSync(path)) return undefined;
  refuseIfLocked(path);
  if (readEpoch(path) === undefined) return undefined; // not ours, or one that was never opened
  if (statSync(path).size === 0) return 'the file is empty';
  if (firstBytes(path) !== MAGIC) return 'the file does not begin as a database does';
  if (isTornByPowerCuts || !existsSync(`${path}-wal`)) return undefined;
  const file = new PageFile(path);
  try {
    return file.wal.isDamaged ? 'the write-ahead log is damaged in its middle' : undefined;
  } finally {
    file.close();
  }
}

/** Files that another process writes to are nobody else’s to look at, let alone to set aside. */
export function refuseIfLocked(path: string): void {
  if (!existsSync(path)) return;
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { readonly: true, timeout: 2000 });
    db.pragma('schema_version');
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new EdgetallyError('database-locked', `${path} is in use by another process`, { cause: error });
    }
  } finally {
    db?.close();
  }
}

/** Whether a database of another application id has our epoch in it: then the id is what is damaged. */
export function holdsOurEpoch(path: string): boolean {
  try {
    const db = new Database(path, { readonly: true });
    try {
      return db.prepare("SELECT value FROM meta WHERE key = 'epoch'").pluck().get() === (readEpoch(path) ?? null);
    } finally {
      db.close();
    }
  } catch {
    return false;
  }
}

function firstBytes(path: string): string {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(MAGIC.length);
    readSync(file, bytes, 0, bytes.length, 0);
    return bytes.toString('latin1');
  } finally {
    closeSync(file);
  }
}
