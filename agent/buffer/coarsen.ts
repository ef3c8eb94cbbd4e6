/**
 * Makes room when the buffer nears its cap: unsent windows are merged into coarser ones, the oldest first, 1 min → 15 min
 * → 1 h → 1 day, so that counts, totals, means and extremes stay exact and only the resolution suffers.
 *
 * Never merges a window that ever left (attempted > 0): the cloud may have it, and would count it twice. Windows of a
 * device never overlap, so an interval is merged only where every window in it may be. The memory of which readings were
 * counted is merged too; where it is large (irregular readings) it is given up beyond 15 minutes, and what comes late for
 * such a window is a part of its own.
 */

import { EdgetallyError } from '../../shared/errors.js';
import { type MetricSummary, mergeAll } from '../../shared/summary.js';
import { decodeMetrics } from '../../shared/summary-codec.js';
import { Seen } from '../seen/seen.js';
import type { WindowId, WindowSave } from '../stored-window.js';
import type { Db } from './schema.js';
import type { WindowKeys, WindowPlace } from './window-keys.js';
import { isWhole, ROW_COLUMNS, type WindowRow } from './window-row.js';

const LEVELS = [
  { name: '15m', lengthMs: 900_000 },
  { name: '1h', lengthMs: 3_600_000 },
  { name: '1d', lengthMs: 86_400_000 },
] as const;
/** Beyond this length, the memory of what was counted is kept only where it is small: of regular sensors it is. */
const REMEMBERED_MS = 900_000;
const REMEMBERED_BYTES = 256;

/** Where a coarser window may come to stand. */
export type Interval = Omit<WindowId, 'part'>;

type Key = Pick<WindowRow, 'start_ms' | 'device' | 'length_ms' | 'part'>;

const START: Key = { start_ms: Number.MIN_SAFE_INTEGER, device: 0, length_ms: 0, part: 0 };

/** As of the moment that was looked at: nothing may be saved between that and merging. */
export interface Mergeable extends Interval {
  readonly places: readonly WindowPlace[];
}

/** Intervals of one level whose windows may be merged now. */
export interface Candidates {
  readonly level: string;
  readonly intervals: readonly Mergeable[];
}

export class Coarsener {
  readonly #keys: WindowKeys;
  readonly #statements;
  /** How far each level has been looked through; what is found later before that is looked at when all levels are done. */
  #looked: Key[] = LEVELS.map(() => START);

  constructor(db: Db, keys: WindowKeys) {
    this.#keys = keys;
    this.#statements = prepareStatements(db);
  }

  /**
   * Intervals of the finest level at which there are any, the oldest first; their windows are about `maxRows`. `isOpen`
   * tells where a window is in memory; what ends after `beforeMs` is left alone.
   */
  candidates(beforeMs: number, isOpen: (interval: Interval) => boolean, maxRows: number): Candidates {
    const found = this.#look(beforeMs, isOpen, maxRows);
    if (found.intervals.length > 0 || this.#looked.every((key) => key === START)) return found;
    this.#looked = LEVELS.map(() => START);
    return this.#look(beforeMs, isOpen, maxRows);
  }

  #look(beforeMs: number, isOpen: (interval: Interval) => boolean, maxRows: number): Candidates {
    for (const [index, { name, lengthMs }] of LEVELS.entries()) {
      const intervals: Mergeable[] = [];
      const tried = new Set<string>();
      const placesIn = remembering((startMs) => this.#keys.startingIn(startMs, startMs + lengthMs));
      let rows = 0;
      while (rows < maxRows) {
        const page = this.#page(index, lengthMs, beforeMs - lengthMs, maxRows);
        for (const key of page) {
          if (rows >= maxRows) break;
          this.#looked[index] = key;
          const startMs = Math.floor(key.start_ms / lengthMs) * lengthMs;
          const interval = { device: key.device, startMs, lengthMs };
          const id = `${key.device}/${startMs}`;
          if (tried.has(id)) continue;
          tried.add(id);
          const places = placesIn(startMs).get(key.device) ?? [];
          if (isOpen(interval) || !this.#mayMerge(interval, places)) continue;
          intervals.push({ ...interval, places });
          rows += places.length;
        }
        if (page.length < maxRows) break;
      }
      if (intervals.length > 0) return { level: name, intervals };
    }
    return { level: '', intervals: [] };
  }

  /** The next windows that are finer than a level and never left. */
  #page(level: number, lengthMs: number, startsBeforeMs: number, limit: number): Key[] {
    const { start_ms, device, length_ms, part } = this.#looked[level]!;
    return this.#statements.page.all(lengthMs, startsBeforeMs, start_ms, device, length_ms, part, limit) as Key[];
  }

  /** Whether the windows that start in the interval may be merged into one. */
  #mayMerge({ device, startMs, lengthMs }: Interval, places: readonly WindowPlace[]): boolean {
    const mayGo = (one: WindowPlace) => one.attempted === 0 && one.startMs + one.lengthMs <= startMs + lengthMs;
    return places.length >= 2 && places.every(mayGo) && !this.#keys.reachesOver(device, startMs);
  }

  /** Takes the windows of an interval out and returns the one to save in their place. Inside a transaction. */
  merge({ device, startMs, lengthMs, places }: Mergeable, folded: number): { windows: number; save: WindowSave } {
    const fine = places.map(
      (one) => this.#statements.row.get(device, one.startMs, one.lengthMs, one.part) as WindowRow,
    );
    for (const row of fine) {
      if (!isWhole(row))
        throw new EdgetallyError('window-damaged', 'a window that is to be merged changed on the disk');
      this.#statements.delete.run(device, row.start_ms, row.length_ms, row.part);
    }
    const seen = mergeSeen(fine, startMs);
    const save: WindowSave = {
      device,
      startMs,
      lengthMs,
      part: Math.max(...fine.map(({ part }) => part)),
      revision: 1,
      folded,
      readings: fine.reduce((sum, { readings }) => sum + readings, 0),
      metrics: mergeMetrics(fine),
      seen: lengthMs <= REMEMBERED_MS || (seen?.length ?? 0) <= REMEMBERED_BYTES ? seen : undefined,
      gained: 0,
      closesMs: Math.max(...fine.map(({ closes_ms }) => closes_ms)),
    };
    return { windows: fine.length, save };
  }
}

/** The last answer, for questions that come in order. */
function remembering<T>(answer: (startMs: number) => T): (startMs: number) => T {
  let last: { startMs: number; value: T } | undefined;
  return (startMs) => {
    if (last?.startMs !== startMs) last = { startMs, value: answer(startMs) };
    return last.value;
  };
}

function prepareStatements(db: Db) {
  return {
    // the backlog is read in order of time, so this meets the oldest first
    page: db.prepare(
      `SELECT start_ms, device, length_ms, part FROM windows INDEXED BY backlog
         WHERE revision > receipted AND attempted = 0 AND length_ms < ? AND start_ms <= ?
         AND (start_ms, device, length_ms, part) > (?, ?, ?, ?) ORDER BY start_ms, device, length_ms, part LIMIT ?`,
    ),
    row: db.prepare(
      `SELECT ${ROW_COLUMNS} FROM windows WHERE device = ? AND start_ms = ? AND length_ms = ? AND part = ?`,
    ),
    delete: db.prepare('DELETE FROM windows WHERE device = ? AND start_ms = ? AND length_ms = ? AND part = ?'),
  };
}

function mergeMetrics(fine: readonly WindowRow[]): Map<number, MetricSummary> {
  const summaries = new Map<number, MetricSummary[]>();
  for (const { summary, start_ms, length_ms } of fine) {
    for (const [metric, one] of decodeMetrics(summary, start_ms, length_ms)) {
      const list = summaries.get(metric);
      if (list === undefined) summaries.set(metric, [one]);
      else list.push(one);
    }
  }
  return new Map([...summaries].map(([metric, list]) => [metric, mergeAll(list)]));
}

/** Undefined where one of them has none. */
function mergeSeen(fine: readonly WindowRow[], startMs: number): Uint8Array | undefined {
  const seen = new Seen();
  for (const row of [...fine].sort((a, b) => a.start_ms - b.start_ms)) {
    if (row.seen === null) return undefined;
    seen.merge(Seen.decode(row.seen, row.readings), (row.start_ms - startMs) * 1000);
  }
  return seen.encode();
}
