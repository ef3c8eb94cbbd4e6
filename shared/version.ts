/** What the programs call themselves; a test keeps it equal to the package files. */
export const VERSION = '0.1.0';

/** A clock that says less is wrong: there was no such program then. Moved on with releases, never back. */
export const RELEASED_MS = Date.UTC(2026, 0, 1);
