/**
 * The books of a gateway: all that changes with a batch of it, in one item, so that a batch costs its windows and one write
 * more. Kept near a KB: only what was used last stays here, the rest moves to items of its own (spill.ts). The version of
 * the item is the mark of what a commit makes stale.
 *
 * Pure: what a commit does to the books, as a function that may be called again on newer ones.
 */
import type { BatchIdentity } from '../../../shared/batch.js';
import type { WindowSummary } from '../../../shared/window.js';
import { addSequence, NO_SEQUENCES, type SequenceSet } from '../sequences.js';
import { type BatchChange, DAY_MS, floorTo, type RejectedChange } from '../store.js';
import { type Account, newAccount, tellLoss, tellReadings } from './accounts.js';
import type { Devices } from './dictionary.js';
import { addMarks, type MarkRow, markOf, newStains, rowOf, stainDay, stainHour } from './marks.js';
import { type Owed, owe, type ReceiptOptions } from './receipts-owed.js';

export interface EpochBooks {
  readonly epoch: string;
  firstMs: number;
  lastMs: number;
  /** Used last first. */
  sessions: SessionBooks[];
}

export interface SessionBooks {
  readonly session: number;
  sequences: SequenceSet;
}

/** Plain data that goes as JSON. */
export interface Books {
  seenMs: number;
  newestMs: number | undefined;
  batches: number;
  rejected: number;
  overQuota: number;
  /** New or changed rows of the UTC day on which batches came last. */
  rows: { dayMs: number; count: number };
  /** How many devices have a name: who knows fewer has to read on. */
  devices: number;
  /** First and last of each run of UTC days of which there is anything, counted from 1970. */
  days: [number, number][];
  /** Used last first, as are accounts. */
  epochs: EpochBooks[];
  accounts: Account[];
  marks: readonly MarkRow[];
  /** Items that hold more marks. */
  spilledMarks: string[];
  owed: Owed | undefined;
}

export function newBooks(): Books {
  const counts = { batches: 0, rejected: 0, overQuota: 0, devices: 0 };
  const none = { days: [], epochs: [], accounts: [], marks: [], spilledMarks: [], owed: undefined };
  return { seenMs: 0, newestMs: undefined, rows: { dayMs: 0, count: 0 }, ...counts, ...none };
}

/** What became of a change before it is entered into the books. */
export type Outcome =
  | {
      readonly kind: 'batch';
      readonly batch: BatchChange;
      readonly windows: number;
      readonly lost: readonly LostReadings[];
    }
  | { readonly kind: 'refused'; readonly batch: BatchChange }
  | { readonly kind: 'rejected'; readonly change: RejectedChange };

/** Of a window that came too late to take the place of an earlier revision: see expiry.ts. */
export type LostReadings = Pick<WindowSummary, 'group' | 'device' | 'startMs' | 'readings'>;

export interface EnterOptions {
  readonly devices: Devices;
  readonly version: number;
  readonly receipts: ReceiptOptions | undefined;
}

/** Returns the receipts that are due, where they are held back. The epoch and session must be in the books. */
export function enter(books: Books, outcome: Outcome, options: EnterOptions): readonly BatchIdentity[] | undefined {
  if (outcome.kind === 'batch') {
    enterLost(books, outcome.batch.epoch, outcome.lost, options.devices);
    return enterBatch(books, outcome.batch, outcome.windows, options);
  }
  const { receivedMs } = outcome.kind === 'refused' ? outcome.batch : outcome.change;
  books.seenMs = Math.max(books.seenMs, receivedMs);
  books.rejected++;
  if (outcome.kind === 'refused') books.overQuota++;
  else if (outcome.change.identity !== undefined) enterSequence(books, outcome.change.identity, receivedMs);
  return undefined;
}

function enterBatch(
  books: Books,
  batch: BatchChange,
  put: number,
  { devices, version, receipts }: EnterOptions,
): readonly BatchIdentity[] | undefined {
  const { receivedMs, windows } = batch;
  const isRepeated = !enterSequence(books, batch, receivedMs);
  books.seenMs = Math.max(books.seenMs, receivedMs);
  books.batches++;
  books.devices = Math.max(books.devices, devices.log.size);
  for (const { startMs, lengthMs } of windows) {
    books.newestMs = Math.max(books.newestMs ?? Number.NEGATIVE_INFINITY, startMs + lengthMs);
  }
  const stains = newStains();
  // Also where nothing was put: whoever put it may have died before he came here.
  for (const { group, device, startMs } of windows) stainHour(stains, devices.find(group, device)!, startMs);
  let rows = 1 + put;
  for (const { group, device, dayMs, readings } of batch.ledger) {
    const id = devices.find(group, device)!;
    if (!tellReadings(accountOf(books, dayMs, batch.epoch), id, readings, receivedMs)) continue;
    stainDay(stains, id, dayMs);
    rows++;
  }
  for (const { dayMs, kind, reason, group, device, count } of batch.losses) {
    const id = group === undefined || device === undefined ? -1 : devices.find(group, device)!;
    if (tellLoss(accountOf(books, dayMs, batch.epoch), kind, reason, id, count)) rows++;
  }
  for (const ms of [...stains.hours.keys(), ...stains.days.keys()]) books.days = withDay(books.days, ms);
  const marks = addMarks(books.marks.map(markOf), stains, (id) => devices.groupOf(id), version, receivedMs);
  books.marks = marks.map(rowOf);
  books.rows = { dayMs: floorTo(receivedMs, DAY_MS), count: rowsOf(books, receivedMs) + rows };
  if (receipts === undefined) return undefined;
  // Windows that were there already: the gateway misses a receipt, and sends them again in another batch.
  const isUrgent = isRepeated || put < windows.length || batch.isUrgent === true;
  const { owed, due } = owe(books.owed, batch, isUrgent, receivedMs, receipts);
  books.owed = owed;
  return due;
}

/** The greatest count of a batch is told: at least so many are missing. */
function enterLost(books: Books, epoch: string, lost: readonly LostReadings[], devices: Devices): void {
  const sums = new Map<string, { readonly dayMs: number; readonly id: number; readings: number }>();
  for (const { group, device, startMs, readings } of lost) {
    const one = { dayMs: floorTo(startMs, DAY_MS), id: devices.find(group, device)!, readings: 0 };
    const sum = sums.get(`${one.dayMs}/${one.id}`) ?? one;
    sum.readings += readings;
    sums.set(`${one.dayMs}/${one.id}`, sum);
  }
  for (const { dayMs, id, readings } of sums.values()) {
    tellLoss(accountOf(books, dayMs, epoch), 'expired', 'amended-late', id, readings);
  }
}

/** What of its quota a gateway has used on the day of an instant. */
export function rowsOf({ rows }: Books, receivedMs: number): number {
  return rows.dayMs === floorTo(receivedMs, DAY_MS) ? rows.count : 0;
}

/** False where it had arrived before. */
function enterSequence(books: Books, { epoch, session, sequence }: BatchIdentity, receivedMs: number): boolean {
  const ofEpoch = books.epochs.find((one) => one.epoch === epoch)!;
  ofEpoch.firstMs = Math.min(ofEpoch.firstMs, receivedMs);
  ofEpoch.lastMs = Math.max(ofEpoch.lastMs, receivedMs);
  const ofSession = ofEpoch.sessions.find((one) => one.session === session)!;
  books.epochs = [ofEpoch, ...books.epochs.filter((one) => one !== ofEpoch)];
  ofEpoch.sessions = [ofSession, ...ofEpoch.sessions.filter((one) => one !== ofSession)];
  const before = ofSession.sequences;
  ofSession.sequences = addSequence(before, sequence);
  return ofSession.sequences !== before;
}

export function newSession(session: number): SessionBooks {
  return { session, sequences: NO_SEQUENCES };
}

/** Whatever another item says of that day is added to what is here. */
function accountOf(books: Books, dayMs: number, epoch: string): Account {
  const known = books.accounts.find((one) => one.dayMs === dayMs && one.epoch === epoch);
  const account = known ?? newAccount(dayMs, epoch);
  if (account !== books.accounts[0]) books.accounts = [account, ...books.accounts.filter((one) => one !== account)];
  return account;
}

/** Runs of days: of a gateway that has more of them than this, the two nearest become one. A day without data costs a look. */
const MAX_RUNS = 64;

export function withDay(runs: readonly [number, number][], ms: number): [number, number][] {
  const day = Math.floor(ms / DAY_MS);
  if (runs.some(([first, last]) => first <= day && day <= last)) return [...runs];
  const sorted = [...runs, [day, day] as [number, number]].sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const run of sorted) {
    const before = joined.at(-1);
    if (before !== undefined && before[1] + 1 >= run[0]) before[1] = Math.max(before[1], run[1]);
    else joined.push([...run]);
  }
  return joined.length > MAX_RUNS ? withoutLeastGap(joined) : joined;
}

function withoutLeastGap(runs: [number, number][]): [number, number][] {
  const gapBefore = (i: number) => runs[i]![0] - runs[i - 1]![1];
  let least = 1;
  for (let i = 2; i < runs.length; i++) if (gapBefore(i) < gapBefore(least)) least = i;
  return [...runs.slice(0, least - 1), [runs[least - 1]![0], runs[least]![1]], ...runs.slice(least + 1)];
}
