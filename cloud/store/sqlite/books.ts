/** Reads the accounts out of the SQLite database: the ledger, gateways with their epochs and sessions, the counters. */
import type { Status } from '../../../shared/status.js';
import type { DayTally, EpochRow, GatewayRow, LossRow, StoreBooks } from '../accounts.js';
import type { SequenceSet } from '../sequences.js';
import { DAY_MS, type Span, type Where } from '../store.js';
import type { SqliteDictionary } from './dictionary.js';
import type { Db } from './schema.js';

interface LedgerRow {
  readonly dayMs: number;
  readonly device: number;
  readonly epoch: number;
  readonly readings: number;
  readonly toldMs: number;
}

interface ArrivedRow {
  readonly dayMs: number;
  readonly epoch: number;
  readonly readings: number;
}

type StatusText = { readonly status: string | null };

export class SqliteBooks {
  readonly #dictionary: SqliteDictionary;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Db, dictionary: SqliteDictionary) {
    this.#dictionary = dictionary;
    this.#statements = prepare(db);
  }

  counted(dayMs: number, where: Where): number {
    const ids = this.#dictionary.idsWhere('device', where);
    if (ids === undefined) return this.#statements.countedAll.get(dayMs) as number;
    let readings = 0;
    for (const id of ids) readings += this.#statements.counted.get(dayMs, id) as number;
    return readings;
  }

  *tallies({ fromMs, toMs }: Span, where: Where): Generator<readonly DayTally[]> {
    const names = new Map((this.#statements.epochNames.all() as { id: number; epoch: string }[]).map((e) => [e.id, e]));
    const ledger = new Map<number, LedgerRow[]>();
    for (const row of this.#statements.ledger.iterate(fromMs, toMs) as IterableIterator<LedgerRow>) {
      const rows = ledger.get(row.device);
      if (rows === undefined) ledger.set(row.device, [row]);
      else rows.push(row);
    }
    for (const device of this.#dictionary.idsWhere('device', where) ?? this.#dictionary.deviceIds()) {
      const tallies = new Map<string, DayTally>();
      const subject = this.#dictionary.subject('device', device);
      const none = { subject, counted: 0, arrived: 0, toldMs: 0 };
      for (const { dayMs, epoch, readings, toldMs } of ledger.get(device) ?? []) {
        tallies.set(`${dayMs}/${epoch}`, { ...none, dayMs, epoch: names.get(epoch)!.epoch, counted: readings, toldMs });
      }
      for (const { dayMs, epoch, readings } of this.#statements.arrived.all(device, fromMs, toMs) as ArrivedRow[]) {
        const key = `${dayMs}/${epoch}`;
        const told = tallies.get(key) ?? { ...none, dayMs, epoch: names.get(epoch)!.epoch };
        tallies.set(key, { ...told, arrived: readings });
      }
      if (tallies.size > 0) yield [...tallies.values()];
    }
  }

  losses({ fromMs, toMs }: Span, where: Where): LossRow[] {
    type Row = Omit<LossRow, 'subject'> & { readonly device: number; readonly gateway: string };
    const ids = this.#dictionary.idsWhere('device', where);
    const rows = this.#statements.losses.all(fromMs, toMs) as Row[];
    const isAsked = ({ device, gateway }: Row) =>
      device === 0
        ? where.group === undefined && where.device === undefined && gateway === (where.gateway ?? gateway)
        : (ids?.has(device) ?? true);
    return rows.filter(isAsked).map(({ device, gateway, ...row }) => ({
      ...row,
      subject:
        device === 0 ? { gateway, group: undefined, device: undefined } : this.#dictionary.subject('device', device),
    }));
  }

  gateways(): GatewayRow[] {
    type Row = Omit<GatewayRow, 'epochs' | 'status' | 'newestMs'> &
      StatusText & { readonly id: number; readonly newestMs: number | null };
    const told = new Map(this.#statements.told.raw().all() as [number, number][]);
    return (this.#statements.gateways.all() as Row[]).map(({ id, newestMs, ...row }) => ({
      ...row,
      newestMs: newestMs ?? undefined,
      epochs: this.#epochs(id, told),
      status: statusOf(row),
    }));
  }

  books(): StoreBooks {
    return this.#statements.books.get() as StoreBooks;
  }

  #epochs(gateway: number, told: ReadonlyMap<number, number>): EpochRow[] {
    type Row = Omit<EpochRow, 'told' | 'status' | 'sessions'> & StatusText & { readonly id: number };
    return (this.#statements.epochs.all(gateway) as Row[]).map(({ id, ...row }) => ({
      ...row,
      told: told.get(id) ?? 0,
      status: statusOf(row),
      sessions: (this.#statements.sessions.all(id) as { session: number; sequences: string }[]).map((session) => ({
        session: session.session,
        sequences: JSON.parse(session.sequences) as SequenceSet,
      })),
    }));
  }
}

/** Only what a decoder has passed gets in. */
function statusOf({ status }: StatusText): Status | undefined {
  return status === null ? undefined : (JSON.parse(status) as Status);
}

function prepare(db: Db) {
  // The remainder of a time before 1970 is negative.
  const day = `start_ms - ((start_ms % ${DAY_MS}) + ${DAY_MS}) % ${DAY_MS}`;
  return {
    counted: db.prepare('SELECT coalesce(sum(readings), 0) FROM ledger WHERE day_ms = ? AND device = ?').pluck(),
    countedAll: db.prepare('SELECT coalesce(sum(readings), 0) FROM ledger WHERE day_ms = ?').pluck(),
    ledger: db.prepare(
      `SELECT day_ms AS dayMs, device, epoch, readings, told_ms AS toldMs FROM ledger
       WHERE day_ms >= ? AND day_ms < ? ORDER BY day_ms, device, epoch`,
    ),
    arrived: db.prepare(
      `SELECT ${day} AS dayMs, epoch, sum(readings) AS readings FROM windows
       WHERE device = ? AND start_ms >= ? AND start_ms < ? GROUP BY 1, 2 ORDER BY 1, 2`,
    ),
    losses: db.prepare(
      `SELECT l.day_ms AS dayMs, l.kind, l.reason, l.device, l.count, e.epoch, g.name AS gateway
       FROM losses l JOIN epochs e ON e.id = l.epoch JOIN gateways g ON g.id = e.gateway
       WHERE l.day_ms >= ? AND l.day_ms < ? ORDER BY l.day_ms, g.name, e.id, l.kind, l.reason, l.device`,
    ),
    told: db.prepare('SELECT epoch, sum(readings) FROM ledger GROUP BY epoch'),
    epochNames: db.prepare('SELECT id, epoch FROM epochs'),
    gateways: db.prepare(
      `SELECT id, name AS gateway, seen_ms AS seenMs, newest_ms AS newestMs, batches, rejected,
         over_quota AS overQuota, status,
         status_ms AS statusMs FROM gateways ORDER BY name`,
    ),
    epochs: db.prepare(
      `SELECT id, epoch, first_ms AS firstSeenMs, last_ms AS lastSeenMs, status, status_ms AS statusMs FROM epochs
       WHERE gateway = ? ORDER BY first_ms, epoch`,
    ),
    sessions: db.prepare('SELECT session, sequences FROM sessions WHERE epoch = ? ORDER BY session'),
    books: db.prepare(
      `SELECT (SELECT count(*) FROM quarantine) AS quarantined,
         (SELECT coalesce(sum(length(payload)), 0) FROM quarantine) AS quarantinedBytes,
         (SELECT coalesce(sum(value), 0) FROM counters WHERE name = 'evicted') AS evicted,
         (SELECT count(*) FROM dirty) AS dirty`,
    ),
  };
}
