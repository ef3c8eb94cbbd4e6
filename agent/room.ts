/**
 * Makes room on the disk when the database nears its cap: first what the cloud has goes, then the oldest unsent windows
 * are merged into coarser ones. One transaction at a time, and what else there is to do in between.
 *
 * Never merges a window that is in memory, nor one that may have left (see coarsen.ts).
 */
import { setImmediate as yieldToEvents } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Books } from './books.js';
import type { EdgeBuffer } from './buffer/buffer.js';
import type { IsOpen } from './buffer/windows.js';
import type { TimeKeeper } from './time/time-keeper.js';

export interface RoomContext {
  readonly buffer: EdgeBuffer;
  readonly books: Books;
  readonly isOpen: IsOpen;
  readonly time: Pick<TimeKeeper, 'now'>;
  readonly log: Logger;
}

/** Unsent windows younger than this are merged only where nothing else makes room. */
const KEPT_FINE_MS = 3_600_000;
/** Where nothing made room, it is tried again after this. */
const FRUITLESS_MS = 10_000;

export class Room {
  readonly #context: RoomContext;
  readonly #highMark: number;
  readonly #lowMark: number;
  #making: Promise<void> | undefined;
  #againMs = Number.NEGATIVE_INFINITY;

  constructor(context: RoomContext) {
    this.#context = context;
    const { pages, reserve } = context.buffer.disk.shares;
    // intake stops at two reserves
    this.#highMark = 4 * reserve + pages / 32;
    this.#lowMark = 4 * reserve + pages / 16;
  }

  /** What is going on now, if anything is. */
  get making(): Promise<void> | undefined {
    return this.#making;
  }

  get isShort(): boolean {
    return this.#context.buffer.disk.room < this.#highMark;
  }

  /** Done when there is room, or nothing more that makes any. */
  make(): Promise<void> {
    if (!this.isShort || this.#context.time.now().steadyMs < this.#againMs) return this.#making ?? Promise.resolve();
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  async #make(): Promise<void> {
    const { buffer, books, time, log } = this.#context;
    const before = books.coarsened;
    while (buffer.disk.room < this.#lowMark) {
      if (!this.#step()) break;
      await yieldToEvents();
    }
    if (books.coarsened !== before) {
      log.warn({ coarsened: books.coarsened }, 'near the cap: old windows were merged into coarser ones');
    }
    if (!this.isShort) return;
    this.#againMs = time.now().steadyMs + FRUITLESS_MS;
    log.error({ maxBytes: buffer.disk.shares.pages }, 'near the cap, and nothing more that could make room');
  }

  /** One transaction; false where nothing is left to do. */
  #step(): boolean {
    const { buffer, isOpen, time } = this.#context;
    if (buffer.purge(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, isOpen) || buffer.disk.room >= this.#lowMark)
      return true;
    const { trustedMs, wallMs } = time.now();
    // where nobody knows the time, room goes before resolution
    const nowMs = trustedMs ?? Number.MAX_SAFE_INTEGER;
    return this.#coarsen(nowMs - KEPT_FINE_MS, wallMs) || (this.isShort && this.#coarsen(nowMs, wallMs));
  }

  /** `wallMs` is the day that it is counted in. */
  #coarsen(beforeMs: number, wallMs: number): boolean {
    const { buffer, books, isOpen } = this.#context;
    const coarsened = buffer.coarsen(beforeMs, isOpen, books, wallMs);
    if (coarsened !== undefined) books.coarsened = coarsened;
    return coarsened !== undefined;
  }
}
