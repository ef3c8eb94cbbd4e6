/** One process at a time has the certificates for itself; the lock goes with the process, however that ends. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { EdgetallyError } from '../../shared/errors.js';

/** Returns what gives it up. */
export function lockIdentity(directory: string): () => void {
  const lock = new Database(join(directory, 'lock'), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE'); // Node has no flock(2)
  } catch (cause) {
    lock.close();
    throw new EdgetallyError('identity-locked', `another process has the certificates in ${directory}`, { cause });
  }
  return () => lock.close();
}
