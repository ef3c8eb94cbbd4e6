/**
 * Which windows travel in which batch, and what became of them. Pure: time is an argument, and the backlog is asked.
 *
 * Promises: a window is freed by the receipt for its very revision, by nothing else; the same revision is in one batch
 * at a time; fresh windows go before the backlog, the backlog oldest first; a refused batch is cut in halves until the
 * refused window stands alone, and that one is set aside for a while, not dropped, so the rest flows.
 */
import type { LedgerEntry } from '../../shared/batch.js';
import type { BacklogWindow, WindowId, WindowRef } from '../stored-window.js';

/** The buffer, as the push stage sees it. */
export interface Backlog {
  /** Closed windows without a receipt, oldest first, behind `after`. */
  page(nowMs: number, after: WindowId, limit: number): BacklogWindow[];
  /** One window as it may be sent now; undefined where it has its receipt or is not closed. */
  unsent(nowMs: number, id: WindowId): BacklogWindow | undefined;
  ledger(refs: readonly WindowRef[]): LedgerEntry[];
  /**
   * These revisions are about to leave: from now on the cloud may know them. Durable when it returns; returns those that
   * are still there as they were.
   */
  attempted(refs: readonly WindowRef[]): WindowRef[];
  receipted(refs: readonly WindowRef[]): void;
}

export interface OutboxLimits {
  readonly maxInFlight: number;
  readonly maxBatchBytes: number;
  readonly receiptTimeoutMs: number;
}

export interface Outgoing {
  readonly sequence: number;
  readonly windows: readonly BacklogWindow[];
  readonly ledger: readonly LedgerEntry[];
}

interface InFlight {
  readonly refs: readonly WindowRef[];
  readonly deadlineMs: number;
}

const START: WindowId = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };
const PAGE = 256;
const MAX_FRESH = 20_000;
const MAX_WINDOWS = 2_000;
/** Batches whose receipt may still come after their deadline. */
const REMEMBERED = 1_000;
const SET_ASIDE_MS = 600_000;
const MAX_PATIENCE = 8;
/** Having reached the end of the backlog, look again after this: windows saved before they closed are found so. */
const RESCAN_MS = 5_000;

export class Outbox {
  readonly #backlog: Backlog;
  readonly #limits: OutboxLimits;
  readonly #sizeOf: (window: BacklogWindow) => number;
  readonly #inFlight = new Map<number, InFlight>();
  /** Past their deadline, or sent on a link that is gone: resent, but a late receipt is still good. */
  readonly #overdue = new Map<number, InFlight>();
  readonly #travelling = new Map<string, number>();
  readonly #setAside = new Map<string, number>();
  #fresh: WindowId[] = [];
  #retry: WindowRef[][] = [];
  #page: BacklogWindow[] = [];
  #cursor: WindowId | undefined = START;
  #rescanMs = 0;
  #sequence = 0;
  #patience = 1;
  readonly counters = { sent: 0, receipted: 0, expired: 0, rejected: 0 };

  constructor(backlog: Backlog, limits: OutboxLimits, sizeOf: (window: BacklogWindow) => number) {
    this.#backlog = backlog;
    this.#limits = limits;
    this.#sizeOf = sizeOf;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Windows that were refused and wait to be tried again. */
  get setAside(): number {
    return this.#setAside.size;
  }

  /** These windows were saved just now. */
  saved(windows: readonly WindowId[]): void {
    if (this.#fresh.length + windows.length <= MAX_FRESH) this.#fresh.push(...windows);
    else this.#cursor = START; // too many to remember: the backlog finds them
  }

  /** The next batch, or undefined where there is nothing to send or enough in flight. */
  next(nowMs: number): Outgoing | undefined {
    if (this.#inFlight.size >= this.#limits.maxInFlight) return undefined;
    const windows = this.#leaving(nowMs);
    if (windows.length === 0) return undefined;
    const refs = windows.map((window) => window.ref);
    const sequence = ++this.#sequence;
    this.#inFlight.set(sequence, { refs, deadlineMs: nowMs + this.#limits.receiptTimeoutMs * this.#patience });
    for (const ref of refs) this.#travelling.set(keyOf(ref), ref.revision);
    this.counters.sent++;
    return { sequence, windows, ledger: this.#backlog.ledger(refs) };
  }

  /** What was read some time ago may have changed since, or been merged into a coarser window. */
  #leaving(nowMs: number): BacklogWindow[] {
    for (;;) {
      const windows = this.#gather(nowMs);
      if (windows.length === 0) return windows;
      const left = new Set(this.#backlog.attempted(windows.map((window) => window.ref)));
      const leaving = windows.filter((window) => left.has(window.ref));
      if (leaving.length > 0) return leaving;
    }
  }

  /** The cloud has committed these batches. Returns how many windows that freed. */
  receipt(sequences: readonly number[]): number {
    const refs: WindowRef[] = [];
    for (const sequence of sequences) refs.push(...(this.#land(sequence) ?? []));
    if (refs.length === 0) return 0;
    this.#backlog.receipted(refs);
    this.counters.receipted += refs.length;
    this.#patience = 1;
    return refs.length;
  }

  /** The cloud refused a batch. `whole`: for what it is, not for what is in it. */
  rejected(sequence: number, whole: boolean, nowMs: number): void {
    const refs = this.#land(sequence);
    if (refs === undefined) return;
    this.counters.rejected++;
    if (whole || refs.length === 1) {
      for (const ref of refs) this.#setAside.set(keyOf(ref), nowMs + SET_ASIDE_MS);
      return;
    }
    const middle = refs.length >> 1;
    this.#retry.push(refs.slice(0, middle), refs.slice(middle));
  }

  /** Batches whose deadline has passed are sent again. Returns how many. */
  expire(nowMs: number): number {
    let expired = 0;
    for (const [sequence, batch] of this.#inFlight) {
      if (batch.deadlineMs > nowMs) continue;
      this.#giveUp(sequence, batch);
      expired++;
    }
    for (const [key, untilMs] of this.#setAside) {
      if (untilMs > nowMs) continue;
      this.#setAside.delete(key);
      this.#cursor = START;
    }
    if (expired > 0) this.#patience = Math.min(this.#patience * 2, MAX_PATIENCE);
    this.counters.expired += expired;
    return expired;
  }

  /** The link is gone: nobody knows what arrived, so everything in flight is sent again. */
  linkLost(): void {
    for (const [sequence, batch] of this.#inFlight) this.#giveUp(sequence, batch);
    this.#patience = 1;
  }

  #giveUp(sequence: number, batch: InFlight): void {
    this.#inFlight.delete(sequence);
    this.#leave(batch.refs);
    this.#overdue.set(sequence, batch);
    const oldest = this.#overdue.keys().next();
    if (this.#overdue.size > REMEMBERED && !oldest.done) this.#overdue.delete(oldest.value);
    this.#cursor = START;
    this.#page = [];
  }

  #land(sequence: number): readonly WindowRef[] | undefined {
    const batch = this.#inFlight.get(sequence);
    if (batch !== undefined) {
      this.#inFlight.delete(sequence);
      this.#leave(batch.refs);
      return batch.refs;
    }
    const overdue = this.#overdue.get(sequence);
    this.#overdue.delete(sequence);
    return overdue?.refs;
  }

  #leave(refs: readonly WindowRef[]): void {
    for (const ref of refs) {
      const key = keyOf(ref);
      if (this.#travelling.get(key) === ref.revision) this.#travelling.delete(key);
    }
  }

  #gather(nowMs: number): BacklogWindow[] {
    const retry = this.#retry.shift();
    if (retry !== undefined) return retry.flatMap((ref) => this.#sendable(this.#backlog.unsent(nowMs, ref), nowMs));
    const windows: BacklogWindow[] = [];
    const taken = new Set<string>();
    let bytes = 0;
    while (windows.length < MAX_WINDOWS) {
      const window = this.#peek(nowMs, taken);
      if (window === undefined) break;
      bytes += this.#sizeOf(window);
      if (windows.length > 0 && bytes > this.#limits.maxBatchBytes) break;
      this.#consume();
      windows.push(window);
      taken.add(keyOf(window.ref));
    }
    return windows;
  }

  /** The first window that may go now; what may not is passed over. */
  #peek(nowMs: number, taken: ReadonlySet<string>): BacklogWindow | undefined {
    for (;;) {
      const candidate = this.#candidate(nowMs);
      if (candidate === undefined) return undefined;
      const [window] = candidate === 'gone' ? [] : this.#sendable(candidate, nowMs);
      if (window !== undefined && !taken.has(keyOf(window.ref))) return window;
      this.#consume();
    }
  }

  #candidate(nowMs: number): BacklogWindow | 'gone' | undefined {
    const fresh = this.#fresh[0];
    if (fresh !== undefined) return this.#backlog.unsent(nowMs, fresh) ?? 'gone';
    if (this.#page.length === 0 && this.#cursor === undefined && nowMs >= this.#rescanMs) this.#cursor = START;
    if (this.#page.length === 0 && this.#cursor !== undefined) {
      this.#rescanMs = nowMs + RESCAN_MS;
      this.#page = this.#backlog.page(nowMs, this.#cursor, PAGE);
      this.#cursor = this.#page.at(-1)?.ref;
    }
    return this.#page[0];
  }

  #consume(): void {
    if (this.#fresh.length > 0) this.#fresh.shift();
    else this.#page.shift();
  }

  #sendable(window: BacklogWindow | undefined, nowMs: number): BacklogWindow[] {
    if (window === undefined) return [];
    const key = keyOf(window.ref);
    if (this.#travelling.get(key) === window.ref.revision) return [];
    return (this.#setAside.get(key) ?? 0) > nowMs ? [] : [window];
  }
}

function keyOf({ device, startMs, lengthMs, part }: WindowId): string {
  return `${device}/${startMs}/${lengthMs}/${part}`;
}
