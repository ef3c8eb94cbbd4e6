/** Which gateways there are, and how they are doing. */
import type { Status } from '../../shared/status.js';
import type { GatewayRow } from '../store/accounts.js';
import type { SnapshotStore } from '../store/store.js';
import { formatCsv, formatJsonRows, formatTable } from './formats.js';
import type { Format } from './query.js';
import { type Restored, restoredOf } from './restored.js';
import { spanText } from './span-text.js';

export interface GatewayState {
  readonly gateway: string;
  /** What its last status said; `unknown` before the first. */
  readonly state: 'online' | 'offline' | 'unknown';
  /** By the clock of the cloud side; undefined for never. */
  readonly lastSeenMs: number | undefined;
  /** How far the newest committed window ends before now; undefined before the first. */
  readonly lagMs: number | undefined;
  /** Windows without a receipt, as its last status said. */
  readonly backlog: number | undefined;
  readonly epochs: readonly string[];
  readonly restored: readonly Restored[];
  readonly version: string | undefined;
  /** Batches committed, repeated ones too. */
  readonly batches: number;
  readonly rejected: number;
  /** Batches refused because the gateway has had its share of the database; JSON only. */
  readonly overQuota: number;
  /** The gateway's books of its present database, with everything lost by kind and reason; JSON only. */
  readonly readings: Status['readings'] | undefined;
  readonly reasons: Status['reasons'] | undefined;
}

export async function listGateways(store: SnapshotStore, nowMs: number): Promise<GatewayState[]> {
  const rows = await store.read((snapshot) => snapshot.gateways());
  return rows.map((row) => stateOf(row, nowMs)).sort((a, b) => (a.gateway < b.gateway ? -1 : 1));
}

function stateOf({ status, seenMs, newestMs, epochs, ...row }: GatewayRow, nowMs: number): GatewayState {
  // A last will is old when it is heard; the books of an earlier status may be fuller.
  const books = epochs.find(({ epoch }) => epoch === status?.epoch)?.status;
  return {
    gateway: row.gateway,
    state: status?.state ?? 'unknown',
    lastSeenMs: seenMs === 0 ? undefined : seenMs,
    lagMs: newestMs === undefined ? undefined : nowMs - newestMs,
    backlog: (books ?? status)?.backlog.windows,
    epochs: epochs.map(({ epoch }) => epoch),
    restored: restoredOf(epochs),
    version: status?.version,
    batches: row.batches,
    rejected: row.rejected,
    overQuota: row.overQuota,
    readings: books?.readings,
    reasons: books?.reasons,
  };
}

export function formatGateways(gateways: readonly GatewayState[], format: Format, nowMs: number): string {
  const columns = ['gateway', 'state', 'last_seen', 'lag', 'backlog', 'epochs', 'version', 'batches', 'rejected'];
  if (format === 'table') {
    const rows = gateways.map((gateway) => tableRow(gateway, nowMs));
    return [formatTable(columns, rows), ...gateways.flatMap(restoredLines)].join('\n');
  }
  const plain = columns.map((name) => (name === 'lag' ? 'lag_seconds' : name));
  if (format === 'json')
    return formatJsonRows(
      { now: iso(nowMs) },
      [...plain, 'overQuota', 'restored', 'readings', 'reasons'],
      gateways.map((gateway) => {
        const { overQuota, restored, readings, reasons } = gateway;
        return [...plainRow(gateway), overQuota, restored, readings, reasons];
      }),
    );
  const rows = gateways.map((gateway) =>
    plainRow(gateway).map((value) => (Array.isArray(value) ? value.join(' ') : value)),
  );
  return formatCsv(plain, rows as (string | number | undefined)[][]);
}

function plainRow(row: GatewayState): (string | number | undefined | readonly string[])[] {
  const { gateway, state, lastSeenMs, lagMs, backlog, epochs, version, batches, rejected } = row;
  const lag = lagMs === undefined ? undefined : lagMs / 1000;
  const seen = lastSeenMs === undefined ? undefined : iso(lastSeenMs);
  return [gateway, state, seen, lag, backlog, epochs, version, batches, rejected];
}

function tableRow(row: GatewayState, nowMs: number): (string | number | undefined)[] {
  const { gateway, state, lastSeenMs, lagMs, backlog, epochs, version, batches, rejected } = row;
  const seen = lastSeenMs === undefined ? 'never' : `${spanText(nowMs - lastSeenMs)} ago`;
  const lag = lagMs === undefined ? '' : spanText(lagMs);
  // The eight digits tell epochs apart; all of them are in CSV and JSON.
  const short = epochs.map((epoch) => epoch.slice(0, 8)).join(' ');
  return [gateway, state, seen, lag, backlog, short, version, batches, rejected];
}

/** Below the table: they are rare, and take words. */
function restoredLines({ gateway, restored }: GatewayState): string[] {
  return restored.map(
    ({ epoch, opening }) =>
      `${gateway} was restored from an older copy of its database (epoch ${epoch.slice(0, 8)}, opening ${opening}): ` +
      'what only the lost one had is not here\n',
  );
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
