/** What there is one of in a database: small values by name. Writes belong into a transaction of the caller. */
import type { Db } from './schema.js';

export class Meta {
  readonly #get;
  readonly #set;

  constructor(db: Db) {
    this.#get = db.prepare('SELECT value FROM meta WHERE key = ?').pluck();
    this.#set = db.prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value');
  }

  text(key: string): string | undefined {
    const value = this.#get.get(key);
    return value === undefined ? undefined : String(value);
  }

  number(key: string): number {
    return Number(this.#get.get(key) ?? 0);
  }

  set(key: string, value: string | number): void {
    this.#set.run(key, value);
  }
}
