/**
 * What a batch job says of the readings that were acknowledged, from the record that the sensors wrote: counts, extremes,
 * exact sums, first and last and quantiles by DuckDB, in decimals; mean and standard deviation from these sums, rounded once.
 * Shares no code with the product.
 */
import { DuckDBInstance } from '@duckdb/node-api';
import type { OracleRow } from '../../demo/oracle.js';
import { quotient, squareRoot } from '../../demo/oracle-decimal.js';

const SCALE = 4;
const METRICS = ['level', 'energy'];
const COLUMNS = { gateway: 'gateway', device: 'device', day: `strftime(make_timestamp(us), '%Y-%m-%d')` } as const;

export type Key = keyof typeof COLUMNS;

export type TruthRow = Omit<OracleRow, 'group' | 'device'>;

export class Truth {
  readonly #run: (sql: string) => Promise<Record<string, unknown>[]>;
  /** Distinct readings. */
  readonly readings: number;

  private constructor(run: (sql: string) => Promise<Record<string, unknown>[]>, readings: number) {
    this.#run = run;
    this.readings = readings;
  }

  static async of(recordPath: string): Promise<Truth> {
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const run = async (sql: string) =>
      (await connection.runAndReadAll(sql)).getRowObjectsJS() as Record<string, unknown>[];
    await run(
      `CREATE TABLE readings AS SELECT * FROM read_csv('${recordPath}', header = false, columns = {gateway: 'VARCHAR',
         device: 'VARCHAR', id: 'VARCHAR', us: 'BIGINT', level: 'DECIMAL(18,${SCALE})', energy: 'DECIMAL(18,${SCALE})'})`,
    );
    const [counts] = await run(
      'SELECT count(*) AS all_rows, count(DISTINCT (gateway, device, id)) AS identities FROM readings',
    );
    if (counts!.all_rows !== counts!.identities)
      throw new Error('the sensors of the soak said two things under one name');
    return new Truth(run, Number(counts!.all_rows));
  }

  /** One row for each metric and each combination of the keys, named as the product's report names them. */
  async rows(keys: readonly Key[]): Promise<TruthRow[]> {
    const names = keys.map((key) => `${COLUMNS[key]} AS ${key}`);
    const values = METRICS.map((metric) => `SELECT *, '${metric}' AS metric, ${metric} AS x FROM readings`);
    const rank = (q: number) =>
      `CAST(list_extract(sorted, CAST(floor(${q} * (n - 1)) AS INTEGER) + 1) AS VARCHAR) AS p${q * 100}`;
    const rows = await this.#run(
      `SELECT *, ${[0.5, 0.95, 0.99].map(rank).join(', ')} FROM (
         SELECT ${[...names, 'metric'].join(', ')}, CAST(count(*) AS INTEGER) AS n, list_sort(list(x)) AS sorted,
           CAST(sum(x) AS VARCHAR) AS total, CAST(sum(CAST(x AS DECIMAL(38,${SCALE})) * x) AS VARCHAR) AS squares,
           CAST(min(x) AS VARCHAR) AS low, CAST(max(x) AS VARCHAR) AS high,
           min({us: us, x: x}) AS head, max({us: us, x: x}) AS tail
         FROM (${values.join(' UNION ALL ')}) GROUP BY ALL)`,
    );
    return rows.map((row) => statistics(row, keys));
  }
}

function statistics(row: Record<string, unknown>, keys: readonly Key[]): TruthRow {
  const n = BigInt(row.n as number);
  const sum = digits(row.total, SCALE);
  const squares = digits(row.squares, 2 * SCALE);
  const [head, tail] = [row.head, row.tail] as { us: bigint; x: unknown }[];
  return {
    ...Object.fromEntries(keys.map((key) => [key, row[key]])),
    metric: String(row.metric),
    count: Number(n),
    sum: quotient(sum, 1n, SCALE),
    mean: quotient(sum, n, SCALE),
    stddev: n < 2n ? null : squareRoot(n * squares - sum * sum, n * (n - 1n), SCALE),
    min: Number(row.low),
    max: Number(row.high),
    p50: Number(row.p50),
    p95: Number(row.p95),
    p99: Number(row.p99),
    first: Number(head!.x),
    first_time: iso(head!.us),
    last: Number(tail!.x),
    last_time: iso(tail!.us),
  };
}

/** The digits of a decimal as text, at its scale. */
function digits(text: unknown, scale: number): bigint {
  const [whole = '0', fraction = ''] = String(text).split('.');
  return BigInt(whole + fraction.padEnd(scale, '0'));
}

function iso(us: bigint): string {
  const text = new Date(Number(us / 1000n)).toISOString();
  return us % 1000n === 0n ? text : text.replace('Z', `${String(us % 1000n).padStart(3, '0')}Z`);
}
