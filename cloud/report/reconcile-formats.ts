/** A reconciliation as a table with the gateway's account below, as CSV (device-days only) or JSON. */
import type { Status } from '../../shared/status.js';
import { formatCsv, formatJsonRows, formatTable } from './formats.js';
import { BEGINNING_MS, END_MS, type Format } from './query.js';
import type { EpochAccount, ReconcileRow, Reconciliation } from './reconcile.js';
import { iso, of, short } from './reconcile-findings.js';

const COLUMNS = ['group', 'device', 'day', 'epoch', 'counted', 'arrived', 'difference', 'explanation'] as const;

export function formatReconciliation(reconciliation: Reconciliation, format: Format): string {
  const { rows } = reconciliation;
  if (format === 'csv') return formatCsv(COLUMNS, rows.map(valuesOf));
  if (format === 'json') return formatJsonRows(headerOf(reconciliation), COLUMNS, rows.map(valuesOf));
  const people = rows.map((row) => valuesOf({ ...row, epoch: short(row.epoch) }));
  return [formatTable(COLUMNS, people), ...reconciliation.epochs.map(accountText), conclusion(reconciliation)].join(
    '\n',
  );
}

function valuesOf({ group, device, dayMs, epoch, counted, arrived, difference, explanation }: ReconcileRow) {
  return [group, device, iso(dayMs).slice(0, 10), epoch, counted, arrived, difference, explanation];
}

function headerOf({ query, gateway, epochs, findings, notes }: Reconciliation): object {
  const { fromMs, toMs } = query.span;
  return {
    gateway: query.gateway,
    from: fromMs === BEGINNING_MS ? null : iso(fromMs),
    to: toMs === END_MS ? null : iso(toMs),
    now: iso(query.nowMs),
    equal: findings.length === 0,
    findings,
    notes,
    state: gateway.status?.state ?? 'unknown',
    lastSeen: gateway.seenMs === 0 ? null : iso(gateway.seenMs),
    rejectedMessages: gateway.rejected,
    epochs: epochs.map(({ epoch, status, statusMs, told, untold, imbalance, batches }) => ({
      epoch,
      statusReceived: status === undefined ? null : iso(statusMs),
      readings: status?.readings ?? null,
      reasons: status?.reasons ?? null,
      backlog: status?.backlog ?? null,
      imbalance,
      told,
      untold,
      sessions: batches.map(({ session, highest, arrived, missing, gaps }) => {
        return { session, highest, arrived, missing, gaps };
      }),
    })),
  };
}

/** The gateway's books since its database was made: not of the range. */
function accountText({ epoch, status, statusMs, told, batches, imbalance }: EpochAccount): string {
  const arrived = batches.reduce((sum, session) => sum + session.arrived, 0);
  const missing = batches.reduce((sum, session) => sum + session.missing, 0);
  const lines = [line('epoch', `${epoch}, ${of(batches.length, 'session')}`)];
  if (status !== undefined) lines.push(...statusLines(status, statusMs, imbalance));
  lines.push(line('ledger', `${of(told, 'reading')} told of, all days`));
  lines.push(line('batches', `${arrived} arrived, ${missing} missing below the highest number`));
  return `${lines.join('\n')}\n`;
}

function statusLines(status: Status, statusMs: number, imbalance: number): string[] {
  const { in: all, counted, duplicate, rejected, held } = status.readings;
  const balance = imbalance === 0 ? 'balances' : `DOES NOT BALANCE by ${imbalance}`;
  const sum = `${all} in = ${counted} counted + ${duplicate} duplicate + ${rejected} rejected + ${held} held`;
  const { windows, oldestMs } = status.backlog;
  const kinds = Object.entries(status.reasons).filter(([, reasons]) => Object.keys(reasons).length > 0);
  return [
    line('status', `received ${iso(statusMs)}, sent ${iso(status.sentMs)}; books since the database was made`),
    line('readings', `${sum} (${balance})`),
    ...kinds.map(([kind, reasons]) => line(kind, reasonsText(reasons))),
    line('backlog', of(windows, 'window') + (oldestMs === null ? '' : `, the oldest of ${iso(oldestMs)}`)),
  ];
}

function reasonsText(reasons: Readonly<Record<string, number>>): string {
  return Object.entries(reasons)
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ');
}

function conclusion({ rows, findings }: Reconciliation): string {
  if (findings.length > 0) return 'NOT EQUAL\n';
  const arrived = rows.reduce((sum, row) => sum + row.arrived, 0);
  return `equal: ${of(arrived, 'reading')} in ${of(rows.length, 'device-day')}\n`;
}

function line(label: string, text: string): string {
  return `${label.padEnd(12)} ${text}`;
}
