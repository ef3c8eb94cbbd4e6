/**
 * The saved windows, and the backlog among them.
 *
 * Contract: save is idempotent for a revision; a receipt for an old revision frees nothing newer; a row is purged only
 * after the receipt for its very revision and the retention.
 */

import type { LedgerEntry } from '../../shared/batch.js';
import type { MetricSummary } from '../../shared/summary.js';
import { decodeMetrics, encodeMetrics } from '../../shared/summary-codec.js';
import { type WindowKey, windowStartMs } from '../../shared/window.js';
import { Seen } from '../seen/seen.js';
import type { BacklogState, BacklogWindow, StoredInterval, WindowId, WindowRef, WindowSave } from '../stored-window.js';
import { type Damage, damageOf } from './damage.js';
import type { Dictionary } from './dictionary.js';
import { Outstanding } from './outstanding.js';
import { Refused } from './refused.js';
import type { Db } from './schema.js';
import { WindowKeys } from './window-keys.js';
import { checksumOf, damageIn, isWhole, readingsIn, type WindowRow } from './window-row.js';
import { prepareWindowStatements } from './window-statements.js';

const DAY_MS = 86_400_000;

/** Whether a window of the device that overlaps the interval is in memory. */
export type IsOpen = (interval: Omit<WindowId, 'part'>) => boolean;

export class Windows {
  readonly refused: Refused;
  readonly outstanding: Outstanding;
  readonly keys: WindowKeys;
  readonly #dictionary: Dictionary;
  readonly #damage: Damage;
  readonly #freshPart: () => number;
  readonly #statements;

  /** `freshPart` gives a part that no window has. */
  constructor(db: Db, dictionary: Dictionary, pagesBytes: number, damage: Damage, freshPart: () => number) {
    this.#dictionary = dictionary;
    this.#damage = damage;
    this.#freshPart = freshPart;
    this.#statements = prepareWindowStatements(db);
    this.refused = new Refused(db);
    this.outstanding = new Outstanding(db, pagesBytes);
    this.keys = new WindowKeys(db);
  }

  /** What is stored of the device's window that holds the instant, whatever its length. `isOurs`: the part may grow. */
  find(device: number, timeUs: number, isOurs: (part: number) => boolean): StoredInterval | undefined {
    for (const lengthMs of this.keys.lengths) {
      const startMs = windowStartMs(timeUs, lengthMs);
      const rows = this.#statements.find.all(device, startMs, lengthMs) as WindowRow[];
      if (rows.length > 0) return this.#interval(rows, isOurs);
    }
    return undefined;
  }

  /** Lengths of the device's windows that overlap `[startMs, endMs)`. */
  lengthsIn(device: number, startMs: number, endMs: number): number[] {
    return this.keys.lengthsIn(device, startMs, endMs);
  }

  /** Inside a transaction. */
  save(window: WindowSave): void {
    const { device, startMs, lengthMs, part, revision, folded, closesMs, readings } = window;
    this.keys.addLength(lengthMs);
    const summary = encodeMetrics(window.metrics, startMs, lengthMs);
    const seen = window.seen ?? null;
    const bytes = summary.length + (seen?.length ?? 0);
    const names = { device, start_ms: startMs, length_ms: lengthMs, closes_ms: closesMs };
    const checksum = checksumOf({ ...names, part, revision, folded, readings, seen });
    const key = [device, startMs, lengthMs, part];
    this.#statements.save.run(...key, revision, folded, closesMs, readings, bytes, checksum, summary, seen);
    if (window.gained > 0) this.#statements.addLedger.run(dayOf(startMs), device, window.gained);
  }

  /** Windows without a receipt that may be sent, oldest first, behind `after`. */
  backlog(steadyMs: number, after: WindowId, limit: number): BacklogWindow[] {
    const { backlog, leftBefore } = this.#statements;
    const rows = (this.outstanding.isFull ? leftBefore : backlog).all(
      steadyMs,
      after.startMs,
      after.device,
      after.lengthMs,
      after.part,
      limit,
    ) as WindowRow[];
    return rows.flatMap((row) => this.#whole(row) ?? []);
  }

  /** One window as it may be sent now; undefined where it has its receipt or is not closed. */
  unsent(steadyMs: number, id: WindowId): BacklogWindow | undefined {
    const { device, startMs, lengthMs, part } = id;
    const leastAttempted = this.outstanding.isFull ? 1 : 0;
    const row = this.#statements.unsent.get(device, startMs, lengthMs, part, steadyMs, leastAttempted) as
      | WindowRow
      | undefined;
    return row === undefined ? undefined : this.#whole(row);
  }

  /** These revisions are about to leave; returns those that are still the newest. Inside a transaction. */
  attempted(refs: readonly WindowRef[]): WindowRef[] {
    return refs.filter(({ device, startMs, lengthMs, part, revision }) => {
      const bytes = this.#statements.attempted.get(device, startMs, lengthMs, part, revision) as number | undefined;
      if (bytes !== undefined) this.outstanding.left(bytes);
      return bytes !== undefined;
    });
  }

  /** Of all that ever were, on the steady clock; 0 where there were none. */
  lastClosingMs(): number {
    return this.#statements.lastClosing.get() as number;
  }

  /** Whether there is one says the index, from which they are sent; how many, the totals, which damage may put wrong. */
  backlogState(): BacklogState {
    const { windows, bytes, oldestMs } = this.#statements.backlogState.get() as BacklogState;
    return oldestMs === null ? { windows: 0, bytes: 0, oldestMs } : { windows: Math.max(1, windows), bytes, oldestMs };
  }

  /** Whether the totals of the backlog are there and can be right. */
  get totalsFit(): boolean {
    const totals = this.#statements.backlogState.get() as BacklogState | undefined;
    return totals !== undefined && (totals.windows === 0) === (totals.oldestMs === null);
  }

  /** The cloud has committed these revisions. Inside a transaction. */
  receipted(refs: readonly WindowRef[]): void {
    for (const ref of refs) {
      this.#statements.receipted.run(ref.revision, ref.device, ref.startMs, ref.lengthMs, ref.part, ref.revision);
    }
    this.refused.forget(refs);
    this.outstanding.receipted();
  }

  /**
   * Forgets windows that have their receipt, were last changed before `beforeMs` (on the steady clock) and are over at
   * `overMs`; returns their parts. A part stays as long as the newest one of its window. What was counted while nobody knew
   * the time may be from the future, and is known when it comes again. A window whose blocks are still in the journal stays,
   * and so does one that is in memory: recovery must find that it holds them. Inside a transaction.
   */
  purge(beforeMs: number, overMs: number, limit: number, isOpen: IsOpen): number[] {
    const rows = this.#statements.purgeable.all({ beforeMs, overMs, limit }) as WindowRow[];
    const parts: number[] = [];
    for (const { device, start_ms: startMs, length_ms: lengthMs, part } of rows) {
      if (isOpen({ device, startMs, lengthMs })) continue;
      this.#statements.purge.run(device, startMs, lengthMs, part);
      parts.push(part);
    }
    return parts;
  }

  /** The gateway's own totals for the device-days of these windows. */
  ledger(windows: readonly WindowRef[]): LedgerEntry[] {
    const entries = new Map<string, LedgerEntry>();
    for (const { device, startMs } of windows) {
      const dayMs = dayOf(startMs);
      const key = `${device}/${dayMs}`;
      if (entries.has(key)) continue;
      const readings = this.#statements.ledger.get(device, dayMs) as number | undefined;
      entries.set(key, { ...this.#dictionary.deviceName(device), dayMs, readings: readings ?? 0 });
    }
    return [...entries.values()];
  }

  #interval(rows: readonly WindowRow[], isOurs: (part: number) => boolean): StoredInterval | undefined {
    try {
      if (rows.every(isWhole)) return storedInterval(rows, isOurs);
    } catch (error) {
      if (damageOf(error) === undefined) throw error;
    }
    const { device, start_ms, length_ms } = rows[0]!;
    for (const row of rows) this.#setAside(row);
    const left = (this.#statements.find.all(device, start_ms, length_ms) as WindowRow[]).filter(
      (row) => !damageIn(row),
    );
    return left.length === 0 ? undefined : storedInterval(left, isOurs);
  }

  #whole(row: WindowRow): BacklogWindow | undefined {
    try {
      if (isWhole(row)) return this.#backlogWindow(row);
    } catch (error) {
      if (damageIn(row) === undefined) throw error;
    }
    this.#setAside(row);
    return undefined;
  }

  /** Looks at the windows of an interval, and sets aside those that are damaged. */
  inspect(device: number, startMs: number, endMs: number): number {
    const rows = this.#statements.within.all(device, startMs, endMs) as WindowRow[];
    return rows.filter((row) => this.#setAside(row)).length;
  }

  /**
   * Where a row is damaged: sets it aside, and puts an empty part of another name in its place, so that nothing replaces what
   * the cloud may have of it, and no block that is in it counts again.
   */
  #setAside(row: WindowRow): boolean {
    const { device, start_ms: startMs, length_ms: lengthMs, part, readings, summary, seen } = row;
    const reason = damageIn(row);
    if (reason === undefined) return false;
    const isOwed = this.#statements.isOwed.get(device, startMs, lengthMs, part) !== undefined;
    const lost = { count: isOwed ? readingsIn(row) : 0, dayMs: dayOf(startMs), device };
    const bytes = Buffer.concat([summary, seen ?? new Uint8Array()]);
    const key = JSON.stringify({ device, startMs, lengthMs, part, revision: row.revision, readings });
    this.#damage.setAside({ place: 'windows', key, reason, bytes }, lost, () => {
      const nothing = { revision: 0, readings: 0, seen: new Seen().encode() };
      const empty = { ...row, part: this.#freshPart(), ...nothing };
      const summary = encodeMetrics(new Map(), startMs, lengthMs);
      this.#statements.empty.run(empty.part, checksumOf(empty), summary, empty.seen, device, startMs, lengthMs, part);
    });
    return true;
  }

  #backlogWindow(row: WindowRow): BacklogWindow {
    const key: WindowKey = {
      ...this.#dictionary.deviceName(row.device),
      startMs: row.start_ms,
      lengthMs: row.length_ms,
      part: row.part,
    };
    const metrics = new Map<string, MetricSummary>();
    for (const [metric, summary] of decodeMetrics(row.summary, key.startMs, key.lengthMs)) {
      metrics.set(this.#dictionary.metricName(metric), summary);
    }
    const { startMs, lengthMs, part } = key;
    return {
      ref: { device: row.device, startMs, lengthMs, part, revision: row.revision },
      summary: { ...key, revision: row.revision, readings: row.readings, metrics },
      bytes: row.summary.length,
    };
  }
}

/** Of the parts of one window, from its rows. */
function storedInterval(rows: readonly WindowRow[], isOurs: (part: number) => boolean): StoredInterval {
  const { device, start_ms: startMs, length_ms: lengthMs } = rows[0]!;
  // one that no longer knows what it counted takes nothing more
  const growing = rows.find(({ part, seen }) => seen !== null && isOurs(part));
  return {
    device,
    startMs,
    lengthMs,
    folded: Math.max(...rows.map(({ folded }) => folded)),
    growing: growing && {
      device,
      startMs,
      lengthMs,
      part: growing.part,
      revision: growing.revision,
      folded: growing.folded,
      readings: growing.readings,
      metrics: decodeMetrics(growing.summary, startMs, lengthMs),
      seen: growing.seen ?? undefined,
    },
    frozen: rows.flatMap((row) => {
      const { readings, seen } = row;
      return row === growing || seen === null ? [] : [{ readings, seen }];
    }),
  };
}

function dayOf(timeMs: number): number {
  return Math.floor(timeMs / DAY_MS) * DAY_MS;
}
