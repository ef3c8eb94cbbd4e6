/**
 * From a block of CSV text to its rows. Without a quote in the block that is a split; otherwise csv-parse reads it.
 * A row that cannot be read is a row too, with its problem: a stray quote costs its own line, not those after it.
 */
import { parse } from 'csv-parse/sync';

export interface CsvGrammar {
  readonly delimiter: string;
  readonly quote: string;
}

export interface CsvRow {
  /** Lines of the block before the row. */
  readonly line: number;
  readonly cells: readonly string[];
  readonly problem?: string;
}

/** `columns` is how many cells a row has; 0 where that is not known yet. Empty lines are no rows. */
export function csvRows(text: string, grammar: CsvGrammar, columns: number): CsvRow[] {
  const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (!text.includes(grammar.quote)) return lines.flatMap((line, index) => plainRow(line, index, grammar));
  return strictRows(text, grammar, columns) ?? salvagedRows(lines, grammar, columns);
}

function plainRow(line: string, index: number, { delimiter }: CsvGrammar): CsvRow[] {
  return line.trim() === '' ? [] : [{ line: index, cells: line.split(delimiter) }];
}

/** All by the book, or undefined: a row of several lines that has too many or too few cells is not by the book. */
function strictRows(text: string, grammar: CsvGrammar, columns: number): CsvRow[] | undefined {
  const bytes = Buffer.from(text);
  const parsed = parseCsv(bytes, grammar, false);
  if (parsed === undefined) return undefined;
  const rows: CsvRow[] = [];
  let at = 0;
  let line = 0;
  for (const { record, info } of parsed) {
    // csv-parse counts a line end within quotes twice if it is CRLF, so lines are counted here.
    for (; bytes[at] === LF || bytes[at] === CR; at++) if (bytes[at] === LF) line++;
    const first = line;
    const last = info.bytes - (bytes[info.bytes - 1] === LF ? 1 : 0);
    for (; at < last; at++) if (bytes[at] === LF) line++;
    if (line > first && columns > 0 && record.length !== columns) return undefined;
    rows.push({ line: first, cells: record });
  }
  return rows;
}

const LF = 10;
const CR = 13;
/** More lines than this no quoted cell has. */
const MAX_CELL_LINES = 100;

/** Line by line. Lines are joined only where that makes one row by the book. */
function salvagedRows(lines: readonly string[], grammar: CsvGrammar, columns: number): CsvRow[] {
  const rows: CsvRow[] = [];
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!;
    if (!line.includes(grammar.quote)) {
      rows.push(...plainRow(line, index, grammar));
      continue;
    }
    const alone = parseCsv(Buffer.from(line), grammar, true);
    if (alone !== undefined) {
      rows.push({ line: index, cells: alone[0]?.record ?? [] });
      continue;
    }
    const count = joinable(lines, index, grammar.quote);
    const joined =
      count === 0 ? undefined : parseCsv(Buffer.from(lines.slice(index, index + count).join('\n')), grammar, false);
    if (joined?.length === 1 && (columns === 0 || joined[0]!.record.length === columns)) {
      rows.push({ line: index, cells: joined[0]!.record });
      index += count - 1;
    } else rows.push({ line: index, cells: [], problem: 'a quote that is not closed' });
  }
  return rows;
}

/** How many lines from `start` on have quotes in pairs; 0 if there is no end of it. */
function joinable(lines: readonly string[], start: number, quote: string): number {
  let quotes = 0;
  for (let count = 1; count <= MAX_CELL_LINES && start + count <= lines.length; count++) {
    quotes += lines[start + count - 1]!.split(quote).length - 1;
    if (quotes % 2 === 0) return count;
  }
  return 0;
}

interface Parsed {
  readonly record: string[];
  readonly info: { readonly bytes: number };
}

/** Undefined if csv-parse refuses the text. */
function parseCsv(bytes: Buffer, { delimiter, quote }: CsvGrammar, relaxed: boolean): Parsed[] | undefined {
  try {
    return parse(bytes, {
      ...{ delimiter, quote, escape: quote, record_delimiter: ['\n', '\r\n'], relax_quotes: relaxed },
      ...{ relax_column_count: true, skip_empty_lines: true, info: true },
    }) as unknown as Parsed[];
  } catch {
    return undefined;
  }
}
