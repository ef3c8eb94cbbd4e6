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
  if (!text.includes(grammar.quote)) return splitRows(text, 0, grammar.delimiter);
  const lines = text.split('\n');
  const parsed = quotedRows(text, grammar);
  if (parsed === undefined) return lines.flatMap((line, index) => lineRows(line, index, grammar));
  return parsed.flatMap((row) => {
    const fits = columns === 0 || row.cells.length === columns;
    if (row.lastLine === row.line || fits) return [row];
    // A quote that was never closed has taken the lines after its own.
    return lines.slice(row.line, row.lastLine + 1).flatMap((line, index) => lineRows(line, row.line + index, grammar));
  });
}

function splitRows(text: string, firstLine: number, delimiter: string): CsvRow[] {
  const rows: CsvRow[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const plain = line.endsWith('\r') ? line.slice(0, -1) : line;
    if (plain.trim() !== '') rows.push({ line: firstLine + index, cells: plain.split(delimiter) });
  }
  return rows;
}

function lineRows(line: string, index: number, grammar: CsvGrammar): CsvRow[] {
  if (!line.includes(grammar.quote)) return splitRows(line, index, grammar.delimiter);
  const rows = quotedRows(line, grammar);
  return (
    rows?.map(({ cells }) => ({ line: index, cells })) ?? [
      { line: index, cells: [], problem: 'a quote that is not closed' },
    ]
  );
}

interface QuotedRow extends CsvRow {
  readonly lastLine: number;
}

/** Undefined if csv-parse refuses the text. */
function quotedRows(text: string, { delimiter, quote }: CsvGrammar): QuotedRow[] | undefined {
  const bytes = Buffer.from(text);
  let records: { record: string[]; info: { bytes: number } }[];
  try {
    records = parse(bytes, {
      ...{ delimiter, quote, escape: quote, record_delimiter: ['\n', '\r\n'] },
      ...{ relax_quotes: true, relax_column_count: true, skip_empty_lines: true, info: true },
    }) as unknown as typeof records;
  } catch {
    return undefined;
  }
  // csv-parse counts a line end within quotes twice if it is CRLF, so lines are counted here.
  const rows: QuotedRow[] = [];
  let at = 0;
  let line = 0;
  for (const { record, info } of records) {
    for (; bytes[at] === LF || bytes[at] === CR; at++) if (bytes[at] === LF) line++;
    const first = line;
    let ends = false; // with a line end
    for (; at < info.bytes; at++) {
      ends = bytes[at] === LF;
      if (ends) line++;
    }
    rows.push({ line: first, lastLine: ends ? line - 1 : line, cells: record });
  }
  return rows;
}

const LF = 10;
const CR = 13;
