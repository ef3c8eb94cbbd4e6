/**
 * Which windows travel in which batch, and what became of them. Pure: time is an argument (of a clock that never jumps), the
 * backlog is asked.
 *
 * Promises: a window is freed by the receipt for its very revision, by nothing else; the same revision is in one batch
 * at a time; live windows go before the backlog and keep some room in flight; no batch is larger than the limit; a batch
 * that is refused, or cannot be encoded, is cut in halves until the window at fault stands alone. That one is remembered
 * as refused (`refusals.ts`), not dropped, so the rest flows.
 */
import type { LedgerEntry } from '../../shared/batch.js';
import type { LossRecord } from '../../shared/loss.js';
import { REASON } from '../../shared/status.js';
import type { BacklogWindow, WindowId, WindowRef } from '../stored-window.js';
import type { Backlog } from './backlog.js';
import { BatchSize } from './batch-size.js';
import type { Credit } from './credit.js';
import { type Cargo, Flights } from './flights.js';
import { LossCourier } from './loss-courier.js';
import { Pause } from './pause.js';
import { type Load, SendQueue } from './queue.js';
import { Refusals } from './refusals.js';

export interface OutboxLimits {
  readonly maxInFlight: number;
  readonly maxBatchBytes: number;
  readonly receiptTimeoutMs: number;
}

export interface Unsealed {
  readonly sequence: number;
  readonly windows: readonly BacklogWindow[];
  readonly ledger: readonly LedgerEntry[];
  readonly losses: readonly LossRecord[];
}

export interface Outgoing {
  readonly sequence: number;
  readonly windows: readonly BacklogWindow[];
  readonly payload: Uint8Array;
}

export interface OutboxContext {
  readonly backlog: Backlog;
  readonly limits: OutboxLimits;
  readonly credit: Credit;
  /** Throws for what no batch can tell. */
  encode(batch: Unsealed): Uint8Array;
}

export class Outbox {
  readonly #context: OutboxContext;
  readonly #flights: Flights;
  readonly #queue: SendQueue;
  readonly #refusals: Refusals;
  readonly #size: BatchSize;
  readonly #losses: LossCourier;
  #sequence = 0;
  /** A batch of windows goes before each one of losses, where there are any: on a thin link the next may be long in coming. */
  #lossesMayGo = false;
  readonly #pause = new Pause();
  readonly counters = { sent: 0, posted: 0, receipted: 0, expired: 0, rejected: 0, cut: 0 };

  constructor(context: OutboxContext) {
    const { backlog, limits } = context;
    this.#context = context;
    this.#flights = new Flights(limits.maxInFlight, limits.receiptTimeoutMs);
    this.#refusals = new Refusals(backlog);
    this.#size = new BatchSize(limits.maxBatchBytes);
    this.#losses = new LossCourier(backlog.losses, limits.receiptTimeoutMs);
    this.#queue = new SendQueue(backlog, (ref) => !this.#flights.isTravelling(ref) && !this.#refusals.has(ref));
  }

  get inFlight(): number {
    return this.#flights.size;
  }

  /** Windows that were taken over a link that brings no receipts, and wait for theirs. */
  get postedWindows(): number {
    return this.#flights.postedWindows;
  }

  /** Windows that could not be delivered. */
  get refused(): number {
    return this.#refusals.size;
  }

  /** These windows were saved just now. */
  saved(windows: readonly WindowId[]): void {
    for (const window of windows) this.#refusals.tryAgain(window);
    this.#queue.saved(windows);
  }

  /** The next batch, or undefined where there is nothing to send or enough in flight. */
  next(nowMs: number): Outgoing | undefined {
    if (this.#pause.isOn(nowMs)) return undefined;
    const first = this.#lossesMayGo ? this.#tellLosses(nowMs) : undefined;
    if (first !== undefined) return first;
    for (;;) {
      const load = this.#take(nowMs);
      if (load === undefined) return this.#tellLosses(nowMs);
      const outgoing = this.#seal(load, nowMs);
      if (outgoing !== undefined) return outgoing;
    }
  }

  /** The other side took a batch over a link that brings no receipts: for so long it is not sent again. */
  posted(sequence: number, nowMs: number, patienceMs: number): void {
    this.counters.posted++;
    if (!this.#losses.posted(sequence, nowMs, patienceMs)) this.#flights.posted(sequence, nowMs, patienceMs);
  }

  /** The cloud has committed these batches. Returns how many windows that freed. */
  receipt(sequences: readonly number[], nowMs: number): number {
    const refs: WindowRef[] = [];
    for (const sequence of sequences) {
      if (this.#losses.receipt(sequence, nowMs)) continue;
      refs.push(...(this.#flights.land(sequence, nowMs)?.refs ?? []));
    }
    if (refs.length === 0) return 0;
    this.#context.backlog.receipted(refs);
    this.#refusals.forget(refs);
    this.counters.receipted += refs.length;
    this.#pause.over();
    return refs.length;
  }

  /** The cloud refused a batch. Returns the window at fault where that is known now. */
  rejected(sequence: number, reason: string, detail: string, nowMs: number): WindowRef | undefined {
    if (this.#losses.refused(sequence, nowMs)) this.counters.rejected++;
    const cargo = this.#flights.land(sequence, nowMs);
    if (cargo === undefined) return undefined;
    this.counters.rejected++;
    if (this.#pause.refused(reason, nowMs)) {
      this.#again(cargo);
      return undefined;
    }
    return this.#halve(cargo.refs, REASON.test(reason) ? reason : 'other', detail, nowMs);
  }

  /** How long the cloud gathers its receipts; 0 for not at all. */
  patient(ms: number): void {
    this.#flights.patient(ms);
    this.#losses.patient(ms);
  }

  /** What the cloud calls itself. */
  cloudIs(version: string): void {
    this.#refusals.cloudIs(version);
  }

  /** Batches whose deadline has passed are sent again. Returns how many. */
  expire(nowMs: number): number {
    const expired = this.#flights.expire(nowMs);
    for (const cargo of expired) this.#again(cargo);
    this.counters.expired += expired.length;
    return expired.length;
  }

  /** Only what is saved from now on is live. */
  linkUp(): void {
    this.#queue.restart();
  }

  /** There is a link again that brings receipts: what was posted goes once more, for its receipt. */
  recall(): void {
    this.#losses.recall();
    this.#tryAgain(this.#flights.recall());
  }

  /** The link is gone: nobody knows what arrived, so everything in flight is sent again, as part of the backlog. */
  linkLost(): void {
    this.#losses.linkLost();
    this.#tryAgain(this.#flights.linkLost());
    this.#queue.restart();
  }

  #tryAgain(lost: readonly Cargo[]): void {
    for (const { refs } of lost) for (const ref of refs) this.#refusals.tryAgain(ref);
  }

  #again(cargo: Cargo): void {
    this.#tryAgain([cargo]);
    this.#queue.again(cargo);
  }

  #take(nowMs: number): Load | undefined {
    const backlogMayGo = this.#flights.mayDepart('backlog');
    if (!this.#queue.hasLive && backlogMayGo) {
      const suspects = this.#queue.takeSuspects();
      if (suspects !== undefined) return suspects;
    }
    if (!this.#flights.mayDepart('live')) return undefined;
    const load = this.#queue.take(this.#size.fill(), (live) => this.#allowed(live > 0, nowMs), nowMs);
    if (load.windows.length > 0) return load;
    return backlogMayGo ? this.#takeRefused(nowMs) : undefined;
  }

  /** How many windows of the backlog may leave, with live ones or without. */
  #allowed(withLive: boolean, nowMs: number): number {
    if (!this.#flights.mayDepart('backlog')) return 0;
    return this.#context.credit.allowed(nowMs, !withLive, this.#flights.backlogWindows);
  }

  #takeRefused(nowMs: number): Load | undefined {
    for (let ref = this.#refusals.due(nowMs); ref !== undefined; ref = this.#refusals.due(nowMs)) {
      const window = this.#context.backlog.unsent(ref);
      if (window !== undefined && !this.#flights.isTravelling(window.ref)) {
        return { windows: [window], live: 0, alone: true };
      }
    }
    return undefined;
  }

  /** Encodes as much as fits, and marks it as leaving; after an error nothing has left. */
  #seal(load: Load, nowMs: number): Outgoing | undefined {
    let part = load;
    try {
      for (;;) {
        const payload = this.#encode(part, nowMs);
        if (payload === undefined) return undefined;
        if (payload.length > this.#size.maxBytes) {
          part = this.#cut(part, payload.length);
          continue;
        }
        const still = this.#stillThere(part);
        if (still.windows.length === part.windows.length) return this.#depart(part, payload, nowMs);
        part = still; // the others have changed since they were read, or were merged into a coarser window
        if (part.windows.length === 0) return undefined;
      }
    } catch (error) {
      this.#queue.putBack(part);
      throw error;
    }
  }

  /** Undefined where it cannot be sent as it is, and what is in it has been dealt with. */
  #encode({ windows }: Load, nowMs: number): Uint8Array | undefined {
    const refs = windows.map(({ ref }) => ref);
    const ledger = this.#context.backlog.ledger(refs);
    let payload: Uint8Array;
    try {
      payload = this.#context.encode({ sequence: this.#sequence + 1, windows, ledger, losses: [] });
    } catch (error) {
      this.#halve(refs, 'invalid', (error as Error).message, nowMs);
      return undefined;
    }
    this.#size.learn(windows, payload.length);
    if (payload.length <= this.#size.maxBytes || refs.length > 1) return payload;
    const detail = `alone it takes ${payload.length} bytes, and push.maxBatchBytes is ${this.#size.maxBytes}`;
    this.#halve(refs, 'too-large', detail, nowMs);
    return undefined;
  }

  #cut(load: Load, bytes: number): Load {
    this.counters.cut++;
    const { windows, live, alone } = load;
    const fitting = this.#size.fitting(windows.length, bytes);
    this.#queue.putBack({ windows: windows.slice(fitting), live: Math.max(0, live - fitting), alone });
    return { windows: windows.slice(0, fitting), live: Math.min(live, fitting), alone };
  }

  #stillThere({ windows, live, alone }: Load): Load {
    const left = new Set(this.#context.backlog.attempted(windows.map(({ ref }) => ref)));
    const isLeft = ({ ref }: BacklogWindow) => left.has(ref);
    return { windows: windows.filter(isLeft), live: windows.slice(0, live).filter(isLeft).length, alone };
  }

  /** Not before the backlog may go: a fleet that comes back at once has losses too. */
  #tellLosses(nowMs: number): Outgoing | undefined {
    if (this.#allowed(false, nowMs) <= 0) return undefined;
    const losses = this.#losses.next(this.#sequence + 1, nowMs);
    if (losses.length === 0) return undefined;
    this.#lossesMayGo = false;
    const sequence = ++this.#sequence;
    this.counters.sent++;
    return { sequence, windows: [], payload: this.#context.encode({ sequence, windows: [], ledger: [], losses }) };
  }

  #depart({ windows, live }: Load, payload: Uint8Array, nowMs: number): Outgoing {
    const sequence = ++this.#sequence;
    this.#flights.depart(sequence, { refs: windows.map(({ ref }) => ref), live }, nowMs);
    this.#context.credit.spend(windows.length - live);
    this.counters.sent++;
    this.#lossesMayGo = true;
    return { sequence, windows, payload };
  }

  #halve(refs: readonly WindowRef[], reason: string, detail: string, nowMs: number): WindowRef | undefined {
    const [only] = refs;
    if (only !== undefined && refs.length === 1) {
      this.#refusals.add(only, reason, detail, nowMs);
      return only;
    }
    const middle = refs.length >> 1;
    this.#queue.suspect(refs.slice(0, middle));
    this.#queue.suspect(refs.slice(middle));
    return undefined;
  }
}
