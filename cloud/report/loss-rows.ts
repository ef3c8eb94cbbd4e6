/** Losses added up, and in words. Pure. */
import type { LossRow } from '../store/accounts.js';

/** One row a day, kind, reason and device, whatever the epoch. */
export function together(rows: readonly LossRow[]): readonly LossRow[] {
  const sums = new Map<string, LossRow>();
  for (const row of rows) {
    const key = JSON.stringify(keyOf(row));
    const before = sums.get(key);
    sums.set(key, before === undefined ? row : { ...before, count: before.count + row.count });
  }
  return [...sums.values()].sort((a, b) => compare(keyOf(a), keyOf(b)));
}

function keyOf({ subject, dayMs, kind, reason }: LossRow): (string | number)[] {
  return [subject.gateway ?? '', dayMs, kind, reason, subject.group ?? '', subject.device ?? ''];
}

/** A store tells them in an order of its own. */
export function ordered(rows: readonly LossRow[]): readonly LossRow[] {
  const placeOf = (row: LossRow) => [row.dayMs, row.subject.gateway ?? '', row.epoch, ...keyOf(row)];
  return [...rows].sort((a, b) => compare(placeOf(a), placeOf(b)));
}

function compare(left: readonly (string | number)[], right: readonly (string | number)[]): number {
  for (const [i, one] of left.entries()) if (one !== right[i]) return one < right[i]! ? -1 : 1;
  return 0;
}

/** For JSON within other answers. */
export function lossValues({ subject, dayMs, epoch, kind, reason, count }: LossRow): object {
  const { gateway, group = null, device = null } = subject;
  return { gateway, group, device, day: dayText(dayMs), epoch, kind, reason, count };
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

export function dayText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
