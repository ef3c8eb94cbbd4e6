/** A reconciliation as a table with the gateway's account below, as CSV (device-days only) or JSON. */
import { openingOf } from '../../shared/session.js';
import type { Status } from '../../shared/status.js';
import { formatCsv, formatJsonRows, formatTable } from './formats.js';
import { lossValues } from './loss-rows.js';
import { formatLossTable } from './losses.js';
import { BEGINNING_MS, END_MS, type Format } from './query.js';
import { type EpochAccount, type ReconcileRow, type Reconciliation, verdictOf } from './reconcile.js';
import { iso, of, short } from './reconcile-findings.js';

const COLUMNS = ['group', 'device', 'day', 'epoch', 'counted', 'arrived', 'difference', 'explanation'] as const;

export function formatReconciliation(reconciliation: Reconciliation, format: Format): string {
  const { rows } = reconciliation;
  if (format === 'csv') return formatCsv(COLUMNS, rows.map(valuesOf));
  if (format === 'json') return formatJsonRows(headerOf(reconciliation), COLUMNS, rows.map(valuesOf));
  const people = rows.map((row) => valuesOf({ ...row, epoch: short(row.epoch) }));
  const losses = reconciliation.losses.length === 0 ? [] : [formatLossTable(reconciliation.losses)];
  const accounts = reconciliation.epochs.map(accountText);
  return [formatTable(COLUMNS, people), ...losses, ...accounts, conclusion(reconciliation)].join('\n');
}

function valuesOf({ group, device, dayMs, epoch, counted, arrived, difference, explanation }: ReconcileRow) {
  return [group, device, iso(dayMs).slice(0, 10), epoch, counted, arrived, difference, explanation];
}

function headerOf(reconciliation: Reconciliation): object {
  const { query, gateway, epochs, differences, unknowns, notes, losses } = reconciliation;
  const { fromMs, toMs } = query.span;
  return {
    gateway: query.gateway,
    from: fromMs === BEGINNING_MS ? null : iso(fromMs),
    to: toMs === END_MS ? null : iso(toMs),
    now: iso(query.nowMs),
    verdict: verdictOf(reconciliation),
    differences,
    unknowns,
    notes,
    state: gateway.status?.state ?? 'unknown',
    final: gateway.status?.final ?? false,
    lastSeen: gateway.seenMs === 0 ? null : iso(gateway.seenMs),
    rejectedMessages: gateway.rejected,
    losses: losses.map(lossValues),
    epochs: epochs.map(({ epoch, status, statusMs, told, untold, imbalance, batches }) => ({
      epoch,
      statusReceived: status === undefined ? null : iso(statusMs),
      readings: status?.readings ?? null,
      reasons: status?.reasons ?? null,
      backlog: status?.backlog ?? null,
      open: status?.open ?? null,
      imbalance,
      told,
      untold,
      sessions: batches.map(({ session, highest, arrived, missing, gaps }) => {
        return { opening: openingOf(session), session, highest, arrived, missing, gaps };
      }),
    })),
  };
}

/** The gateway's books since its database was made: not of the range. */
function accountText({ epoch, status, statusMs, told, batches, imbalance }: EpochAccount): string {
  const lines = [line('epoch', `${epoch}, ${of(batches.length, 'session')}`)];
  if (status !== undefined) lines.push(...statusLines(status, statusMs, imbalance));
  lines.push(line('ledger', `${of(told, 'reading')} told of, all days`));
  lines.push(...sessionLines(batches));
  return `${lines.join('\n')}\n`;
}

/** Sessions without a gap together, the others one by one, the newest ones of them. */
function sessionLines(batches: EpochAccount['batches']): string[] {
  const arrived = batches.reduce((sum, session) => sum + session.arrived, 0);
  const missing = batches.reduce((sum, session) => sum + session.missing, 0);
  const gapped = batches.filter((session) => session.missing > 0);
  const named = gapped.slice(-MAX_SESSIONS).map(({ session, highest, missing, gaps }) => {
    const shown = gaps.slice(-MAX_GAPS).map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
    const which = `${shown.length < gaps.length ? '… ' : ''}${shown.join(' ')}`;
    return line('', `session ${session}: ${missing} of ${highest} missing: ${which}`);
  });
  const hidden = gapped.length - named.length;
  if (hidden > 0) named.unshift(line('', `${of(hidden, 'earlier session')} with gaps`));
  return [line('batches', `${arrived} arrived, ${missing} missing below the highest number`), ...named];
}

const MAX_SESSIONS = 10;
const MAX_GAPS = 12;

function statusLines(status: Status, statusMs: number, imbalance: number): string[] {
  const { in: all, counted, duplicate, rejected, held } = status.readings;
  const balance = imbalance === 0 ? 'balances' : `DOES NOT BALANCE by ${imbalance}`;
  const sum = `${all} in = ${counted} counted + ${duplicate} duplicate + ${rejected} rejected + ${held} held`;
  const { windows, oldestMs } = status.backlog;
  const { open, final } = status;
  const kinds = Object.entries(status.reasons).filter(([, reasons]) => Object.keys(reasons).length > 0);
  return [
    line(
      'status',
      `received ${iso(statusMs)}, sent ${iso(status.sentMs)}${final ? ', stopped on purpose' : ''}; books since the database was made`,
    ),
    line('readings', `${sum} (${balance})`),
    ...kinds.map(([kind, reasons]) => line(kind, reasonsText(reasons))),
    line('backlog', of(windows, 'window') + (oldestMs === null ? '' : `, the oldest of ${iso(oldestMs)}`)),
    ...(open === undefined ? [] : [line('open', `${of(open.readings, 'reading')} in ${of(open.windows, 'window')}`)]),
  ];
}

function reasonsText(reasons: Readonly<Record<string, number>>): string {
  return Object.entries(reasons)
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ');
}

function conclusion(reconciliation: Reconciliation): string {
  const { rows } = reconciliation;
  const verdict = verdictOf(reconciliation);
  if (verdict === 'different') return 'DIFFERENT\n';
  if (verdict === 'unknown') return 'NOT KNOWN TO BE EQUAL\n';
  const arrived = rows.reduce((sum, row) => sum + row.arrived, 0);
  return `equal: ${of(arrived, 'reading')} in ${of(rows.length, 'device-day')}\n`;
}

function line(label: string, text: string): string {
  return `${label.padEnd(12)} ${text}`;
}
