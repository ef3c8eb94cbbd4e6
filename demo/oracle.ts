/**
 * What a batch job over the raw messages would report: reads a record of them ({"topic":…,"payload":…} a line), throws
 * out repeated readings, and computes every statistic at once from all values, in exact arithmetic on the numbers as
 * they are written. It knows nothing of windows, gateways or sketches, and shares no code with what it judges.
 */

import { type Decimal, digitsAt, parseDecimal, quotient, squareRoot } from './oracle-decimal.js';

export type OracleKey = 'group' | 'device';

export interface OracleRow {
  readonly group?: string;
  readonly device?: string;
  readonly metric: string;
  readonly count: number;
  readonly sum: number;
  readonly mean: number;
  /** Of a sample (n − 1); null for a single value. */
  readonly stddev: number | null;
  readonly min: number;
  readonly max: number;
  /** The value whose rank from below is ⌊q(n − 1)⌋, counted from 0. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly first: number;
  readonly first_time: string;
  readonly last: number;
  readonly last_time: string;
}

interface Observation {
  readonly timeUs: bigint;
  readonly text: string;
  readonly value: Decimal;
}

interface Series {
  readonly head: Partial<Record<OracleKey, string>>;
  readonly metric: string;
  readonly all: Observation[];
}

interface Reading {
  readonly group: string;
  readonly device: string;
  readonly identity: string;
  readonly timeUs: bigint;
  readonly metrics: readonly (readonly [name: string, text: string])[];
}

/** How the messages of one fleet are to be understood. */
interface Layout {
  readonly topic: RegExp;
  readonly group: (record: Fields, levels: readonly string[]) => string;
  readonly device: (record: Fields) => string;
  readonly timeUs: (record: Fields) => bigint;
  readonly identity: string;
  readonly metrics: readonly string[];
}

/** Numbers as {"n": text}, so that no digit is lost. */
type Fields = Readonly<Record<string, string | { readonly n: string } | undefined>>;

const LAYOUTS: readonly Layout[] = [
  {
    topic: /^traffic\/([^/]+)\/([^/]+)$/,
    group: (record) => textOf(record, 'zone_id'),
    device: (record) => textOf(record, 'sensor_id'),
    timeUs: (record) => BigInt(Date.parse(textOf(record, 'timestamp'))) * 1000n,
    identity: 'timestamp',
    metrics: ['vehicle_count', 'avg_speed', 'congestion_index'],
  },
  {
    topic: /^energy\/([^/]+)$/,
    group: () => 'homes',
    device: (record) => textOf(record, 'device_id'),
    timeUs: (record) => digitsAt(parseDecimal(textOf(record, 'timestamp')), 6),
    identity: 'timestamp',
    metrics: ['energy_consumption', 'voltage'],
  },
  {
    topic: /^flows\/([^/]+)$/,
    group: (_record, [probe = '']) => probe,
    device: (record) => `${textOf(record, 'SrcIP')}:${textOf(record, 'DstIP')}`,
    timeUs: (record) => digitsAt(parseDecimal(textOf(record, 'Timestamp')), 3),
    identity: 'record_id',
    metrics: ['Flow Duration', 'Tot Fwd Pkts', 'Tot Bwd Pkts', 'Flow Byts/s'],
  },
];

export class Oracle {
  readonly #readings = new Map<string, Reading>();
  #messages = 0;

  /** Raw messages seen. */
  get messages(): number {
    return this.#messages;
  }

  /** One line of the record. */
  add(line: string): void {
    const { topic, payload } = JSON.parse(line) as { topic: string; payload: string };
    this.#messages++;
    const reading = readingOf(topic, payload);
    const key = JSON.stringify([reading.group, reading.device, reading.identity]);
    if (!this.#readings.has(key)) this.#readings.set(key, reading);
  }

  /** One row for each metric and each combination of the keys, in no particular order. */
  rows(keys: readonly OracleKey[]): OracleRow[] {
    const series = new Map<string, Series>();
    for (const reading of this.#readings.values()) {
      const head = Object.fromEntries(keys.map((key) => [key, reading[key]]));
      for (const [metric, text] of reading.metrics) {
        const name = JSON.stringify([...keys.map((key) => reading[key]), metric]);
        const found: Series = series.get(name) ?? { head, metric, all: [] };
        series.set(name, found);
        found.all.push({ timeUs: reading.timeUs, text, value: parseDecimal(text) });
      }
    }
    return [...series.values()].map(({ head, metric, all }) => ({ ...head, metric, ...statistics(all) }));
  }
}

function readingOf(topic: string, payload: string): Reading {
  for (const layout of LAYOUTS) {
    const levels = layout.topic.exec(topic)?.slice(1);
    if (levels === undefined) continue;
    const record = parseKeepingDigits(payload);
    return {
      group: layout.group(record, levels),
      device: layout.device(record),
      identity: textOf(record, layout.identity),
      timeUs: layout.timeUs(record),
      metrics: layout.metrics.map((metric) => [metric, textOf(record, metric)]),
    };
  }
  throw new Error(`a message on a topic of no fleet: ${topic}`);
}

function parseKeepingDigits(json: string): Fields {
  const marked = json.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
    token.startsWith('"') ? token : `{"n":"${token}"}`,
  );
  return JSON.parse(marked) as Fields;
}

function textOf(record: Fields, field: string): string {
  const value = record[field];
  if (value === undefined) throw new Error(`no ${field} in ${JSON.stringify(record)}`);
  return typeof value === 'string' ? value : value.n;
}

type Statistics = Omit<OracleRow, 'group' | 'device' | 'metric'>;

function statistics(observations: readonly Observation[]): Statistics {
  const scale = observations.reduce((most, { value }) => Math.max(most, value.scale), 0);
  const points = observations.map(({ timeUs, text, value }) => ({ timeUs, text, digits: digitsAt(value, scale) }));
  const n = BigInt(points.length);
  const sum = points.reduce((total, { digits }) => total + digits, 0n);
  const squares = points.reduce((total, { digits }) => total + digits * digits, 0n);
  const byValue = points.toSorted((a, b) => order(a.digits, b.digits));
  const byTime = points.toSorted((a, b) => order(a.timeUs, b.timeUs) || order(a.digits, b.digits));
  const ranked = (share: number): number => Number(byValue[Math.floor(share * (points.length - 1))]?.text);
  const [first, last] = [byTime[0], byTime.at(-1)];
  return {
    count: points.length,
    sum: quotient(sum, 1n, scale),
    mean: quotient(sum, n, scale),
    stddev: n < 2n ? null : squareRoot(n * squares - sum * sum, n * (n - 1n), scale),
    min: ranked(0),
    max: ranked(1),
    p50: ranked(0.5),
    p95: ranked(0.95),
    p99: ranked(0.99),
    first: Number(first?.text),
    first_time: isoOf(first?.timeUs ?? 0n),
    last: Number(last?.text),
    last_time: isoOf(last?.timeUs ?? 0n),
  };
}

function order(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}

/** ISO 8601 in ms, with µs where there are any. */
function isoOf(timeUs: bigint): string {
  const us = timeUs % 1000n;
  const text = new Date(Number(timeUs / 1000n)).toISOString();
  return us === 0n ? text : text.replace('Z', `${us.toString().padStart(3, '0')}Z`);
}
