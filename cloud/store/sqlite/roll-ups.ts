/** Roll-ups as rows: made by whoever computes them, put by the one connection that writes. */

import { encodeSummary, ROLL_UP_SPAN_MS } from '../blob.js';
import type { RollUp } from '../store.js';
import type { SqliteDictionary } from './dictionary.js';
import type { Db } from './schema.js';
import { levelNumber } from './stale.js';

/** Plain data: it can be handed from one thread to another. */
export interface RollUpRow {
  readonly level: number;
  readonly startMs: number;
  readonly subject: number;
  readonly mark: number;
  readonly readings: number;
  readonly counted: number;
  readonly longestMs: number;
  readonly summary: Uint8Array;
}

/** The names in it must be known to the dictionary: what a roll-up is made of is stored. */
export function rollUpRow(dictionary: SqliteDictionary, rollUp: RollUp): RollUpRow {
  const { scope, resolution, subject, startMs, mark, readings, counted, longestMs, metrics } = rollUp;
  return {
    level: levelNumber({ scope, resolution }),
    startMs,
    subject: dictionary.subjectId(scope, subject),
    mark,
    readings,
    counted,
    longestMs,
    summary: encodeSummary(dictionary, metrics, startMs, ROLL_UP_SPAN_MS),
  };
}

/** Inside the transaction of its caller. */
export class SqliteRollUps {
  readonly #put;
  readonly #clearDirty;

  constructor(db: Db) {
    this.#put = db.prepare(
      `INSERT INTO rollups (level, start_ms, subject, mark, readings, counted, longest_ms, summary)
       VALUES (@level, @startMs, @subject, @mark, @readings, @counted, @longestMs, @summary)
       ON CONFLICT DO UPDATE SET mark = excluded.mark, readings = excluded.readings, counted = excluded.counted,
         longest_ms = excluded.longest_ms, summary = excluded.summary WHERE excluded.mark > mark`,
    );
    this.#clearDirty = db.prepare(
      'DELETE FROM dirty WHERE level = @level AND start_ms = @startMs AND subject = @subject AND mark <= @mark',
    );
  }

  put(rows: readonly RollUpRow[]): void {
    for (const row of rows) {
      this.#put.run(row);
      const { level, startMs, subject, mark } = row;
      this.#clearDirty.run({ level, startMs, subject, mark });
    }
  }
}
