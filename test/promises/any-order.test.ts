/**
 * 24 hours of three real sensor boards (50,270 messages, kept beside the project) through real MQTT, agent, TLS broker and
 * cloud: in their own order, and again shuffled and doubled. Both reports are byte-identical, and equal to what DuckDB
 * and exact rational arithmetic say of the raw file.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import t, { type Test } from 'tap';
import { digitsAt, parseDecimal, quotient, squareRoot } from '../../demo/oracle-decimal.js';
import { DATA, needs } from '../needs.js';
import { Rig } from '../rig.js';

const FILE = join(DATA, 'environment-24h.ndjson.gz');
const METRICS = ['co', 'humidity', 'light', 'lpg', 'motion', 'smoke', 'temp'] as const;

const routes = [
  {
    topic: 'boards/#',
    device: 'device_id',
    time: { from: 'ts', unit: 's' },
    metrics: { from: 'data' },
    window: '1m',
    lateness: '2s',
  },
];

interface Row {
  readonly device: string;
  readonly hour: string;
  readonly metric: string;
  readonly count: number;
  readonly sum: number;
  readonly mean: number;
  readonly stddev: number | null;
  readonly min: number;
  readonly max: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly completeness: number;
}

/** The same for everybody who runs this. */
function shuffled<T>(list: readonly T[], seed: number): T[] {
  const result = [...list];
  let state = seed;
  for (let i = result.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((state / 2 ** 32) * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

async function through(t: Test, lines: readonly string[], distinct: number): Promise<{ csv: string; rows: Row[] }> {
  const rig = await Rig.make(t, { routes });
  await rig.start();
  const client = await rig.sensor();
  const acknowledged: Promise<unknown>[] = [];
  for (const [i, line] of lines.entries()) {
    acknowledged.push(client.publishAsync('boards/lab', line, { qos: 1 }));
    if (i % 1000 === 999) await Promise.all(acknowledged.splice(0));
  }
  await Promise.all(acknowledged);
  await client.endAsync();
  const { books } = await rig.settled(120_000);
  t.match(books, { in: lines.length, counted: distinct, duplicate: lines.length - distinct, held: 0 });
  const csv = await rig.report('--group-by', 'device,hour', '--format', 'csv');
  const json = await rig.report('--group-by', 'device,hour', '--format', 'json');
  return { csv, rows: (JSON.parse(json) as { rows: Row[] }).rows };
}

const keyOf = ({ device, hour, metric }: Pick<Row, 'device' | 'hour' | 'metric'>) =>
  `${device} ${new Date(hour).toISOString()} ${metric}`;

/** count, min, max, mean, stddev and quantiles of each device, hour and metric, by DuckDB. */
async function duckdb(): Promise<Map<string, Row>> {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const fields = METRICS.map((name) => `${name} ${['light', 'motion'].includes(name) ? 'BOOLEAN' : 'DOUBLE'}`).join(
    ', ',
  );
  await connection.run(
    `CREATE TABLE raw AS SELECT DISTINCT device_id, ts, data FROM read_json('${FILE}', format = 'newline_delimited',
       columns = {device_id: 'VARCHAR', ts: 'DOUBLE', data: 'STRUCT(${fields})'})`,
  );
  const values = METRICS.map(
    (name) => `SELECT device_id, ts, '${name}' AS metric, CAST(data.${name} AS DOUBLE) AS x FROM raw`,
  );
  const rank = (q: number) => `list_sort(list(x))[CAST(floor(${q} * (count(*) - 1)) AS INTEGER) + 1] AS p${q * 100}`;
  const result = await connection.runAndReadAll(
    `SELECT device_id AS device, strftime(make_timestamp(CAST(floor(ts / 3600) AS BIGINT) * 3600000000), '%Y-%m-%dT%H:%M:%SZ') AS hour,
       metric, CAST(count(x) AS INTEGER) AS count, min(x) AS min, max(x) AS max, favg(x) AS mean, stddev_samp(x) AS stddev,
       ${[0.5, 0.95, 0.99].map(rank).join(', ')}
     FROM (${values.join(' UNION ALL ')}) WHERE x IS NOT NULL GROUP BY ALL`,
  );
  const rows = result.getRowObjectsJS() as unknown as Row[];
  return new Map(rows.map((row) => [keyOf(row), row]));
}

/** Mean and standard deviation from the decimal text of the raw file, in exact arithmetic, rounded once. */
function exact(lines: readonly string[]): Map<string, Pick<Row, 'mean' | 'stddev' | 'sum'>> {
  const texts = new Map<string, string[]>();
  for (const line of lines) {
    const device = /"device_id":"([^"]+)"/.exec(line)![1]!;
    const ts = Number(/"ts":([\d.]+)/.exec(line)![1]);
    const hour = new Date(Math.floor(ts / 3600) * 3_600_000).toISOString();
    for (const [, metric, text] of line.matchAll(/"(\w+)":(true|false|-?[\d.]+(?:e-?\d+)?)/g)) {
      if (!(METRICS as readonly string[]).includes(metric!)) continue;
      const key = keyOf({ device, hour, metric: metric! });
      const list = texts.get(key) ?? [];
      texts.set(key, list);
      list.push(text === 'true' ? '1' : text === 'false' ? '0' : text!);
    }
  }
  return new Map([...texts].map(([key, list]) => [key, moments(list)]));
}

function moments(texts: readonly string[]): Pick<Row, 'mean' | 'stddev' | 'sum'> {
  const decimals = texts.map(parseDecimal);
  const scale = Math.max(...decimals.map((decimal) => decimal.scale));
  const digits = decimals.map((decimal) => digitsAt(decimal, scale));
  const n = BigInt(digits.length);
  const sum = digits.reduce((total, x) => total + x, 0n);
  const squares = digits.reduce((total, x) => total + x * x, 0n);
  return {
    sum: quotient(sum, 1n, scale),
    mean: quotient(sum, n, scale),
    stddev: n < 2n ? null : squareRoot(n * squares - sum * sum, n * (n - 1n), scale),
  };
}

const near = (a: number, b: number, error: number) => Math.abs(a - b) <= error * Math.abs(b);

t.test('24 hours of real data, in order, and shuffled and doubled', { timeout: 300_000 }, async (t) => {
  if (!needs(t, FILE, 'the data set environment-24h')) return;
  const lines = gunzipSync(readFileSync(FILE)).toString().trimEnd().split('\n');
  const distinct = [...new Set(lines)];
  t.equal(lines.length, 50_270);

  const calm = await through(t, lines, distinct.length);
  const wild = await through(t, shuffled([...lines, ...lines], 7), distinct.length);
  t.equal(wild.csv === calm.csv, true, `byte-identical: ${calm.csv.length} bytes`);

  const foreign = await duckdb();
  const truth = exact(distinct);
  t.equal(calm.rows.length, foreign.size);
  t.equal(calm.rows.length, truth.size);
  const wrong: string[] = [];
  for (const row of calm.rows) {
    const key = keyOf(row);
    const duck = foreign.get(key);
    const rational = truth.get(key);
    if (duck === undefined || rational === undefined) {
      wrong.push(`${key}: nobody else has it`);
      continue;
    }
    const { count, min, max, sum, mean, stddev, completeness } = row;
    if (count !== duck.count || min !== duck.min || max !== duck.max) wrong.push(`${key}: count, min or max`);
    if (sum !== rational.sum || mean !== rational.mean || stddev !== rational.stddev) {
      wrong.push(
        `${key}: not the correctly rounded value: ${mean} ± ${stddev}, is ${rational.mean} ± ${rational.stddev}`,
      );
    }
    // what an engine on doubles gets right: some 13 digits of the mean, fewer of s where s is small beside it
    if (!near(mean, duck.mean, 1e-13)) wrong.push(`${key}: mean ${mean}, DuckDB ${duck.mean}`);
    if (stddev !== null && Math.abs(stddev - duck.stddev!) > 1e-7 * stddev + 1e-12 * Math.abs(mean)) {
      wrong.push(`${key}: stddev ${stddev}, DuckDB ${duck.stddev}`);
    }
    for (const q of ['p50', 'p95', 'p99'] as const) {
      if (!near(row[q], duck[q], 0.01)) wrong.push(`${key}: ${q} ${row[q]}, DuckDB ${duck[q]}`);
    }
    if (completeness !== 1) wrong.push(`${key}: completeness ${completeness}`);
  }
  t.strictSame(wrong.slice(0, 20), [], `${calm.rows.length} rows agree`);
});
