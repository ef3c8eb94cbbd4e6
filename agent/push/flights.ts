/**
 * The batches that are out: what is in them, until when a receipt is waited for, and how many there may be. Pure: time is
 * an argument, of a clock that never jumps.
 *
 * Promises: a late receipt is still good. How long is waited, and how many batches of the backlog may be out, follows from
 * how long receipts take: on a slow link a queue of batches would only make everything late. A cloud that gathers its
 * receipts says how long that takes (`patient`); what is within that time says nothing of the link.
 */
import type { WindowRef } from '../stored-window.js';
import { keyOf } from './backlog.js';

/** Fresh windows travel before the backlog, and keep some room of their own. */
export type Lane = 'live' | 'backlog';

export interface Cargo {
  /** The live ones first. */
  readonly refs: readonly WindowRef[];
  readonly live: number;
}

interface Flight extends Cargo {
  readonly sentMs: number;
  readonly deadlineMs: number;
}

/** Batches whose receipt may still come after their deadline. */
const REMEMBERED = 1_000;
const MAX_PATIENCE = 8;
/** Some 200 bytes each. */
const MAX_POSTED_WINDOWS = 50_000;
/** Receipts that take longer than this mean that batches wait somewhere. */
const PROMPT_MS = 3_000;
/** A deadline leaves room for this many usual delays. */
const DELAYS = 4;
const FIRST_BACKLOG = 2;
const LEARNING = 0.2;

export class Flights {
  readonly #maxInFlight: number;
  readonly #receiptTimeoutMs: number;
  readonly #inFlight = new Map<number, Flight>();
  /** Past their deadline, or sent on a link that is gone: resent, but a late receipt is still good. */
  readonly #overdue = new Map<number, Flight>();
  /** Taken by the other side of a link that brings no receipts: they take no place in flight, and wait. */
  readonly #posted = new Map<number, Flight>();
  #postedWindows = 0;
  #postedPatience = 1;
  readonly #travelling = new Map<string, number>();
  #delayMs = 0;
  #patience = 1;
  /** What the cloud asks for. */
  #patientMs = 0;
  /** How many batches of the backlog may be out. */
  #backlogLimit = FIRST_BACKLOG;

  constructor(maxInFlight: number, receiptTimeoutMs: number) {
    this.#maxInFlight = maxInFlight;
    this.#receiptTimeoutMs = receiptTimeoutMs;
  }

  get size(): number {
    return this.#inFlight.size;
  }

  /** Windows of the backlog that are out. */
  get backlogWindows(): number {
    let windows = 0;
    for (const { refs, live } of this.#inFlight.values()) windows += refs.length - live;
    return windows;
  }

  /** Windows that were taken and wait for a receipt that no link brings at present. */
  get postedWindows(): number {
    return this.#postedWindows;
  }

  mayDepart(lane: Lane): boolean {
    if (this.#postedWindows >= MAX_POSTED_WINDOWS) return false; // what is out must be remembered
    if (this.#inFlight.size >= this.#maxInFlight) return false;
    if (lane === 'live') return true;
    const forBacklog = this.#maxInFlight - Math.floor((this.#maxInFlight + 2) / 4); // of one none is kept, of 20 five
    return this.#inFlight.size < Math.min(this.#backlogLimit, forBacklog);
  }

  /** Whether this very revision is in a batch that is out. */
  isTravelling(ref: WindowRef): boolean {
    return this.#travelling.get(keyOf(ref)) === ref.revision;
  }

  /** The cloud answers within this time, unless its word is lost on the way. */
  patient(ms: number): void {
    this.#patientMs = ms;
  }

  depart(sequence: number, cargo: Cargo, nowMs: number): void {
    const patienceMs = Math.max(this.#receiptTimeoutMs, this.#patientMs, DELAYS * this.#delayMs) * this.#patience;
    this.#inFlight.set(sequence, { ...cargo, sentMs: nowMs, deadlineMs: nowMs + patienceMs });
    for (const ref of cargo.refs) this.#travelling.set(keyOf(ref), ref.revision);
  }

  /** The other side took it, and no receipt will come soon: so long it is not sent again. */
  posted(sequence: number, nowMs: number, patienceMs: number): void {
    const flight = this.#inFlight.get(sequence);
    if (flight === undefined) return;
    this.#inFlight.delete(sequence);
    this.#posted.set(sequence, { ...flight, deadlineMs: nowMs + patienceMs * this.#postedPatience });
    this.#postedWindows += flight.refs.length;
  }

  /** There is a link again that brings receipts: what was posted may be sent once more, for its receipt. */
  recall(): Cargo[] {
    const posted = [...this.#posted];
    for (const [sequence, flight] of posted) this.#giveUp(sequence, flight);
    this.#postedPatience = 1;
    return posted.map(([, flight]) => flight);
  }

  /** What was in a batch that the cloud has answered; undefined where it is not known, or answered already. */
  land(sequence: number, nowMs: number): Cargo | undefined {
    const posted = this.#takePosted(sequence);
    if (posted !== undefined) {
      this.#postedPatience = 1;
      this.#leave(posted.refs);
      return posted;
    }
    const flight = this.#inFlight.get(sequence) ?? this.#overdue.get(sequence);
    if (flight === undefined) return undefined;
    if (this.#inFlight.delete(sequence)) this.#leave(flight.refs);
    this.#overdue.delete(sequence);
    this.#observe(nowMs - flight.sentMs);
    this.#patience = 1;
    return flight;
  }

  /** Takes out those whose deadline has passed: they are to be sent again. */
  expire(nowMs: number): Cargo[] {
    const late = [...this.#inFlight].filter(([, { deadlineMs }]) => deadlineMs <= nowMs);
    for (const [sequence, flight] of late) this.#giveUp(sequence, flight);
    if (late.length > 0) {
      this.#patience = Math.min(this.#patience * 2, MAX_PATIENCE);
      this.#backlogLimit = 1;
    }
    const unheard = [...this.#posted].filter(([, { deadlineMs }]) => deadlineMs <= nowMs);
    for (const [sequence, flight] of unheard) this.#giveUp(sequence, flight);
    if (unheard.length > 0) this.#postedPatience = Math.min(this.#postedPatience * 2, MAX_PATIENCE);
    return [...late, ...unheard].map(([, flight]) => flight);
  }

  /** The link is gone: nobody knows what arrived of these. What was posted did arrive. */
  linkLost(): Cargo[] {
    const lost = [...this.#inFlight];
    for (const [sequence, flight] of lost) this.#giveUp(sequence, flight);
    this.#patience = 1;
    this.#delayMs = 0;
    this.#backlogLimit = FIRST_BACKLOG;
    return lost.map(([, flight]) => flight);
  }

  /** Grows by one a receipt, and is halved when they are slow: as TCP does with what is in its own flight. */
  #observe(delayMs: number): void {
    if (delayMs > PROMPT_MS && delayMs <= this.#patientMs) return;
    this.#delayMs = this.#delayMs === 0 ? delayMs : this.#delayMs + LEARNING * (delayMs - this.#delayMs);
    if (delayMs <= PROMPT_MS) this.#backlogLimit = Math.min(this.#backlogLimit + 1, this.#maxInFlight);
    else this.#backlogLimit = Math.max(1, Math.floor(this.#backlogLimit / 2));
  }

  #giveUp(sequence: number, flight: Flight): void {
    this.#inFlight.delete(sequence);
    this.#takePosted(sequence);
    this.#leave(flight.refs);
    this.#overdue.set(sequence, flight);
    const oldest = this.#overdue.keys().next();
    if (this.#overdue.size > REMEMBERED && !oldest.done) this.#overdue.delete(oldest.value);
  }

  #takePosted(sequence: number): Flight | undefined {
    const flight = this.#posted.get(sequence);
    if (!this.#posted.delete(sequence) || flight === undefined) return undefined;
    this.#postedWindows -= flight.refs.length;
    return flight;
  }

  #leave(refs: readonly WindowRef[]): void {
    for (const ref of refs) if (this.isTravelling(ref)) this.#travelling.delete(keyOf(ref));
  }
}
