/**
 * The buffer: everything the gateway must not forget, in one SQLite file.
 *
 * Contract. commit() returns only after the block is on disk (fsync; with relaxed durability sync() sees to that from time
 * to time), and throws with nothing stored. attempted() is on disk in either mode when it returns. save() moves
 * windows from the journal to rows, with the books, in one transaction; a crash between the two loses nothing, because
 * recovery applies the blocks that a row does not hold yet. One process writes; all methods are synchronous and
 * ordered. Never frees a window without the receipt for its very revision.
 */
import { EdgetallyError } from '../../shared/errors.js';
import { utcDayMs } from '../../shared/window.js';
import type { Block, BlockReading, UntoldLoss } from '../block.js';
import { addReasons, type Books, booksSchema, emptyBooks } from '../books.js';
import type { StoredWindow, WindowRef, WindowSave } from '../stored-window.js';
import { Ballast } from './ballast.js';
import { decodeBlock, encodeBlock } from './block-codec.js';
import { Coarsener } from './coarsen.js';
import { Dictionary } from './dictionary.js';
import { Disk } from './disk.js';
import { Durability } from './durability.js';
import { Held } from './held.js';
import { type ImportProgress, Imports } from './imports.js';
import { Losses } from './losses.js';
import type { BufferOptions } from './options.js';
import { Quarantine, type QuarantineSample } from './quarantine.js';
import { type Db, explain, openDatabase, openReadOnly } from './schema.js';
import { StoredTimes } from './time-marks.js';
import { Undated } from './undated.js';
import { type IsOpen, Windows } from './windows.js';

/** What one commit makes durable together. */
export interface Commit {
  readonly block: Block;
  readonly samples: readonly QuarantineSample[];
  /** Readings from the future, put aside. */
  readonly held: readonly BlockReading[];
  /** Readings whose time nobody knows yet, put aside, and the start of the machine in which they came. */
  readonly undated?: { readonly bootId: string; readonly readings: readonly BlockReading[] };
  /** Rows of held and of undated readings that are in the block now. */
  readonly released: readonly number[];
  readonly dated?: readonly number[];
  readonly progress?: ImportProgress;
}

export class EdgeBuffer {
  readonly path: string;
  readonly epoch: string;
  /** How often this database was opened. */
  readonly session: number;
  readonly dictionary: Dictionary;
  readonly quarantine: Quarantine;
  readonly imports: Imports;
  /** As of the last block: whoever applies a block enters what it lost. */
  readonly losses: Losses;
  readonly undated: Undated;
  readonly held: Held;
  readonly times: StoredTimes;
  readonly windows: Windows;
  readonly disk: Disk;
  /** Bytes of blocks in the journal. */
  journalBytes: number;
  /** As of the last save; recovery adds the blocks after it. */
  readonly savedBooks: { readonly books: Books; readonly sequence: number };
  #sequence: number;
  #purgedUntilMs: number;
  readonly #db: Db;
  readonly #durability: Durability;
  readonly #ballast: Ballast;
  readonly #coarsener: Coarsener;
  readonly #statements;

  constructor(path: string, options: BufferOptions, readOnly = false) {
    this.path = path;
    const db = readOnly ? openReadOnly(path) : openDatabase(path);
    this.#db = db;
    try {
      this.disk = new Disk(db, path, options.maxBytes);
      this.#durability = new Durability(db, options);
      this.#ballast = new Ballast(`${path}-ballast`);
      this.#coarsener = new Coarsener(db);
      this.#statements = prepareStatements(db);
      this.epoch = String(this.#meta('epoch'));
      this.session = Number(this.#meta('session')) + (readOnly ? 0 : 1);
      if (!readOnly) this.#statements.setMeta.run('session', this.session);
      this.dictionary = new Dictionary(db, options);
      this.quarantine = new Quarantine(db, options.maxQuarantineBytes);
      this.imports = new Imports(db);
      this.losses = new Losses(db, this.dictionary);
      this.undated = new Undated(db);
      this.held = new Held(db);
      this.windows = new Windows(db, this.dictionary, this.disk.shares.pages);
      this.times = new StoredTimes(db, this.windows);
      const journal = this.#statements.journalState.get() as { last: number; bytes: number };
      this.journalBytes = journal.bytes;
      const books = this.#meta('books');
      this.savedBooks = {
        books: books === undefined ? emptyBooks() : booksSchema.parse(JSON.parse(String(books))),
        sequence: Number(this.#meta('sequence') ?? 0),
      };
      this.#sequence = Math.max(this.savedBooks.sequence, journal.last);
      this.#purgedUntilMs = Number(this.#meta('purged_until_ms') ?? Number.MIN_SAFE_INTEGER);
    } catch (error) {
      db.close(); // or the file would stay locked
      throw explain(error, path);
    }
  }

  /** Number of the last block. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The blocks of the journal in order. */
  *journal(): Iterable<{ sequence: number; block: Block }> {
    const rows = this.#statements.journal.all() as { sequence: number; block: Uint8Array }[];
    for (const { sequence, block } of rows) yield { sequence, block: decodeBlock(block) };
  }

  /** The first block of the journal; where there is none, the next one. */
  get oldestBlock(): number {
    return (this.#statements.oldest.get() as number | null) ?? this.#sequence + 1;
  }

  /** Makes a block durable; returns its number. */
  commit(commit: Commit): number {
    this.#checkRoom();
    const sequence = this.#sequence + 1;
    const bytes = encodeBlock(commit.block);
    this.#transaction(() => {
      this.dictionary.save();
      this.#statements.append.run(sequence, bytes);
      for (const sample of commit.samples) this.quarantine.add(sample);
      for (const reading of commit.held) this.held.hold(reading);
      for (const id of commit.released) this.held.release(id);
      if (commit.undated !== undefined) this.undated.add(commit.undated.bootId, commit.undated.readings);
      for (const id of commit.dated ?? []) this.undated.delete(id);
      if (commit.progress !== undefined) this.imports.save(commit.progress);
    });
    this.dictionary.saved();
    this.#sequence = sequence;
    this.journalBytes += bytes.length;
    return sequence;
  }

  /**
   * Saves windows as of the last block, with the books as of then, and drops the blocks before `oldestNeeded` (the
   * first block that an unsaved window still needs; undefined where none does).
   */
  save(windows: readonly WindowSave[], books: Books, oldestNeeded: number | undefined): void {
    if (windows.length > 0) this.disk.keep(1);
    this.#saving(() => {
      for (const window of windows) this.windows.save(window);
      this.#saveBooks(books);
      this.#statements.forget.run(oldestNeeded ?? this.#sequence + 1);
    });
    this.journalBytes = (this.#statements.journalState.get() as { bytes: number }).bytes;
  }

  /** These revisions are about to leave; returns those that are still the newest. */
  attempted(refs: readonly WindowRef[]): WindowRef[] {
    return this.#inPieces(refs).flatMap((some) => this.#transaction(() => this.windows.attempted(some), true));
  }

  /** With relaxed durability: makes durable what was committed, when it is time. Called often. */
  sync(monotonicMs: number): void {
    if (!this.#durability.isDue(monotonicMs)) return;
    this.#transaction(() => undefined, true);
    this.#durability.synced(monotonicMs);
  }

  receipted(refs: readonly WindowRef[]): void {
    for (const some of this.#inPieces(refs)) this.#transaction(() => this.windows.receipted(some));
  }

  /** The cloud knows of these losses. */
  lossesReceipted(told: readonly UntoldLoss[]): void {
    this.#transaction(() => this.losses.receipted(told));
  }

  /** Forgets losses that the cloud knows of, of days that are over before `beforeMs`. */
  forgetLosses(beforeMs: number): void {
    this.#transaction(() => this.losses.purge(beforeMs))();
  }

  /**
   * Forgets windows that have their receipt, were last changed before `beforeMs`, are over at `overMs` and not in memory, some
   * at a time; true where more are left.
   */
  purge(beforeMs: number, overMs: number, isOpen: IsOpen): boolean {
    const atOnce = this.disk.rowsAtOnce;
    const { purged, untilMs } = this.#transaction(() => {
      const done = this.windows.purge(beforeMs, overMs, atOnce, isOpen);
      if (done.untilMs > this.#purgedUntilMs) this.#statements.setMeta.run('purged_until_ms', done.untilMs);
      return done;
    });
    // not before the commit: after a failed one the next has to write it
    this.#purgedUntilMs = Math.max(this.#purgedUntilMs, untilMs);
    return purged === atOnce;
  }

  find(device: number, timeUs: number): StoredWindow | undefined {
    return this.windows.find(device, timeUs);
  }

  lengthsIn(device: number, startMs: number, endMs: number): number[] {
    return this.windows.lengthsIn(device, startMs, endMs);
  }

  /**
   * The part number of a window that is not in the database. Where it may have been purged, the number is one that it
   * never had, so that what comes late adds to what the cloud has and does not replace it.
   */
  newPart(startMs: number): number {
    return startMs < this.#purgedUntilMs ? this.#sequence : 0;
  }

  nextPart(): number {
    return this.#sequence;
  }

  /**
   * Merges some of the oldest unsent windows into coarser ones; returns the books' new count of those, undefined where
   * there is nothing to merge.
   */
  coarsen(beforeMs: number, isOpen: IsOpen, books: Books, nowMs: number): Books['coarsened'] | undefined {
    const { level, intervals } = this.#coarsener.candidates(beforeMs, isOpen, this.disk.rowsAtOnce);
    if (intervals.length === 0) return undefined;
    const coarsened = { ...books.coarsened };
    const dayMs = utcDayMs(nowMs);
    this.#saving(() => {
      for (const interval of intervals) {
        const { windows, save } = this.#coarsener.merge(interval, this.#sequence);
        this.windows.save(save);
        addReasons(coarsened, { [level]: windows });
        this.losses.enter({ dayMs, kind: 'coarsened', reason: level, device: 0, count: windows });
      }
      this.#saveBooks({ ...books, coarsened });
    });
    return coarsened;
  }

  close(): void {
    this.#db.close();
  }

  /** While the ballast is gone, room is for receipts, and intake waits. */
  #checkRoom(): void {
    this.disk.keep(2);
    if (this.#ballast.isThere) return;
    if (!this.#ballast.diskIsFull) this.#ballast.take();
    else throw new EdgetallyError('database-failed', `${this.path}: the disk is full; intake waits for room`);
  }

  /** What one transaction may write of them. */
  #inPieces<T>(rows: readonly T[]): T[][] {
    const size = this.disk.rowsAtOnce;
    return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size));
  }

  #saveBooks(books: Books): void {
    this.#statements.setMeta.run('books', JSON.stringify(books));
    this.#statements.setMeta.run('sequence', this.#sequence);
    this.losses.save();
  }

  #meta(key: string): unknown {
    return this.#statements.getMeta.get(key);
  }

  /** A transaction that saves the books; what is lost in one that fails was not lost. */
  #saving(work: () => void): void {
    this.losses.saving(() => this.#transaction(work));
  }

  #transaction<T>(work: () => T, synced = false): T {
    try {
      return this.#durability.transaction(work, synced);
    } catch (error) {
      const explained = explain(error, this.path);
      if (explained.isFull && this.#ballast.diskIsFull) this.#ballast.drop();
      throw explained;
    }
  }
}

function prepareStatements(db: Db) {
  return {
    getMeta: db.prepare('SELECT value FROM meta WHERE key = ?').pluck(),
    setMeta: db.prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value'),
    append: db.prepare('INSERT INTO journal VALUES (?, ?)'),
    journal: db.prepare('SELECT sequence, block FROM journal ORDER BY sequence'),
    oldest: db.prepare('SELECT min(sequence) FROM journal').pluck(),
    journalState: db.prepare(
      'SELECT coalesce(max(sequence), 0) AS last, coalesce(sum(length(block)), 0) AS bytes FROM journal',
    ),
    forget: db.prepare('DELETE FROM journal WHERE sequence < ?'),
  };
}
