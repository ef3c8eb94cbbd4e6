/**
 * Moves windows from memory to rows: when their time has come, and before it where the journal or the windows in memory
 * take too much.
 */
import { setImmediate as yieldToEvents } from 'node:timers/promises';
import type { Aggregator } from './aggregate/aggregator.js';
import type { OpenWindow } from './aggregate/open-window.js';
import type { Books } from './books.js';
import type { EdgeBuffer } from './buffer/buffer.js';
import type { BufferOptions } from './buffer/options.js';
import type { Room } from './room.js';
import type { WindowSave } from './stored-window.js';

export interface SaverContext {
  readonly aggregator: Aggregator;
  readonly books: Books;
  readonly buffer: EdgeBuffer;
  readonly options: BufferOptions;
  readonly room: Room;
  /** These are in rows now. */
  saved(windows: readonly WindowSave[]): void;
}

const SAVE_AT_ONCE = 500;
/** What windows in memory are brought down to when they took too much, as a share of what they may take. */
const RELIEVED = 0.75;
/** The journal has no more than this share of the pages. */
const JOURNAL_SHARE = 1 / 8;

export class Saver {
  readonly #context: SaverContext;
  readonly #maxJournalBytes: number;

  constructor(context: SaverContext) {
    this.#context = context;
    const { buffer, options } = context;
    this.#maxJournalBytes = Math.min(options.maxJournalBytes, JOURNAL_SHARE * buffer.disk.shares.pages);
  }

  /** The journal is larger than it may be. */
  get isOvergrown(): boolean {
    return this.#context.buffer.journal.bytes > this.#maxJournalBytes;
  }

  /** Those whose time has come, or, where there are none, those that keep an overgrown journal from shrinking. */
  due(steadyMs: number): Promise<void> {
    return this.#save(() => this.#due(steadyMs));
  }

  /** All: then nothing is left in the journal. */
  all(): Promise<void> {
    const { aggregator, buffer } = this.#context;
    return this.#save(() => aggregator.neededBy(buffer.journal.last));
  }

  /** All, at once and in this turn: what they hold is of a session that is over, so they may be sent from now on. */
  freeze(steadyMs: number): void {
    const { aggregator, buffer } = this.#context;
    while (this.#saveSome(aggregator.neededBy(buffer.journal.last), steadyMs) > 0);
    aggregator.dropClean(Number.POSITIVE_INFINITY);
  }

  /**
   * Where windows take too much memory, saves the oldest before their time, and forgets those that were only looked at.
   * Senders wait meanwhile, as nothing is read. Throws where they cannot be saved.
   */
  relieve(): void {
    const { aggregator, books, buffer, options } = this.#context;
    if (aggregator.bytes <= options.maxMemory) return;
    while (aggregator.bytes > RELIEVED * options.maxMemory) {
      if (this.#saveSome(aggregator.neededBy(buffer.journal.last)) > 0) continue;
      buffer.save([], books, undefined); // all is in rows, so nothing needs the journal
      aggregator.dropClean(buffer.journal.oldest);
      return;
    }
  }

  #due(steadyMs: number): OpenWindow[] {
    const { aggregator, buffer } = this.#context;
    const due = aggregator.due(steadyMs);
    if (due.length > 0 || !this.isOvergrown) return due;
    const oldest = aggregator.oldestNeeded() ?? buffer.journal.last;
    return aggregator.neededBy(oldest + Math.ceil((buffer.journal.last - oldest) / 2));
  }

  async #save(select: () => OpenWindow[]): Promise<void> {
    const { aggregator, books, buffer, room } = this.#context;
    for (;;) {
      if (room.isShort) await room.make();
      const windows = select(); // after each wait anew: others save too
      if (windows.length === 0 && this.isOvergrown) buffer.save([], books, aggregator.oldestNeeded());
      if (this.#saveSome(windows) === windows.length) return;
      await yieldToEvents();
    }
  }

  /** As many as one transaction may write; returns how many. They may be sent from `closesMs` on, if not before. */
  #saveSome(windows: readonly OpenWindow[], closesMs = Number.POSITIVE_INFINITY): number {
    if (windows.length === 0) return 0;
    const { aggregator, books, buffer } = this.#context;
    const atOnce = windows.slice(0, SAVE_AT_ONCE);
    const saves = buffer.disk.fill(atOnce, (window) => {
      const save = aggregator.save(window, buffer.journal.last);
      return save.closesMs <= closesMs ? save : { ...save, closesMs };
    });
    const saved = windows.slice(0, saves.length);
    buffer.save(saves, books, aggregator.oldestNeeded(saved));
    for (const window of saved) aggregator.saved(window);
    this.#context.saved(saves);
    return saves.length;
  }
}
