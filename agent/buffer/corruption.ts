/**
 * Whether an error says that the database is damaged. A fault of the disk that may pass (SQLITE_IOERR) is none, nor is a disk
 * that is full.
 */
import Database from 'better-sqlite3';

/** In words; undefined where it is none. */
export function corruptionIn(error: unknown): string | undefined {
  if (error instanceof Database.SqliteError) {
    return error.code.startsWith('SQLITE_CORRUPT') || error.code === 'SQLITE_NOTADB' ? error.message : undefined;
  }
  return error instanceof Error ? corruptionIn(error.cause) : undefined;
}

/**
 * The same of an error while a database of ours is opened: then too what SQLite says of statements (the schema is not what it
 * was), and what anybody says of values that were not read as they were written.
 */
export function corruptionAtOpening(error: unknown): string | undefined {
  const found = corruptionIn(error);
  if (found !== undefined) return found;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const isSchema = cause instanceof Database.SqliteError && cause.code === 'SQLITE_ERROR';
    const isValue = cause instanceof SyntaxError || cause instanceof RangeError || cause.name === 'ZodError';
    if (isSchema || isValue) return cause.message;
  }
  return undefined;
}
