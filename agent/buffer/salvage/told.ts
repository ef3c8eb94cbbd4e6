/** What a salvage lost, as the cloud is told of it and as the operator finds it. */
import { utcDayMs } from '../../../shared/window.js';
import type { DamagedRow } from '../damage.js';
import type { Work } from './salvage.js';
import type { Gap } from './tree.js';

export interface Told {
  /** Readings; where nobody knows how many, one. */
  readonly count: number;
  readonly dayMs?: number;
  readonly device?: number;
}

/** A row that is readable and cannot be used: kept in the table `damaged`, and told. */
export function putAside(work: Work, { place, key, reason, bytes }: DamagedRow, lost: Told): void {
  work.db.prepare('INSERT INTO damaged (place, key, reason, bytes) VALUES (?, ?, ?, ?)').run(place, key, reason, bytes);
  work.tally.lose(place, `${key}: ${reason}`);
  tell(work, place, lost);
}

/** What could not be read at all. `isTold`: readings were in it, and nothing else tells how many. */
export function noteGaps(work: Work, table: string, gaps: readonly Gap[], isTold: boolean): void {
  for (const { page, reason } of gaps) {
    work.tally.lose(table, `page ${page}: ${reason}`);
    if (isTold) tell(work, table, { count: 1 });
  }
}

export function tell({ db, nowMs }: Work, reason: string, { count, dayMs, device }: Told): void {
  if (count <= 0) return;
  db.prepare(
    `INSERT INTO losses (day_ms, kind, reason, device, count) VALUES (?, 'damaged', ?, ?, ?)
       ON CONFLICT DO UPDATE SET count = count + excluded.count`,
  ).run(dayMs ?? utcDayMs(Math.max(0, nowMs)), reason, device ?? 0, count);
}
