/** A report as CSV, JSON or a table. Numbers in CSV and JSON are the shortest text that reads back as the same double. */
import { stringify } from 'csv-stringify/sync';
import { lossText, lossValues } from './loss-rows.js';
import { BEGINNING_MS, END_MS, type Format } from './query.js';
import type { Report, ReportRow } from './report.js';
import { spanText } from './span-text.js';

type Value = string | number | undefined;

/** The columns after the keys and the metric. */
const COLUMNS: Readonly<Record<string, (row: ReportRow) => Value>> = {
  count: (row) => row.count,
  sum: (row) => row.sum,
  mean: (row) => row.mean,
  stddev: (row) => row.stddev,
  min: (row) => row.min,
  max: (row) => row.max,
  p50: (row) => row.p50,
  p95: (row) => row.p95,
  p99: (row) => row.p99,
  first: (row) => row.first.value,
  first_time: (row) => timeText(row.first.timeUs),
  last: (row) => row.last.value,
  last_time: (row) => timeText(row.last.timeUs),
  arrived: (row) => row.arrived,
  counted: (row) => row.counted,
  completeness: (row) => row.completeness,
  blur: (row) => row.blurMs && spanText(row.blurMs),
};

export function formatReport(report: Report, format: Format): string {
  if (format === 'csv') return formatCsv(columnsOf(report), valuesOf(report));
  if (format === 'json') return formatJson(report);
  return `${formatTable(columnsOf(report), valuesOf(report))}${footer(report)}`;
}

/** A CSV file has no place for it: there it is a note. */
export function lossLine({ losses }: Report): string | undefined {
  const text = lossText(losses, REPORTED);
  return text && `in no row, by the UTC day on which it arrived: ${text}; edgetally-cloud losses lists them`;
}

const REPORTED = ['rejected', 'values', 'unstored', 'damaged', 'coarsened'] as const;

function footer(report: Report): string {
  const line = lossLine(report);
  return line === undefined ? '' : `\n${line}\n`;
}

function columnsOf({ query }: Pick<Report, 'query'>): string[] {
  return [...query.keys, 'metric', ...Object.keys(COLUMNS)];
}

function valuesOf({ rows }: Report): Value[][] {
  return rows.map((row) => [...row.keys, row.metric, ...Object.values(COLUMNS).map((value) => value(row))]);
}

/**
 * RFC 4180 with LF. Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay as they are.
 */
export function formatCsv(columns: readonly string[], rows: readonly (readonly Value[])[]): string {
  return stringify([columns, ...rows], {
    record_delimiter: '\n',
    escape_formulas: true,
    cast: { number: (value) => String(value) },
  });
}

function formatJson(report: Report): string {
  const { query, notes, losses } = report;
  const { fromMs, toMs } = query.span;
  const header = {
    from: fromMs === BEGINNING_MS ? null : new Date(fromMs).toISOString(),
    to: toMs === END_MS ? null : new Date(toMs).toISOString(),
    tz: query.timeZone,
    groupBy: [...query.keys, 'metric'],
    notes,
    losses: losses.map(lossValues),
  };
  return formatJsonRows(header, columnsOf(report), valuesOf(report));
}

/** One row a line, so that two reports can be compared line by line. */
export function formatJsonRows(
  header: object,
  columns: readonly string[],
  rows: readonly (readonly (Value | object)[])[],
): string {
  const lines = rows.map((row) => JSON.stringify(Object.fromEntries(columns.map((name, i) => [name, row[i] ?? null]))));
  const head = Object.entries(header).map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)},\n`);
  return `{\n${head.join('')}"rows": [\n${lines.join(',\n')}${lines.length > 0 ? '\n' : ''}]\n}\n`;
}

/** For people: aligned, rounded to six digits. */
export function formatTable(columns: readonly string[], rows: readonly (readonly Value[])[]): string {
  const texts = rows.map((row) => row.map((value) => (typeof value === 'number' ? rounded(value) : (value ?? ''))));
  const widths = columns.map((name, i) => texts.reduce((most, row) => Math.max(most, row[i]!.length), name.length));
  const right = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number'));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  return `${[columns, ...texts].map(line).join('\n')}\n`;
}

function rounded(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? String(value) : String(Number(value.toPrecision(6)));
}

/** ISO 8601, UTC, ms; µs where there are any. */
function timeText(timeUs: number): string {
  const ms = Math.floor(timeUs / 1000);
  const us = timeUs - ms * 1000;
  const text = new Date(ms).toISOString();
  return us === 0 ? text : text.replace('Z', `${String(us).padStart(3, '0')}Z`);
}
