/** One process at a time has the certificates for itself; the lock goes with the process, however that ends. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { EdgetallyError } from '../../shared/errors.js';
import { ownAsDirectory } from './atomic-file.js';

/** Returns what gives it up. */
export function lockIdentity(directory: string): () => void {
  const path = join(directory, 'lock');
  const lock = new Database(path, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE'); // Node has no flock(2)
    ownAsDirectory(path);
  } catch (cause) {
    lock.close();
    throw new EdgetallyError('identity-locked', `another process has the certificates in ${directory}`, { cause });
  }
  return () => lock.close();
}
