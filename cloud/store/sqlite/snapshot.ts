/** Reads one consistent state of the SQLite database: everything between the BEGIN and COMMIT of its connection. */

import type { DayTally, GatewayRow, LossRow, StoreBooks } from '../accounts.js';
import { decodeSummary, ROLL_UP_SPAN_MS } from '../blob.js';
import {
  type DirtyRollUp,
  type DueQuery,
  endOf,
  type Level,
  type Metrics,
  type Portion,
  type PortionQuery,
  type Snapshot,
  type Span,
  type Subject,
  type Where,
} from '../store.js';
import { SqliteBooks } from './books.js';
import type { SqliteDictionary } from './dictionary.js';
import type { Db } from './schema.js';
import { levelNumber, SqliteStale } from './stale.js';

const PAGE_ROWS = 500;
/** Up to this many subjects are looked up one by one; above, the stretch is read and sifted. */
const FEW_SUBJECTS = 16;

const ALL_DAYS = levelNumber({ scope: 'all', resolution: 'day' });
interface RollUpRow {
  readonly start: number;
  readonly subject: number;
  readonly readings: number;
  readonly counted: number;
  readonly longest: number;
  readonly summary?: Uint8Array;
}

interface WindowRow {
  readonly start: number;
  readonly length: number;
  readonly readings: number;
  readonly summary: Uint8Array;
}

export class SqliteSnapshot implements Snapshot {
  readonly #db: Db;
  readonly #dictionary: SqliteDictionary;
  readonly #books: SqliteBooks;
  readonly #stale: SqliteStale;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Db, dictionary: SqliteDictionary) {
    this.#db = db;
    this.#dictionary = dictionary;
    this.#books = new SqliteBooks(db, dictionary);
    this.#stale = new SqliteStale(db, dictionary);
    this.#statements = prepare(db);
  }

  async days({ fromMs, toMs }: Span): Promise<readonly number[]> {
    return this.#statements.days.all({ level: ALL_DAYS, fromMs, toMs }) as number[];
  }

  async *windows({ span, where, metrics }: PortionQuery): AsyncGenerator<readonly Portion[]> {
    for (const device of this.#dictionary.idsWhere('device', where) ?? this.#dictionary.deviceIds()) {
      const rows = this.#statements.windows.all(device, span.fromMs, span.toMs) as WindowRow[];
      if (rows.length > 0) yield rows.map((row) => this.#window(device, row, metrics));
    }
  }

  async *rollUps(level: Level, { span, where, metrics }: PortionQuery): AsyncGenerator<readonly Portion[]> {
    const ids = this.#dictionary.idsWhere(level.scope, where);
    if (ids !== undefined && ids.size <= FEW_SUBJECTS) {
      for (const id of ids) yield* this.#rollUpsOf(level, id, span, metrics);
      return;
    }
    const statement = metrics === 'none' ? this.#statements.bareRollUps : this.#statements.rollUps;
    const number = levelNumber(level);
    let after = { start: span.fromMs, subject: -1 };
    for (;;) {
      const rows = statement.all(number, after.start, after.subject, span.toMs, PAGE_ROWS) as RollUpRow[];
      const portions: Portion[] = [];
      for (const row of rows) if (ids?.has(row.subject) ?? true) portions.push(this.#rollUp(level, row, metrics));
      if (portions.length > 0) yield portions;
      if (rows.length < PAGE_ROWS) return;
      after = rows.at(-1)!;
    }
  }

  /** One subject out of rows that are clustered by time: looks each start up, and leaps over stretches without it. */
  async *#rollUpsOf(level: Level, id: number, span: Span, metrics: Metrics): AsyncGenerator<readonly Portion[]> {
    const number = levelNumber(level);
    let page: Portion[] = [];
    for (let start = span.fromMs; start < span.toMs; ) {
      const row = this.#statements.rollUp.get(number, start, id) as RollUpRow | undefined;
      if (row !== undefined) {
        page.push(this.#rollUp(level, row, metrics));
        start = endOf(level.resolution, start);
      } else {
        const next = this.#statements.nextRollUp.get(number, start, id) as RollUpRow | undefined;
        if (next === undefined) break;
        start = next.subject > id ? endOf(level.resolution, next.start) : next.start;
      }
      if (page.length === PAGE_ROWS) {
        yield page;
        page = [];
      }
    }
    if (page.length > 0) yield page;
  }

  async dirty(level: Level, span: Span, where: Where): Promise<readonly DirtyRollUp[]> {
    return this.#stale.dirty(level, span, where);
  }

  async due(level: Level, query: DueQuery): Promise<readonly DirtyRollUp[]> {
    return this.#stale.due(level, query);
  }

  async counted(dayMs: number, where: Where): Promise<number> {
    return this.#books.counted(dayMs, where);
  }

  async *tallies(span: Span, where: Where): AsyncGenerator<readonly DayTally[]> {
    yield* this.#books.tallies(span, where);
  }

  async losses(span: Span, where: Where): Promise<readonly LossRow[]> {
    return this.#books.losses(span, where);
  }

  async devices(): Promise<readonly Subject[]> {
    return this.#dictionary.devices();
  }

  async gateways(): Promise<readonly GatewayRow[]> {
    return this.#books.gateways();
  }

  async books(): Promise<StoreBooks> {
    return this.#books.books();
  }

  #window(device: number, row: WindowRow, metrics: Metrics): Portion {
    return {
      subject: this.#dictionary.subject('device', device),
      startMs: row.start,
      readings: row.readings,
      counted: 0,
      longestMs: row.length,
      metrics: decodeSummary(this.#dictionary, row.summary, row.start, row.length, metrics),
    };
  }

  #rollUp(level: Level, row: RollUpRow, metrics: Metrics): Portion {
    const { start, readings, counted, longest, summary } = row;
    return {
      subject: this.#dictionary.subject(level.scope, row.subject),
      startMs: start,
      readings,
      counted,
      longestMs: longest,
      metrics: decodeSummary(this.#dictionary, summary ?? NO_BYTES, start, ROLL_UP_SPAN_MS, metrics),
    };
  }

  begin(): void {
    this.#db.exec('BEGIN');
    this.#dictionary.refresh();
  }

  end(): void {
    if (this.#db.open && this.#db.inTransaction) this.#db.exec('COMMIT');
  }
}

const NO_BYTES = new Uint8Array();

const CURRENT = `NOT EXISTS (
  SELECT 1 FROM dirty d WHERE d.level = rollups.level AND d.start_ms = rollups.start_ms AND d.subject = rollups.subject)`;

function prepare(db: Db) {
  const stretch = `FROM rollups WHERE level = ? AND (start_ms, subject) > (?, ?) AND start_ms < ? AND ${CURRENT}
    ORDER BY start_ms, subject LIMIT ?`;
  const bare = 'start_ms AS start, subject, readings, counted, longest_ms AS longest';
  return {
    days: db
      .prepare(
        `SELECT start_ms FROM rollups WHERE level = @level AND start_ms >= @fromMs AND start_ms < @toMs
         UNION SELECT start_ms FROM dirty WHERE level = @level AND start_ms >= @fromMs AND start_ms < @toMs ORDER BY 1`,
      )
      .pluck(),
    windows: db.prepare(
      `SELECT start_ms AS start, length_ms AS length, readings, summary FROM windows
       WHERE device = ? AND start_ms >= ? AND start_ms < ?`,
    ),
    rollUps: db.prepare(`SELECT ${bare}, summary ${stretch}`),
    bareRollUps: db.prepare(`SELECT ${bare} ${stretch}`),
    rollUp: db.prepare(
      `SELECT ${bare}, summary FROM rollups WHERE level = ? AND start_ms = ? AND subject = ? AND ${CURRENT}`,
    ),
    nextRollUp: db.prepare(
      `SELECT start_ms AS start, subject FROM rollups WHERE level = ? AND (start_ms, subject) > (?, ?)
       ORDER BY start_ms, subject LIMIT 1`,
    ),
  };
}
