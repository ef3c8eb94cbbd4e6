/**
 * Compares edge and cloud: per device, UTC day and epoch what the gateway says it counted (its ledger) beside what is in
 * the windows that arrived, and the gateway's own books.
 *
 * No `differences` and no `unknowns` means: everything that the gateway has closed in the range is here. Never says more than
 * it knows: what a gateway counts behind a link that is down is in no ledger here, so one that has gone quiet is not equal.
 */
import { EdgetallyError } from '../../shared/errors.js';
import type { DayTally, EpochRow, GatewayRow, LossRow } from '../store/accounts.js';
import { type SequenceTally, tallySequences } from '../store/sequences.js';
import { DAY_MS, floorTo, type SnapshotStore, type Span } from '../store/store.js';
import { ordered } from './loss-rows.js';
import { differencesOf, notesOf, unknownsOf } from './reconcile-findings.js';

export interface ReconcileQuery {
  readonly gateway: string;
  /** Widened to whole UTC days: the ledger is kept by these. */
  readonly span: Span;
  readonly nowMs: number;
  /** A gateway that was not heard for longer is quiet. */
  readonly maxSilenceMs: number;
}

/**
 * What may explain a difference. `backlog`: the gateway says that windows of that day or before wait for the link. `newer`:
 * the gateway raised its count after its last status, so nobody knows. `surplus`: more arrived than the gateway told of.
 */
export type Explanation = 'backlog' | 'newer' | 'surplus' | 'none';

export interface ReconcileRow {
  readonly group: string;
  readonly device: string;
  readonly dayMs: number;
  readonly epoch: string;
  readonly counted: number;
  readonly arrived: number;
  /** counted − arrived */
  readonly difference: number;
  /** Undefined where there is no difference. */
  readonly explanation: Explanation | undefined;
}

export interface EpochAccount extends EpochRow {
  readonly batches: readonly (SequenceTally & { readonly session: number })[];
  /** Readings that the gateway has counted by its status, and no ledger entry has told of. */
  readonly untold: number;
  /** Their windows start there or later: where the backlog begins, or the windows still open. */
  readonly untoldFromMs: number;
  /** What is in no place of the gateway's books; 0 as long as they balance. */
  readonly imbalance: number;
}

export type Verdict = 'equal' | 'different' | 'unknown';

export function verdictOf({ differences, unknowns }: Reconciliation): Verdict {
  if (differences.length > 0) return 'different';
  return unknowns.length > 0 ? 'unknown' : 'equal';
}

export interface Reconciliation {
  readonly query: ReconcileQuery;
  readonly rows: readonly ReconcileRow[];
  readonly gateway: GatewayRow;
  readonly epochs: readonly EpochAccount[];
  /** What was lost, left out or put aside on the days of the range, as the batches told it. */
  readonly losses: readonly LossRow[];
  /** Why edge and cloud are known to differ. */
  readonly differences: readonly string[];
  /** Why that cannot be told. */
  readonly unknowns: readonly string[];
  /** Worth knowing; no difference. */
  readonly notes: readonly string[];
}

export async function reconcile(store: SnapshotStore, query: ReconcileQuery): Promise<Reconciliation> {
  return store.read(async (snapshot) => {
    const gateway = (await snapshot.gateways()).find((row) => row.gateway === query.gateway);
    if (gateway === undefined) {
      throw new EdgetallyError('usage', `--gateway: nothing was ever heard of ${JSON.stringify(query.gateway)}`, {
        hint: 'edgetally-cloud gateways lists those that were heard of.',
      });
    }
    const epochs = new Map(gateway.epochs.map((row) => [row.epoch, row]));
    const rows: ReconcileRow[] = [];
    for await (const page of snapshot.tallies(query.span, { gateway: query.gateway })) {
      for (const tally of page) rows.push(rowOf(tally, epochs.get(tally.epoch)!));
    }
    rows.sort(inOrder);
    const losses = ordered(await snapshot.losses(query.span, { gateway: query.gateway }));
    const account = { query, rows, gateway, epochs: gateway.epochs.map(accountOf), losses };
    const said = { differences: differencesOf(account), unknowns: unknownsOf(account), notes: notesOf(account) };
    return { ...account, ...said };
  });
}

function rowOf(tally: DayTally, epoch: EpochRow): ReconcileRow {
  const { subject, dayMs, counted, arrived } = tally;
  const place = { group: subject.group!, device: subject.device!, dayMs, epoch: epoch.epoch };
  return { ...place, counted, arrived, difference: counted - arrived, explanation: explain(tally, epoch) };
}

function explain({ counted, arrived, dayMs, toldMs }: DayTally, epoch: EpochRow): Explanation | undefined {
  if (counted === arrived) return undefined;
  if (arrived > counted) return 'surplus';
  const oldestMs = epoch.status?.backlog.oldestMs ?? Number.POSITIVE_INFINITY;
  if (oldestMs < dayMs + DAY_MS) return 'backlog';
  return epoch.status === undefined || toldMs >= epoch.statusMs ? 'newer' : 'none';
}

function accountOf(epoch: EpochRow): EpochAccount {
  const { status, told, sessions } = epoch;
  const batches = sessions.map(({ session, sequences }) => ({ session, ...tallySequences(sequences) }));
  const untold = Math.max(0, (status?.readings.counted ?? 0) - told);
  const { in: all, counted, duplicate, rejected, held } = status?.readings ?? NOTHING;
  // An agent that does not tell: those of today, as a rule.
  const openFromMs = status?.open?.oldestMs ?? floorTo(status?.sentMs ?? 0, DAY_MS);
  return {
    ...epoch,
    batches,
    untold,
    untoldFromMs: Math.min(openFromMs, status?.backlog.oldestMs ?? openFromMs),
    imbalance: all - counted - duplicate - rejected - held,
  };
}

const NOTHING = { in: 0, counted: 0, duplicate: 0, rejected: 0, held: 0 };

/** Days by time, names by UTF-16 code units. */
function inOrder(a: ReconcileRow, b: ReconcileRow): number {
  if (a.dayMs !== b.dayMs) return a.dayMs - b.dayMs;
  for (const key of ['group', 'device', 'epoch'] as const) if (a[key] !== b[key]) return a[key] < b[key] ? -1 : 1;
  return 0;
}
