/** What the database knows of time: see `TimeKeeper`. */
import type { TimeMarks } from '../time/time-keeper.js';
import type { Db } from './schema.js';
import type { Windows } from './windows.js';

export class StoredTimes implements TimeMarks {
  readonly newestMs: number;
  readonly steadyMs: number;
  readonly #save;

  constructor(db: Db, windows: Windows) {
    const newest = db.prepare("SELECT value FROM meta WHERE key = 'newest_ms'").pluck().get();
    this.newestMs = Number(newest ?? 0);
    this.steadyMs = windows.lastClosingMs();
    this.#save = db.prepare(
      "INSERT INTO meta VALUES ('newest_ms', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
    );
  }

  /** One small commit. */
  saveNewest(newestMs: number): void {
    this.#save.run(newestMs);
  }
}
