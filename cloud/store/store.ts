/**
 * What the cloud side needs of a database, declared by those who need it: consolidate puts windows and roll-ups, report
 * reads a snapshot. One conformance suite (conformance.ts) says what every database must do.
 *
 * The model. A window is one item, keyed (gateway, epoch, device, start, length, part), and a put replaces it only by a
 * higher revision, or by the same one with more readings: a gateway and an old copy of its database may both have made that
 * one. Roll-ups are caches: what is in the windows that start in an hour, day or month, of a device, a group or everything.
 * They are recomputed from finer ones, never added to. A put that changes a window marks the roll-ups above it dirty; a dirty
 * roll-up is not read, what it is made of is read in its place (gather.ts). So a report is right at any moment, and only
 * faster once the roll-ups have caught up.
 *
 * No transaction across items is asked for, except that all that one `commit` was given is durable when its promise
 * resolves. A database without transactions puts the windows, then the marks, and marks also what it finds there already: an
 * earlier attempt may have ended in between. Everything here is idempotent, comes in
 * any order, and may be repeated after an error.
 */
import type { BatchIdentity, LedgerEntry } from '../../shared/batch.js';
import type { LossRecord } from '../../shared/loss.js';
import type { Status } from '../../shared/status.js';
import type { MetricSummary } from '../../shared/summary.js';
import type { WindowSummary } from '../../shared/window.js';
import type { DayTally, GatewayRow, LossRow, StoreBooks } from './accounts.js';
import type { Refusal } from './quota.js';

export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** Whose readings a roll-up holds: those of one device, of one group of one gateway, or everything. */
export type Scope = 'device' | 'group' | 'all';
/** A month is one of the UTC calendar. */
export type Resolution = 'hour' | 'day' | 'month';

/** Each one is computed from others before it. */
export const LEVELS = [
  { scope: 'device', resolution: 'hour' },
  { scope: 'device', resolution: 'day' },
  { scope: 'group', resolution: 'hour' },
  { scope: 'group', resolution: 'day' },
  { scope: 'all', resolution: 'hour' },
  { scope: 'all', resolution: 'day' },
  { scope: 'device', resolution: 'month' },
  { scope: 'group', resolution: 'month' },
  { scope: 'all', resolution: 'month' },
] as const satisfies readonly Level[];

export interface Level {
  readonly scope: Scope;
  readonly resolution: Resolution;
}

/** Of scope `group` the device is undefined, of scope `all` everything is. Equal subjects of one snapshot are one object. */
export interface Subject {
  readonly gateway: string | undefined;
  readonly group: string | undefined;
  readonly device: string | undefined;
}

/** `[fromMs, toMs)` of window starts. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface RollUpKey extends Level {
  readonly subject: Subject;
  readonly startMs: number;
}

/** A roll-up that is out of date. `mark` grows with every change below it. */
export interface DirtyRollUp extends RollUpKey {
  readonly mark: number;
}

/** Both times by the clock of the cloud side. */
export interface DueQuery {
  /** Out of date since then, or longer. A roll-up that is computed and changes again begins anew. */
  readonly staleSinceMs: number;
  /** Hours and days that were over by then; undefined for all. */
  readonly overByMs?: number;
  readonly limit: number;
}

/** Summaries of some windows of a subject, all of which start at `startMs` or within the roll-up that starts there. */
export interface Portion {
  readonly subject: Subject;
  readonly startMs: number;
  /** Readings that arrived. */
  readonly readings: number;
  /** Readings that the gateways say they counted (the ledger). Told by days, so 0 in everything finer. */
  readonly counted: number;
  /** Length of the longest window; 0 where there is none. */
  readonly longestMs: number;
  readonly metrics: ReadonlyMap<string, MetricSummary>;
  /** The windows that are in it, where the store forgets windows before roll-ups, and has to know. */
  readonly sources?: readonly Source[];
}

/** A window that was read, in short. */
export interface Source extends Pick<WindowSummary, 'startMs' | 'lengthMs' | 'part' | 'revision' | 'readings'> {
  readonly epoch: string;
}

export interface RollUp extends Portion, RollUpKey {
  /** The mark of the dirty roll-up that this one was computed for; the higher one wins. */
  readonly mark: number;
}

/** Which subjects; a scope must be fine enough for what is asked (no device of scope `group`). */
export type Where = Partial<Subject>;

/** Which metrics to decode. */
export type Metrics = 'all' | 'none' | ReadonlySet<string>;

export interface PortionQuery {
  readonly span: Span;
  readonly where: Where;
  readonly metrics: Metrics;
}

/**
 * One consistent state of the database, or at least all that was committed before it began, and nothing twice; reads come in
 * pages, so that memory stays bounded. A store that keeps no roll-ups of everything answers with those of the groups.
 */
export interface Snapshot {
  /** Windows before then may be forgotten, and the roll-up of their hour stands for them; left out: none are. */
  readonly windowsSinceMs?: number;
  /** Starts of the UTC days in which windows start, ascending. */
  days(span: Span): Promise<readonly number[]>;
  windows(query: PortionQuery): AsyncIterable<readonly Portion[]>;
  /** Only those that are up to date. */
  rollUps(level: Level, query: PortionQuery): AsyncIterable<readonly Portion[]>;
  dirty(level: Level, span: Span, where: Where): Promise<readonly DirtyRollUp[]>;
  /** Those of a level that are worth computing now. Finer levels first, or what a roll-up is made of is read twice. */
  due(level: Level, query: DueQuery): Promise<readonly DirtyRollUp[]>;
  /** The sum of the ledger for one UTC day. */
  counted(dayMs: number, where: Where): Promise<number>;
  /**
   * What the gateways say they counted beside what arrived, by device, UTC day and epoch, of days that start in the span.
   * Read from the ledger and the windows themselves, never from roll-ups.
   */
  tallies(span: Span, where: Where): AsyncIterable<readonly DayTally[]>;
  /**
   * What the gateways say was lost, left out or put aside on UTC days that start in the span. Where a group or device is asked
   * for, only what is known to be of it.
   */
  losses(span: Span, where: Where): Promise<readonly LossRow[]>;
  devices(): Promise<readonly Subject[]>;
  gateways(): Promise<readonly GatewayRow[]>;
  books(): Promise<StoreBooks>;
}

/** A batch that is decoded and believed. The gateway is the one of the topic. */
export interface BatchChange {
  readonly kind: 'batch';
  readonly gateway: string;
  readonly receivedMs: number;
  readonly epoch: string;
  readonly session: number;
  readonly sequence: number;
  readonly windows: readonly WindowSummary[];
  readonly ledger: readonly LedgerEntry[];
  readonly losses: readonly LossRecord[];
  /** Its receipt is not to be held back: a gateway that drains a backlog waits for it. */
  readonly isUrgent?: boolean;
}

/** A message that cannot be used, kept whole. The same bytes of the same gateway are kept once. */
export interface RejectedChange {
  readonly kind: 'rejected';
  /** '' where the topic names none. */
  readonly gateway: string;
  readonly receivedMs: number;
  readonly topic: string;
  readonly reason: string;
  readonly detail: string;
  readonly payload: Uint8Array;
  /** Of a batch that says which one it is: it arrived, though it cannot be used. */
  readonly identity?: BatchIdentity;
}

export interface StatusChange {
  readonly kind: 'status';
  readonly gateway: string;
  readonly receivedMs: number;
  /** The broker's memory, not a sign of life. */
  readonly retained: boolean;
  readonly status: Status;
}

export type Change = BatchChange | RejectedChange | StatusChange;

/** What a change did: of a batch, how many windows were put (the others had that revision or a higher one already). */
export interface Applied {
  readonly windows: number;
  /** Nothing of the batch was put. */
  readonly refused?: Refusal;
  /** Committed batches of this gateway whose receipts are to be sent now; left out: this one's, where it is committed. */
  readonly due?: readonly BatchIdentity[];
}

/** Receipts that were held back, so that a gateway gets one message for several batches. */
export interface OwedReceipts {
  readonly gateway: string;
  readonly due: readonly BatchIdentity[];
}

/** What consolidate needs. */
export interface ChangeStore {
  /** All of it is durable when the promise resolves; after an error any part of it may be, and all may be repeated. */
  commit(changes: readonly Change[]): Promise<readonly Applied[]>;
}

/** A store that holds receipts back has to be asked for those of gateways that fell silent, now and then. */
export interface ReceiptStore {
  /** Takes out what has been owed for too long: each receipt is given once, and is lost with whoever took it. */
  takeOwed(nowMs: number): Promise<readonly OwedReceipts[]>;
}

/** What the keeper of the roll-ups needs. */
export interface RollUpStore extends SnapshotStore {
  /** Puts those with a mark above the stored one's, and clears what is marked dirty up to that mark. */
  putRollUps(rollUps: readonly RollUp[]): Promise<void>;
}

/** What report needs. */
export interface SnapshotStore {
  /** The snapshot lives until the promise of `work` settles. */
  read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T>;
}

export interface Store extends ChangeStore, RollUpStore {
  /** Idempotent. */
  close(): Promise<void>;
}

/** The start of the hour or day that holds an instant; before 1970 too. */
export function floorTo(ms: number, lengthMs: number): number {
  return Math.floor(ms / lengthMs) * lengthMs;
}

/** The start of the roll-up that holds an instant. */
export function startOf(resolution: Resolution, ms: number): number {
  if (resolution !== 'month') return floorTo(ms, resolution === 'hour' ? HOUR_MS : DAY_MS);
  const date = new Date(ms);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
}

/** The end of the roll-up that starts there, and the start of the next. */
export function endOf(resolution: Resolution, startMs: number): number {
  if (resolution !== 'month') return startMs + (resolution === 'hour' ? HOUR_MS : DAY_MS);
  const date = new Date(startMs);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
}
