/**
 * The store in one SQLite file: one connection that writes, one that reads snapshots beside it (WAL).
 *
 * After an error of the disk the next commit of a connection may succeed over lost data, so the connection is given up
 * with the error and the file opened afresh, checks and all, for the next call.
 */

import type { Quota } from '../quota.js';
import type { Applied, Change, RollUp, Snapshot, SnapshotStore, Store } from '../store.js';
import { SqliteChanges } from './changes.js';
import { SqliteDictionary } from './dictionary.js';
import { type RollUpRow, rollUpRow, SqliteRollUps } from './roll-ups.js';
import { type Db, explain, lockForWriting, openForReading, openForWriting } from './schema.js';
import { SqliteSnapshot } from './snapshot.js';

export interface SqliteStoreOptions {
  readonly path: string;
  /** Payload bytes of rejected messages that are kept. */
  readonly maxQuarantineBytes: number;
  /** Of one gateway; none where it is left out. */
  readonly quota?: Quota;
}

const NO_QUOTA: Quota = { devices: Infinity, metrics: Infinity, rowsPerDay: Infinity };

/** Opens the database for writing, and makes it where there is none. */
export function openSqliteStore(options: SqliteStoreOptions): SqliteStore {
  return new SqliteStore(options);
}

/** Opens the database for reading only; a process that writes may be at work beside. */
export function openSqliteReader(path: string): SqliteReader {
  return new SqliteReader(path);
}

export class SqliteReader implements SnapshotStore {
  readonly #path: string;
  #db: Db | undefined;
  #dictionary: SqliteDictionary | undefined;
  #snapshot: SqliteSnapshot | undefined;
  /** One snapshot at a time: there is one connection. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
    this.#open();
  }

  read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    const result = this.#turn.then(async () => {
      try {
        const snapshot = this.#open();
        snapshot.begin();
        return await work(snapshot).finally(() => snapshot.end());
      } catch (error) {
        const explained = explain(error, this.#path);
        if (explained !== error) this.#giveUp();
        throw explained;
      }
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** What was computed from the last snapshot, for the connection that writes. */
  rowsOf(rollUps: readonly RollUp[]): RollUpRow[] {
    const dictionary = this.#dictionary!;
    return rollUps.map((rollUp) => rollUpRow(dictionary, rollUp));
  }

  async close(): Promise<void> {
    await this.#turn;
    this.#giveUp();
  }

  #giveUp(): void {
    this.#db?.close();
    this.#db = undefined;
  }

  #open(): SqliteSnapshot {
    if (this.#db === undefined || this.#snapshot === undefined) {
      this.#db = openForReading(this.#path);
      this.#dictionary = new SqliteDictionary(this.#db);
      this.#snapshot = new SqliteSnapshot(this.#db, this.#dictionary);
    }
    return this.#snapshot;
  }
}

interface Writer {
  readonly db: Db;
  readonly dictionary: SqliteDictionary;
  readonly changes: SqliteChanges;
  readonly rollUps: SqliteRollUps;
}

export class SqliteStore implements Store {
  readonly #options: SqliteStoreOptions;
  readonly #lock: Db;
  #writer: Writer | undefined;
  #reader: SqliteReader | undefined;
  #closed = false;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
    this.#lock = lockForWriting(options.path);
    try {
      this.#open();
    } catch (error) {
      this.#lock.close();
      throw error;
    }
  }

  async commit(changes: readonly Change[]): Promise<readonly Applied[]> {
    return this.#write((writer) => writer.changes.apply(changes));
  }

  async putRollUps(rollUps: readonly RollUp[]): Promise<void> {
    this.#write((writer) => writer.rollUps.put(rollUps.map((rollUp) => rollUpRow(writer.dictionary, rollUp))));
  }

  /** The same, of roll-ups that another connection computed. */
  async putRollUpRows(rows: readonly RollUpRow[]): Promise<void> {
    this.#write((writer) => writer.rollUps.put(rows));
  }

  read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    this.#reader ??= new SqliteReader(this.#options.path);
    return this.#reader.read(work);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#reader?.close();
    this.#writer?.db.close();
    this.#lock.close();
  }

  #write<T>(work: (writer: Writer) => T): T {
    const writer = this.#open();
    try {
      return writer.db.transaction(() => work(writer)).immediate();
    } catch (error) {
      this.#giveUp(writer);
      throw explain(error, this.#options.path);
    }
  }

  /** Whatever went wrong, what the connection and its dictionary believe may not be what the file holds. */
  #giveUp(writer: Writer): void {
    this.#writer = undefined;
    try {
      writer.db.close();
    } catch {
      // The error that led here is the one worth telling.
    }
  }

  #open(): Writer {
    if (this.#closed) throw new Error('the store is closed');
    if (this.#writer === undefined) {
      const db = openForWriting(this.#options.path);
      const dictionary = new SqliteDictionary(db);
      this.#writer = {
        db,
        dictionary,
        changes: new SqliteChanges(db, dictionary, this.#options.maxQuarantineBytes, this.#options.quota ?? NO_QUOTA),
        rollUps: new SqliteRollUps(db),
      };
    }
    return this.#writer;
  }
}
