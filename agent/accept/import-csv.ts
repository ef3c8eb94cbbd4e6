/**
 * Imports a CSV file through a route. Rows go through the same steps as messages; a bad row is a rejection with its line
 * number and never stops the import. The file is handed over block by block; whoever takes a block stores how far the file is in with
 * the very same commit, so that an import that was cut off goes on exactly there. One block is on its way at a time: that
 * is the backpressure.
 */
import { isUtf8 } from 'node:buffer';
import { EdgetallyError } from '../../shared/errors.js';
import type { Decoded, Message } from '../reading.js';
import { type CsvBlock, csvBlocks } from './csv-blocks.js';
import { type CsvRow, csvRows } from './csv-rows.js';
import { keysRead } from './field.js';
import { compileRecord, type DecodeRecord, type Decoding } from './records.js';
import { reject } from './rejects.js';
import type { CsvOptions, DecodeLimits, RouteOptions } from './route-options.js';
import { planRoute, type RoutePlan } from './route-shapes.js';

/** How much of a file is in. */
export interface CsvProgress {
  /** Bytes of the file. */
  readonly position: number;
  /** Rows of it, with those that were rejected, without the header. */
  readonly rows: number;
  readonly done: boolean;
}

export interface CsvBatch {
  /** Stands for the batch where a sample of a rejection is kept: the first rejected row. */
  readonly message: Message;
  readonly decoded: Decoded;
  /** Once this batch is in. */
  readonly progress: CsvProgress;
}

export interface CsvImport {
  /** The file from its first byte, also where the import goes on later. */
  readonly input: AsyncIterable<Uint8Array>;
  readonly route: RouteOptions;
  readonly limits: DecodeLimits;
  /** What was in already. */
  readonly from?: CsvProgress | undefined;
  /** Stands in for the time of rows that have none, µs by the monotonic clock; each row is a µs later. */
  readonly arrivalUs: number;
  /** Resolves once the batch is on disk. What it throws ends the import. */
  readonly accept: (batch: CsvBatch) => Promise<void>;
  readonly onProgress?: ((progress: CsvProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Returns once the whole file is in. The last batch has no rows; its progress is done. */
export async function importCsv(job: CsvImport): Promise<CsvProgress> {
  const { route, limits, accept, onProgress, signal } = job;
  const from = job.from ?? { position: 0, rows: 0, done: false };
  const reader = new CsvReader(route, limits, job.arrivalUs, from.rows);
  let progress = from;
  for await (const block of csvBlocks(job.input, route.csv.quote)) {
    signal?.throwIfAborted();
    const batch = reader.read(block, from.position);
    if (batch === undefined) continue;
    await accept(batch);
    progress = batch.progress;
    onProgress?.(progress);
  }
  signal?.throwIfAborted();
  const last = reader.finish(progress.position);
  await accept(last);
  onProgress?.(last.progress);
  return last.progress;
}

interface Header {
  readonly columns: readonly string[];
  readonly decodeRecord: DecodeRecord;
  /** The row is in the first block. */
  readonly inFile: boolean;
}

const NOTHING: Decoded = { readings: [], rejects: [], valueRejects: [] };

class CsvReader {
  readonly #plan: RoutePlan;
  readonly #csv: CsvOptions;
  readonly #limits: DecodeLimits;
  readonly #arrivalUs: number;
  readonly #missing: ReadonlySet<string>;
  #header: Header | undefined;
  #rows: number;

  constructor(route: RouteOptions, limits: DecodeLimits, arrivalUs: number, rows: number) {
    // Only what is in the file counts: there is no topic.
    this.#plan = planRoute({ ...route, name: planRoute(route).name, topic: undefined });
    this.#csv = route.csv;
    this.#limits = limits;
    this.#arrivalUs = arrivalUs;
    this.#missing = new Set(route.csv.missing);
    this.#rows = rows;
  }

  /** What is in the block beyond `position`; undefined if nothing is. */
  read(block: CsvBlock, position: number): CsvBatch | undefined {
    const text = this.#csv.encoding === 'latin1' ? block.bytes.toString('latin1') : block.bytes.toString('utf8');
    const start = this.#header === undefined ? this.#readHeader(text) : undefined;
    if (block.end <= position) return undefined;
    const into: Decoding = { readings: [], rejects: [], valueRejects: [] };
    const broken = this.#csv.encoding === 'utf8' && !isUtf8(block.bytes);
    const { columns, inFile } = this.#header!;
    const rows = block.overlong
      ? [{ line: 0, cells: [], problem: `a line of more than ${block.bytes.length} bytes` }]
      : csvRows(start?.text ?? text, this.#csv, columns.length).slice(start !== undefined && inFile ? 1 : 0);
    let sample: string | undefined;
    for (const row of rows) {
      this.#readRow(row, block.linesBefore + (start?.lines ?? 0) + row.line + 1, broken, into);
      if (into.rejects.length + into.valueRejects.length > 0) sample ??= row.cells.join(this.#csv.delimiter);
    }
    const progress = { position: block.end, rows: this.#rows, done: false };
    return { message: this.#message(sample ?? ''), decoded: into, progress };
  }

  finish(position: number): CsvBatch {
    if (this.#header === undefined) throw this.#failure('the file is empty');
    return { message: this.#message(''), decoded: NOTHING, progress: { position, rows: this.#rows, done: true } };
  }

  #message(row: string): Message {
    return { topic: `csv:${this.#plan.name}`, payload: Buffer.from(row), arrivalUs: this.#arrivalUs };
  }

  #readRow(row: CsvRow, line: number, broken: boolean, into: Decoding): void {
    const { columns, decodeRecord } = this.#header!;
    const [rejects, valueRejects] = [into.rejects.length, into.valueRejects.length];
    const problem = row.problem ?? shapeProblem(row.cells, columns.length);
    if (problem !== undefined) into.rejects.push(reject('wrong-shape', problem));
    else if (broken && row.cells.some((cell) => cell.includes('\ufffd'))) {
      into.rejects.push(reject('not-text', 'the row is not UTF-8 (set `csv.encoding`)'));
    } else {
      const record = this.#recordOf(row.cells, columns);
      decodeRecord({ record, envelope: undefined, topicValues: [] }, this.#arrivalUs + this.#rows, into);
    }
    this.#rows++;
    nameLine(into.rejects, rejects, line);
    nameLine(into.valueRejects, valueRejects, line);
  }

  #recordOf(cells: readonly string[], columns: readonly string[]): Record<string, string> {
    const record: Record<string, string> = {};
    for (let index = 0; index < columns.length; index++) {
      const cell = cells[index]!.trim();
      if (!this.#missing.has(cell)) record[columns[index]!] = cell;
    }
    return record;
  }

  /** Sets the columns; gives what comes after the skipped lines, and how many those were. */
  #readHeader(text: string): { text: string; lines: number } {
    let rest = text.startsWith('\ufeff') ? text.slice(1) : text;
    for (let skipped = 0; skipped < this.#csv.skipLines; skipped++) {
      const end = rest.indexOf('\n');
      rest = end < 0 ? '' : rest.slice(end + 1);
    }
    const inFile = this.#csv.columns === undefined;
    const columns = this.#csv.columns ?? csvRows(rest, this.#csv, 0)[0]?.cells.map((cell) => cell.trim());
    if (columns === undefined) throw this.#failure('the file has no header line');
    this.#checkColumns(columns);
    const style = { style: 'column', decimal: this.#csv.decimal, numericStrings: true } as const;
    this.#header = { columns, inFile, decodeRecord: compileRecord(this.#plan, [], style, this.#limits) };
    return { text: rest, lines: this.#csv.skipLines };
  }

  /** A route that asks for columns that are not there would reject every row: better said once. */
  #checkColumns(columns: readonly string[]): void {
    const list = columns.map((column) => JSON.stringify(column)).join(', ');
    if (columns.some((column) => /[\0\ufffd]/.test(column))) {
      throw this.#failure('the header is not UTF-8', 'Set `csv.encoding: latin1` in the route, or convert the file.');
    }
    const twice = columns.find((column, index) => column !== '' && columns.indexOf(column) !== index);
    if (twice !== undefined)
      throw this.#failure(
        `two columns are called ${JSON.stringify(twice)}`,
        'Name the columns by `csv.columns` in the route, and skip the header by `csv.skipLines: 1`.',
      );
    const { device, group, time, id, metrics } = this.#plan;
    if (device === undefined)
      throw this.#failure(
        'the route takes the device from its topic, and a file has none',
        'Set `device` in the route.',
      );
    const fields = [device, group, time?.from, id === 'content' ? undefined : id];
    const wanted = fields.flatMap((field) => (typeof field === 'string' ? keysRead(field, [], 'column') : []));
    if (metrics.kind === 'list') wanted.push(...metrics.fields.map(({ from }) => from));
    const absent = wanted.find((column) => !columns.includes(column));
    if (absent !== undefined) throw this.#failure(`there is no column ${JSON.stringify(absent)}; there are ${list}`);
  }

  #failure(message: string, hint?: string): EdgetallyError {
    return new EdgetallyError(
      'import-failed',
      `route ${this.#plan.name}: ${message}`,
      hint === undefined ? {} : { hint },
    );
  }
}

/** Cells beyond the header may be there if they are empty. */
function shapeProblem(cells: readonly string[], columns: number): string | undefined {
  if (cells.length === columns) return undefined;
  if (cells.length > columns && cells.slice(columns).every((cell) => cell.trim() === '')) return undefined;
  return `got ${cells.length} columns, expected ${columns}`;
}

function nameLine(rejects: Decoding['rejects'], from: number, line: number): void {
  for (let index = from; index < rejects.length; index++) {
    const { reason, detail } = rejects[index]!;
    rejects[index] = reject(reason, `line ${line}: ${detail}`);
  }
}
