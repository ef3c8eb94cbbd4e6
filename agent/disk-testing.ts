/** Disks for tests: a fast one, and what a database takes of it. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** In memory where there is such a file system: thousands of commits take their time otherwise. */
export function fastDirectory(t: Test): string {
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'edgetally-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** The database, its log and the index of that; the ballast beside it is of a fixed size. */
export function bytesOnDisk(databasePath: string): number {
  const files = ['', '-wal', '-shm'].map((end) => `${databasePath}${end}`);
  return files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
}
