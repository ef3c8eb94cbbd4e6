/** Compares a report (as `edgetally-cloud report --format json` prints it) with the oracle's rows, value by value. */

import type { OracleRow } from './oracle.js';

export interface Comparison {
  /** How many values were compared. */
  readonly compared: number;
  readonly differences: readonly string[];
}

type ReportRow = Readonly<Record<string, unknown>>;

const EXACT = ['count', 'sum', 'mean', 'stddev', 'min', 'max', 'first', 'first_time', 'last', 'last_time'] as const;
const QUANTILES = ['p50', 'p95', 'p99'] as const;
/** What a sketch promises of its quantiles. */
const QUANTILE_ERROR = 0.01;

/** A row of an oracle; the keys that it is about are fields of it too. */
type Expected = Omit<OracleRow, 'group' | 'device'>;

export function compare(reportJson: string, rows: readonly Expected[], keys: readonly string[]): Comparison {
  const report = (JSON.parse(reportJson) as { rows: readonly ReportRow[] }).rows;
  const nameOf = (row: ReportRow | Expected): string =>
    [...keys, 'metric'].map((key) => (row as unknown as ReportRow)[key]).join(' / ');
  const reported = new Map<string, ReportRow>();
  const differences: string[] = [];
  for (const row of report) {
    if (reported.has(nameOf(row))) differences.push(`${nameOf(row)}: in the report twice`);
    reported.set(nameOf(row), row);
  }
  let compared = 0;
  for (const row of rows) {
    const name = nameOf(row);
    const found = reported.get(name);
    reported.delete(name);
    if (found === undefined) {
      differences.push(`${name}: not in the report`);
      continue;
    }
    const wrong = wrongValues(found, row);
    compared += EXACT.length + QUANTILES.length;
    differences.push(...wrong.map((difference) => `${name}: ${difference}`));
  }
  differences.push(...[...reported.keys()].map((name) => `${name}: in the report and in no raw message`));
  return { compared, differences };
}

function wrongValues(reported: ReportRow, expected: Expected): string[] {
  const wrong: string[] = [];
  for (const column of EXACT) {
    if (reported[column] !== expected[column]) wrong.push(differs(column, reported[column], expected[column]));
  }
  for (const column of QUANTILES) {
    const value = reported[column];
    const error = Math.abs(Number(value) - expected[column]);
    const isNear = typeof value === 'number' && error <= QUANTILE_ERROR * Math.abs(expected[column]);
    if (!isNear) wrong.push(differs(column, value, expected[column]));
  }
  return wrong;
}

function differs(column: string, got: unknown, expected: unknown): string {
  return `${column} is ${JSON.stringify(got)}, a batch computation says ${JSON.stringify(expected)}`;
}
