/** Windows that could not be delivered, and why, beyond a restart. A row goes when the cloud has the window after all. */
import type { RefusedWindow, WindowRef } from '../stored-window.js';
import type { Db } from './schema.js';

const MAX_DETAIL = 1000;

export class Refused {
  readonly #statements;

  constructor(db: Db) {
    const columns = `device, start_ms AS startMs, length_ms AS lengthMs, part, revision, reason, detail, at_ms AS atMs`;
    this.#statements = {
      list: db.prepare(`SELECT ${columns} FROM refused ORDER BY at_ms DESC LIMIT ?`),
      counts: db.prepare('SELECT reason, count(*) AS windows FROM refused GROUP BY reason LIMIT 60'),
      put: db.prepare('INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
      forget: db.prepare(
        'DELETE FROM refused WHERE device = ? AND start_ms = ? AND length_ms = ? AND part = ? AND revision <= ?',
      ),
      any: db.prepare('SELECT 1 FROM refused LIMIT 1').pluck(),
    };
  }

  /** The latest first; without a limit all of them. */
  list(limit = -1): RefusedWindow[] {
    const rows = this.#statements.list.all(limit) as (WindowRef & Omit<RefusedWindow, 'ref'>)[];
    return rows.map(({ reason, detail, atMs, ...ref }) => ({ ref, reason, detail, atMs }));
  }

  /** How many there are now, by reason. */
  counts(): Record<string, number> {
    const rows = this.#statements.counts.all() as { reason: string; windows: number }[];
    return Object.fromEntries(rows.map(({ reason, windows }) => [reason, windows]));
  }

  put({ ref, reason, detail, atMs }: RefusedWindow): void {
    const { device, startMs, lengthMs, part, revision } = ref;
    const text = detail.slice(0, MAX_DETAIL);
    this.#statements.put.run(device, startMs, lengthMs, part, revision, reason, text, atMs);
  }

  /** The cloud has these. Inside a transaction. */
  forget(refs: readonly WindowRef[]): void {
    if (this.#statements.any.get() === undefined) return;
    for (const { device, startMs, lengthMs, part, revision } of refs) {
      this.#statements.forget.run(device, startMs, lengthMs, part, revision);
    }
  }
}
