/**
 * When a transaction waits for the disk (fsync): always, or, where durability is relaxed, only when it has to.
 *
 * SQLite writes its log from the beginning to the end and an fsync takes all of it along. So a power cut undoes the last
 * transactions, never one in the middle: whatever was synced stays, with everything before it. That is what keeps the
 * relaxed gateway exact. What it tells the cloud it syncs first; so nothing the cloud knows is undone, no revision and no
 * sequence is made a second time, and what is lost are acknowledged readings of the last `syncInterval`, once.
 *
 * A killed program loses nothing in either mode: the kernel has what was written.
 */
import type { BufferOptions } from './options.js';
import type { Db } from './schema.js';

export class Durability {
  readonly #db: Db;
  readonly #relaxed: boolean;
  readonly #intervalMs: number;
  readonly #touch;
  readonly #changes;
  #unsynced = false;
  #syncedMs = Number.NEGATIVE_INFINITY;

  /** The database comes with synchronous=FULL. */
  constructor(db: Db, { durability, syncInterval }: BufferOptions) {
    this.#db = db;
    this.#relaxed = durability === 'relaxed';
    this.#intervalMs = syncInterval;
    this.#touch = db.prepare("INSERT INTO meta VALUES ('syncs', 1) ON CONFLICT DO UPDATE SET value = value + 1");
    this.#changes = db.prepare('SELECT total_changes()').pluck();
    if (this.#relaxed) db.pragma('synchronous = NORMAL');
  }

  /** `synced`: with all before it, on disk when this returns, in either mode. */
  transaction<T>(work: () => T, synced: boolean): T {
    if (!this.#relaxed) return this.#db.transaction(work)();
    if (!synced) {
      const before = this.#changes.get();
      const result = this.#db.transaction(work)();
      if (this.#changes.get() !== before) this.#unsynced = true; // housekeeping mostly finds nothing to do
      return result;
    }
    this.#db.pragma('synchronous = FULL');
    try {
      const result = this.#db.transaction(() => {
        if (this.#unsynced) this.#touch.run(); // what changes nothing would not be synced
        return work();
      })();
      this.#unsynced = false;
      return result;
    } finally {
      this.#db.pragma('synchronous = NORMAL');
    }
  }

  /** Whether something waits, and it is time to sync it. What comes after a rest is synced at the next look. */
  isDue(monotonicMs: number): boolean {
    return this.#unsynced && monotonicMs >= this.#syncedMs + this.#intervalMs;
  }

  synced(monotonicMs: number): void {
    this.#syncedMs = monotonicMs;
  }
}
