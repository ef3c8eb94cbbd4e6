/** Reads how gateways are doing: all that is in the partition of each. */
import type { EpochRow, GatewayRow, SessionRow, StoreBooks } from '../accounts.js';
import { type Account, mergedAccounts } from './accounts.js';
import { textOf, unpacked } from './attributes.js';
import type { Books } from './books.js';
import type { GatewayView } from './gateway-view.js';
import { gatewayPk } from './keys.js';
import type { QuarantineItem } from './quarantine.js';
import { type Item, queryAll, type Requests } from './requests.js';
import type { EpochItem, SessionItem } from './spill.js';
import { fuller, fullestOf, type StatusItem, type TimedStatus } from './statuses.js';
import { versionedOf } from './versioned.js';

interface Found {
  readonly books: Books | undefined;
  readonly status: StatusItem | undefined;
  readonly epochs: ReadonlyMap<string, EpochItem>;
  readonly sessions: readonly SessionItem[];
  readonly accounts: readonly Account[];
}

export async function readGatewayRows(requests: Requests, gateway: string): Promise<GatewayRow> {
  const found = sorted(await queryAll(requests, gatewayPk(gateway), ' ', '~'));
  const { books, status } = found;
  return {
    gateway,
    seenMs: Math.max(books?.seenMs ?? 0, status?.seenMs ?? 0),
    newestMs: books?.newestMs,
    batches: books?.batches ?? 0,
    rejected: books?.rejected ?? 0,
    overQuota: books?.overQuota ?? 0,
    epochs: epochRows(found),
    status: status?.last.status,
    statusMs: status?.last.statusMs ?? 0,
  };
}

/** What its kind is, the sort key says. */
function sorted(items: readonly Item[]): Found {
  const of = (kind: string) => items.filter((item) => textOf(item, 'sk').split('#')[0] === kind);
  const inBooks = versionedOf<Books>(of('books')[0]).value;
  const days = of('day').map((item) => versionedOf<Account>(item).value!);
  return {
    books: inBooks,
    status: versionedOf<StatusItem>(of('status')[0]).value,
    epochs: new Map(of('epoch').map((item) => [textOf(item, 'sk').slice(6), versionedOf<EpochItem>(item).value!])),
    sessions: of('session').map((item) => unpacked(item, 'd') as SessionItem),
    accounts: mergedAccounts([...days, ...(inBooks?.accounts ?? [])]),
  };
}

function epochRows(found: Found): EpochRow[] {
  const { books, status, epochs } = found;
  const names = new Set([...epochs.keys(), ...(books?.epochs ?? []).map(({ epoch }) => epoch)]);
  if (status !== undefined) names.add(status.last.status.epoch);
  return [...names]
    .map((epoch) => epochRow(epoch, found))
    .sort((a, b) => a.firstSeenMs - b.firstSeenMs || (a.epoch < b.epoch ? -1 : 1));
}

function epochRow(epoch: string, found: Found): EpochRow {
  const inBooks = found.books?.epochs.find((one) => one.epoch === epoch);
  const apart = found.epochs.get(epoch);
  const status = found.status?.last.status.epoch === epoch ? found.status : undefined;
  const firsts = [inBooks?.firstMs, apart?.firstMs, status?.firstMs].filter((ms) => ms !== undefined);
  const kept: TimedStatus | undefined = apart?.status && { status: apart.status, statusMs: apart.statusMs! };
  const told = status && fullestOf(status);
  const fullest = kept !== undefined && told !== undefined ? fuller(kept, told) : (told ?? kept);
  const ledgers = found.accounts.filter((account) => account.epoch === epoch).map(({ ledger }) => ledger);
  return {
    epoch,
    firstSeenMs: Math.min(...firsts),
    lastSeenMs: Math.max(inBooks?.lastMs ?? 0, apart?.lastMs ?? 0),
    told: ledgers.flatMap((ledger) => Object.values(ledger)).reduce((sum, [readings]) => sum + readings, 0),
    status: fullest?.status,
    statusMs: fullest?.statusMs ?? 0,
    sessions: sessionRows(epoch, found),
  };
}

/** Those in the books are the later ones. */
function sessionRows(epoch: string, { books, sessions }: Found): SessionRow[] {
  const rows = new Map<number, SessionRow>();
  for (const one of sessions) {
    if (one.epoch === epoch) rows.set(one.session, { session: one.session, sequences: one.sequences });
  }
  for (const one of books?.epochs.find((ofEpoch) => ofEpoch.epoch === epoch)?.sessions ?? [])
    rows.set(one.session, one);
  return [...rows.values()].sort((a, b) => a.session - b.session);
}

export async function readStoreBooks(requests: Requests, views: readonly GatewayView[]): Promise<StoreBooks> {
  const keys = views.map(({ gateway }) => ({ pk: gatewayPk(gateway), sk: 'quarantine' }));
  const items = (await requests.getMany(keys)).map((item) => versionedOf<QuarantineItem>(item).value!);
  const kept = items.flatMap((item) => item.kept);
  const dirty = (view: GatewayView) =>
    (['device', 'group'] as const)
      .flatMap((scope) => (['hour', 'day', 'month'] as const).map((resolution) => view.stale(scope, resolution).length))
      .reduce((sum, count) => sum + count, 0);
  return {
    quarantined: kept.length,
    quarantinedBytes: kept.reduce((sum, [, size]) => sum + size, 0),
    evicted: items.reduce((sum, { evicted }) => sum + evicted, 0),
    dirty: views.reduce((sum, view) => sum + dirty(view), 0),
  };
}
