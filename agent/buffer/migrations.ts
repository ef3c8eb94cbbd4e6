/**
 * From one version of the database to the next, and who may still read it.
 *
 * Each migration is one transaction and keeps the backlog. It says which is the oldest version of the schema whose program may
 * open the database afterwards: where it only adds what an older program does not look at, the one before, so that a
 * gateway may be downgraded by one version. An older program leaves the version as it is.
 */
import type { Db } from './schema.js';

export interface Migration {
  /** Of the schema, afterwards. */
  readonly version: number;
  readonly oldestReader: number;
  readonly sql: string;
}

const FIRST_VERSION = 1;

/** In order; the first version has none. */
export const MIGRATIONS: readonly Migration[] = [];

/** What a program with these migrations writes. */
export function latestVersion(migrations: readonly Migration[]): number {
  return migrations.at(-1)?.version ?? FIRST_VERSION;
}

/** Runs those that are missing. */
export function migrate(db: Db, migrations: readonly Migration[]): void {
  for (const { version, oldestReader, sql } of migrations) {
    if (versionOf(db) >= version) continue;
    db.transaction(() => {
      db.exec(sql);
      db.prepare("INSERT OR REPLACE INTO meta VALUES ('oldest_reader', ?)").run(oldestReader);
      db.pragma(`user_version = ${version}`);
    })();
  }
}

/** Whether a program that knows `known` may read it, and write to it. */
export function isReadable(db: Db, known: number): boolean {
  if (versionOf(db) <= known) return true;
  const oldest = db.prepare("SELECT value FROM meta WHERE key = 'oldest_reader'").pluck().get();
  return oldest !== undefined && Number(oldest) <= known;
}

export function versionOf(db: Db): number {
  return Number(db.pragma('user_version', { simple: true }));
}
