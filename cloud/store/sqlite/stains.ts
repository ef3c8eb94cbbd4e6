/**
 * Which roll-ups the running transaction makes stale: gathered while changes are applied, written once at its end, since the
 * thousand windows of a commit share most of their days, groups and all.
 */

import { DAY_MS, floorTo, HOUR_MS, LEVELS, type Level, startOf } from '../store.js';
import { EVERYTHING_ID, type SqliteDictionary } from './dictionary.js';
import type { Db } from './schema.js';
import { levelNumber } from './stale.js';

/** Subjects by the start of what of them is stale. */
type Stale = Map<number, Set<number>>;

export class SqliteStains {
  readonly #dictionary: SqliteDictionary;
  readonly #hours: Stale = new Map();
  readonly #days: Stale = new Map();
  readonly #nextMark;
  readonly #put;

  constructor(db: Db, dictionary: SqliteDictionary) {
    this.#dictionary = dictionary;
    this.#nextMark = db
      .prepare(
        `INSERT INTO counters (name, value) VALUES ('mark', 1) ON CONFLICT DO UPDATE SET value = value + 1
         RETURNING value`,
      )
      .pluck();
    this.#put = db.prepare(
      `INSERT INTO dirty (level, start_ms, subject, mark, since_ms) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET mark = excluded.mark`,
    );
  }

  clear(): void {
    this.#hours.clear();
    this.#days.clear();
  }

  /** A window of the device changed. */
  hour(device: number, ms: number): void {
    add(this.#hours, floorTo(ms, HOUR_MS), device);
  }

  /** A ledger entry of the device changed: it is part of days and months only. */
  day(device: number, ms: number): void {
    add(this.#days, floorTo(ms, DAY_MS), device);
  }

  write(nowMs: number): void {
    if (this.#hours.size + this.#days.size === 0) return;
    const mark = this.#nextMark.get() as number;
    for (const level of LEVELS) {
      const number = levelNumber(level);
      for (const [startMs, subjects] of this.#staleOf(level)) {
        for (const subject of subjects) this.#put.run(number, startMs, subject, mark, nowMs);
      }
    }
  }

  #staleOf({ scope, resolution }: Level): Stale {
    const stale: Stale = new Map();
    for (const changed of resolution === 'hour' ? [this.#hours] : [this.#hours, this.#days]) {
      for (const [ms, devices] of changed) {
        const startMs = startOf(resolution, ms);
        if (scope === 'all') add(stale, startMs, EVERYTHING_ID);
        else for (const id of devices) add(stale, startMs, scope === 'device' ? id : this.#dictionary.groupOf(id));
      }
    }
    return stale;
  }
}

function add(stale: Stale, startMs: number, subject: number): void {
  const subjects = stale.get(startMs);
  if (subjects === undefined) stale.set(startMs, new Set([subject]));
  else subjects.add(subject);
}
