/**
 * What the gateways say was lost, left out or put aside, by UTC day: readings by the day they arrived, whatever their time.
 * Told by the batches themselves, so it is as complete as they are.
 */

import type { LossRow } from '../store/accounts.js';
import type { SnapshotStore } from '../store/store.js';
import { formatCsv, formatJsonRows, formatTable } from './formats.js';
import { dayText, together } from './loss-rows.js';
import { BEGINNING_MS, END_MS, type Format, type LossQuery } from './query.js';

const COLUMNS = ['gateway', 'group', 'device', 'day', 'kind', 'reason', 'count'] as const;

/** Of all epochs of a gateway together, in the order of their columns. */
export async function listLosses(store: SnapshotStore, { span, where }: LossQuery): Promise<readonly LossRow[]> {
  return together(await store.read((snapshot) => snapshot.losses(span, where)));
}

function valuesOf({ subject, dayMs, kind, reason, count }: LossRow) {
  return [subject.gateway, subject.group, subject.device, dayText(dayMs), kind, reason, count];
}

export function formatLosses(rows: readonly LossRow[], { span }: LossQuery, format: Format): string {
  if (format === 'csv') return formatCsv(COLUMNS, rows.map(valuesOf));
  if (format === 'table') return formatLossTable(rows);
  const from = span.fromMs === BEGINNING_MS ? null : new Date(span.fromMs).toISOString();
  const to = span.toMs === END_MS ? null : new Date(span.toMs).toISOString();
  return formatJsonRows({ from, to }, COLUMNS, rows.map(valuesOf));
}

/** For people. */
export function formatLossTable(rows: readonly LossRow[]): string {
  return formatTable(COLUMNS, together(rows).map(valuesOf));
}
