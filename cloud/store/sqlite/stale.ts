/** Reads which roll-ups are out of date, and which of them are worth computing now. */

import {
  DAY_MS,
  type DirtyRollUp,
  type DueQuery,
  endOf,
  HOUR_MS,
  LEVELS,
  type Level,
  type Resolution,
  type Span,
  startOf,
  type Where,
} from '../store.js';
import type { SqliteDictionary } from './dictionary.js';
import type { Db } from './schema.js';

/** Up to this many roll-ups are looked up one by one; above, the stretch is read and sifted. */
const FEW = 64;

const SHORTEST_MS: Readonly<Record<Resolution, number>> = { hour: HOUR_MS, day: DAY_MS, month: 28 * DAY_MS };

interface Row {
  readonly start: number;
  readonly subject: number;
  readonly mark: number;
}

/** The number of a level in the tables. */
export function levelNumber(level: Level): number {
  return LEVELS.findIndex(({ scope, resolution }) => scope === level.scope && resolution === level.resolution);
}

export class SqliteStale {
  readonly #dictionary: SqliteDictionary;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Db, dictionary: SqliteDictionary) {
    this.#dictionary = dictionary;
    this.#statements = prepare(db);
  }

  dirty(level: Level, span: Span, where: Where): DirtyRollUp[] {
    const ids = this.#dictionary.idsWhere(level.scope, where);
    const starts = (span.toMs - span.fromMs) / SHORTEST_MS[level.resolution];
    if (ids !== undefined && ids.size * starts <= FEW) return this.#lookUp(level, span, ids);
    const rows = this.#statements.stretch.all(levelNumber(level), span.fromMs, span.toMs) as Row[];
    return rows.filter(({ subject }) => ids?.has(subject) ?? true).map((row) => this.#rollUp(level, row));
  }

  due(level: Level, { staleSinceMs, overByMs, limit }: DueQuery): DirtyRollUp[] {
    const number = levelNumber(level);
    const rows =
      overByMs === undefined
        ? this.#statements.longest.all(number, staleSinceMs, limit)
        : this.#statements.over.all(number, startOf(level.resolution, overByMs), staleSinceMs, limit);
    return (rows as Row[]).map((row) => this.#rollUp(level, row));
  }

  #lookUp(level: Level, { fromMs, toMs }: Span, ids: Iterable<number>): DirtyRollUp[] {
    const found: DirtyRollUp[] = [];
    for (const id of ids) {
      for (let start = fromMs; start < toMs; start = endOf(level.resolution, start)) {
        const row = this.#statements.one.get(levelNumber(level), start, id) as Row | undefined;
        if (row !== undefined) found.push(this.#rollUp(level, row));
      }
    }
    return found;
  }

  #rollUp(level: Level, { start, subject, mark }: Row): DirtyRollUp {
    return { ...level, subject: this.#dictionary.subject(level.scope, subject), startMs: start, mark };
  }
}

function prepare(db: Db) {
  const rows = 'SELECT start_ms AS start, subject, mark FROM dirty';
  return {
    stretch: db.prepare(`${rows} WHERE level = ? AND start_ms >= ? AND start_ms < ?`),
    one: db.prepare(`${rows} WHERE level = ? AND start_ms = ? AND subject = ?`),
    over: db.prepare(`${rows} WHERE level = ? AND start_ms < ? AND since_ms <= ? ORDER BY start_ms, subject LIMIT ?`),
    longest: db.prepare(
      `${rows} INDEXED BY longest_dirty WHERE level = ? AND since_ms <= ? ORDER BY since_ms, start_ms, subject LIMIT ?`,
    ),
  };
}
