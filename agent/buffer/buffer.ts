import { utcDayMs } from '../../shared/window.js';
import type { Block, BlockReading, UntoldLoss } from '../block.js';
import { addReasons, type Books, booksSchema, emptyBooks } from '../books.js';
import type { StoredInterval, WindowRef, WindowSave } from '../stored-window.js';
import { Ballast } from './ballast.js';
import { Coarsener, type Mergeable } from './coarsen.js';
import { Damage, damageOf } from './damage.js';
import { Dictionary } from './dictionary.js';
import { Disk } from './disk.js';
import { Durability } from './durability.js';
import { Held } from './held.js';
import { type ImportProgress, Imports } from './imports.js';
import { Journal } from './journal.js';
import { lookAround } from './look-around.js';
import { Losses } from './losses.js';
import { Meta } from './meta.js';
import type { BufferOptions } from './options.js';
import { PartNames } from './part-names.js';
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
  readonly dictionary: Dictionary;
  readonly quarantine: Quarantine;
  readonly imports: Imports;
  readonly damage: Damage;
  /** As of the last block: whoever applies a block enters what it lost. */
  readonly losses: Losses;
  readonly undated: Undated;
  readonly held: Held;
  readonly times: StoredTimes;
  readonly windows: Windows;
  readonly disk: Disk;
  readonly journal: Journal;
  /** As of the last save; recovery adds the blocks after it. */
  readonly savedBooks: { readonly books: Books; readonly sequence: number };
  #isNoted: boolean;
  readonly #parts: PartNames;
  readonly #db: Db;
  readonly #durability: Durability;
  readonly #ballast: Ballast;
  readonly #coarsener: Coarsener;
  readonly #meta: Meta;

  constructor(path: string, options: BufferOptions, readOnly = false) {
    this.path = path;
    const db = readOnly ? openReadOnly(path) : openDatabase(path);
    this.#db = db;
    try {
      this.disk = new Disk(db, path, options.maxBytes);
      this.#durability = new Durability(db, options);
      this.#ballast = new Ballast(`${path}-ballast`);
      this.#meta = new Meta(db);
      this.epoch = String(this.#meta.text('epoch'));
      this.#parts = new PartNames(this.#meta, readOnly);
      this.#isNoted = readOnly;
      this.dictionary = new Dictionary(db, options);
      this.quarantine = new Quarantine(db, options.maxQuarantineBytes);
      this.imports = new Imports(db);
      this.losses = new Losses(db, this.dictionary);
      this.damage = new Damage(db, this.losses, () => this.times.newestMs, readOnly);
      this.undated = new Undated(db, this.damage);
      this.held = new Held(db, this.damage);
      this.windows = new Windows(db, this.dictionary, this.disk.shares.pages, this.damage, () => this.#parts.fresh());
      this.#coarsener = new Coarsener(db, this.windows.keys);
      this.times = new StoredTimes(db, this.windows);
      const books = this.#meta.text('books');
      this.savedBooks = {
        books: books === undefined ? emptyBooks() : booksSchema.parse(JSON.parse(books)),
        sequence: this.#meta.number('sequence'),
      };
      this.journal = new Journal(db, this.savedBooks.sequence, this.damage);
      lookAround(this);
    } catch (error) {
      db.close(); // or the file would stay locked
      throw explain(error, path);
    }
  }

  /** This opening of the database: see `nameSession`. */
  get session(): number {
    return this.#parts.session;
  }

  /**
   * The journal of the earlier session is in rows: from now on windows are of this session. Until then nothing may be
   * committed. Those rows are named after the session that took their readings in, as nobody else would name other readings;
   * a copy of this database comes to the same rows, or to ones with fewer readings.
   */
  begin(books: Books): void {
    const names = this.#saving(() => {
      this.#saveBooks(books);
      this.damage.balanced();
      this.journal.forget(undefined);
      return this.#parts.begin(this.journal.last + 1);
    });
    this.#parts.adopt(names);
    this.journal.forgotten();
  }

  /** Makes a block durable; returns its number. */
  commit(commit: Commit): number {
    this.disk.keep(2);
    this.#ballast.keep();
    const bytes = this.#transaction(() => {
      this.dictionary.save();
      for (const sample of commit.samples) this.quarantine.add(sample);
      for (const reading of commit.held) this.held.hold(reading);
      for (const id of commit.released) this.held.release(id);
      if (commit.undated !== undefined) this.undated.add(commit.undated.bootId, commit.undated.readings);
      for (const id of commit.dated ?? []) this.undated.delete(id);
      if (commit.progress !== undefined) this.imports.save(commit.progress);
      return this.journal.append(commit.block);
    });
    this.dictionary.saved();
    this.journal.appended(bytes, commit.block);
    return this.journal.last;
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
      this.journal.forget(oldestNeeded);
    });
    this.journal.forgotten();
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
    const { purged, names } = this.#transaction(() => {
      const parts = this.windows.purge(beforeMs, overMs, atOnce, isOpen);
      return { purged: parts.length, names: parts.some((part) => part === this.#parts.present) && this.#renewNames() };
    });
    // not before the commit: after a failed one the next has to write it
    if (names) this.#parts.adopt(names);
    return purged === atOnce;
  }

  /** What is saved of the device's window that holds the instant, whatever its length. */
  find(device: number, timeUs: number): StoredInterval | undefined {
    return this.windows.find(device, timeUs, (part) => this.#parts.isOurs(part));
  }

  lengthsIn(device: number, startMs: number, endMs: number): number[] {
    return this.windows.lengthsIn(device, startMs, endMs);
  }

  /** The part of a window that is not in the database and was first changed by this block. */
  partOf(sequence: number): number {
    return this.#parts.partOf(sequence);
  }

  /**
   * Merges some of the oldest unsent windows into coarser ones; returns the books' new count of those, undefined where
   * there is nothing to merge.
   */
  coarsen(beforeMs: number, isOpen: IsOpen, books: Books, nowMs: number): Books['coarsened'] | undefined {
    const { level, intervals } = this.#coarsener.candidates(beforeMs, isOpen, this.disk.rowsAtOnce);
    if (intervals.length === 0) return undefined;
    const coarsened = { ...books.coarsened };
    try {
      const names = this.#saving(() => this.#mergeAll(intervals, { ...books, coarsened }, level, utcDayMs(nowMs)));
      if (names) this.#parts.adopt(names);
      return coarsened;
    } catch (error) {
      if (damageOf(error) === undefined) throw error;
      const found = intervals.map((one) => this.windows.inspect(one.device, one.startMs, one.startMs + one.lengthMs));
      return found.some((rows) => rows > 0) ? { ...books.coarsened } : undefined;
    }
  }

  /** Inside a transaction; the names are to be adopted after it. */
  #mergeAll(intervals: readonly Mergeable[], books: Books, level: string, dayMs: number) {
    let isSealed = false;
    for (const interval of intervals) {
      const { windows, save } = this.#coarsener.merge(interval, this.journal.last);
      this.windows.save(save);
      addReasons(books.coarsened, { [level]: windows });
      this.losses.enter({ dayMs, kind: 'coarsened', reason: level, device: 0, count: windows });
      isSealed ||= save.seen === undefined && save.part === this.#parts.present;
    }
    this.#saveBooks(books);
    return isSealed && this.#renewNames();
  }

  close(): void {
    this.#db.close();
  }

  /** What one transaction may write of them; of none one piece, as a transaction may be asked for its fsync. */
  #inPieces<T>(rows: readonly T[]): T[][] {
    const size = this.disk.rowsAtOnce;
    return Array.from({ length: Math.max(1, Math.ceil(rows.length / size)) }, (_, i) =>
      rows.slice(i * size, (i + 1) * size),
    );
  }

  /** Inside a transaction; to be adopted after it. */
  #renewNames(): ReturnType<PartNames['renew']> {
    return this.#parts.renew(this.journal.oldest, this.journal.last + 1);
  }

  #saveBooks(books: Books): void {
    this.#meta.set('books', JSON.stringify(books));
    this.#meta.set('sequence', this.journal.last);
    this.losses.save();
  }

  /** A transaction that saves the books; what is lost in one that fails was not lost. */
  #saving<T>(work: () => T): T {
    return this.losses.saving(() => this.#transaction(work));
  }

  #transaction<T>(work: () => T, synced = false): T {
    try {
      const result = this.#durability.transaction(() => {
        // the first write of a session notes it; a disk that is full keeps nobody from opening
        if (!this.#isNoted) this.#parts.note();
        return work();
      }, synced);
      this.#isNoted = true;
      return result;
    } catch (error) {
      const explained = explain(error, this.path);
      if (explained.isFull && this.#ballast.diskIsFull) this.#ballast.drop();
      throw explained;
    }
  }
}
