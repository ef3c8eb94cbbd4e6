/** How far each imported file is in. Written with the block that holds the rows, so an import resumes exactly. */
import type { Db } from './schema.js';

export interface ImportProgress {
  /** What the file is: a hash of its content and route. */
  readonly fingerprint: string;
  readonly name: string;
  /** Bytes of the file that are in. */
  readonly position: number;
  readonly rows: number;
  readonly done: boolean;
}

export class Imports {
  readonly #get;
  readonly #save;

  constructor(db: Db) {
    this.#get = db.prepare('SELECT fingerprint, name, position, rows, done FROM imports WHERE fingerprint = ?');
    this.#save = db.prepare(
      `INSERT INTO imports VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET position = excluded.position, rows = excluded.rows, done = excluded.done`,
    );
  }

  find(fingerprint: string): ImportProgress | undefined {
    const row = this.#get.get(fingerprint) as (Omit<ImportProgress, 'done'> & { done: number }) | undefined;
    return row === undefined ? undefined : { ...row, done: row.done === 1 };
  }

  /** Inside a transaction. */
  save({ fingerprint, name, position, rows, done }: ImportProgress): void {
    this.#save.run(fingerprint, name, position, rows, done ? 1 : 0);
  }
}
