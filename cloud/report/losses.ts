/**
 * What the gateways say was lost, left out or put aside, by UTC day: readings by the day they arrived, whatever their time.
 * Told by the batches themselves, so it is as complete as they are.
 */
import type { LossRow, SnapshotStore } from '../store/store.js';
import { formatCsv, formatJsonRows, formatTable } from './formats.js';
import { BEGINNING_MS, END_MS, type Format, type LossQuery } from './query.js';

const COLUMNS = ['gateway', 'group', 'device', 'day', 'kind', 'reason', 'count'] as const;

/** Of all epochs of a gateway together, in the order of their columns. */
export async function listLosses(store: SnapshotStore, { span, where }: LossQuery): Promise<readonly LossRow[]> {
  return together(await store.read((snapshot) => snapshot.losses(span, where)));
}

/** One row a day, kind, reason and device, whatever the epoch. */
export function together(rows: readonly LossRow[]): readonly LossRow[] {
  const sums = new Map<string, LossRow>();
  for (const row of rows) {
    const key = JSON.stringify(keyOf(row));
    const before = sums.get(key);
    sums.set(key, before === undefined ? row : { ...before, count: before.count + row.count });
  }
  return [...sums.values()].sort(inOrder);
}

function keyOf({ subject, dayMs, kind, reason }: LossRow): (string | number)[] {
  return [subject.gateway ?? '', dayMs, kind, reason, subject.group ?? '', subject.device ?? ''];
}

function inOrder(a: LossRow, b: LossRow): number {
  const left = keyOf(a);
  const right = keyOf(b);
  for (const [i, one] of left.entries()) if (one !== right[i]) return one < right[i]! ? -1 : 1;
  return 0;
}

function valuesOf({ subject, dayMs, kind, reason, count }: LossRow) {
  return [subject.gateway, subject.group, subject.device, dayOf(dayMs), kind, reason, count];
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

/** For JSON within other answers. */
export function lossValues({ subject, dayMs, epoch, kind, reason, count }: LossRow): object {
  const { group = null, device = null } = subject;
  return { day: dayOf(dayMs), epoch, group, device, kind, reason, count };
}

/** `3 rejected (2 bad-time, 1 not-json)`, the kinds in the order of `kinds`; undefined where there are none of them. */
export function lossText(rows: readonly LossRow[], kinds: readonly string[]): string | undefined {
  const parts = kinds.flatMap((kind) => {
    const reasons = new Map<string, number>();
    for (const row of rows) if (row.kind === kind) reasons.set(row.reason, (reasons.get(row.reason) ?? 0) + row.count);
    const list = [...reasons].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
    const all = list.reduce((sum, [, count]) => sum + count, 0);
    return all === 0 ? [] : [`${all} ${kind} (${list.map(([reason, count]) => `${count} ${reason}`).join(', ')})`];
  });
  return parts.length === 0 ? undefined : parts.join('; ');
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
