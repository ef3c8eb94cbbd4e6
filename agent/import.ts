/**
 * `edgetally-agent import`: a CSV file through a route into the gateway, as if it had come by MQTT. Each batch and how far the
 * file is in are one commit, so the same command run again goes on where it was cut off, and does nothing once the file is
 * in. A file is known by its content and its route. Standard input cannot be read twice: it is imported from its start.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { addAbortSignal, type Readable } from 'node:stream';
import { EdgetallyError } from '../shared/errors.js';
import { type CsvProgress, importCsv } from './accept/import-csv.js';
import type { RouteOptions } from './accept/route-options.js';
import { planRoute } from './accept/route-shapes.js';
import type { ImportProgress } from './buffer/imports.js';
import type { AgentConfig } from './config.js';
import type { Decoded, Message } from './reading.js';
import type { Clock } from './time/clock.js';

/** Where the rows go: the pipeline and its buffer. */
export interface ImportTarget {
  find(fingerprint: string): ImportProgress | undefined;
  /** Resolves once the rows and the progress are on disk. */
  accept(message: Message, decoded: Decoded, progress: ImportProgress): Promise<void>;
}

export interface ImportJob {
  readonly config: AgentConfig;
  readonly routeName: string;
  /** A path, or `-` for standard input. */
  readonly file: string;
  readonly stdin: Readable;
  readonly target: ImportTarget;
  readonly clock: Clock;
  readonly onProgress?: (progress: CsvProgress) => void;
  readonly signal?: AbortSignal;
}

export interface ImportReport {
  readonly readings: number;
  readonly rejects: number;
  readonly valueRejects: number;
  /** Rows that were in from an earlier run. */
  readonly before: number;
  /** Reasons of the first rejections. */
  readonly examples: readonly string[];
}

const EXAMPLES = 5;

export async function importFile(job: ImportJob): Promise<ImportReport> {
  const { config, file, target, clock, onProgress, signal } = job;
  const route = findRoute(config.accept.routes, job.routeName);
  const fingerprint = await fingerprintOf(job);
  const from = target.find(fingerprint);
  const report = { readings: 0, rejects: 0, valueRejects: 0, before: from?.rows ?? 0, examples: [] as string[] };
  if (from?.done === true) return report;
  await importCsv({
    input: open(file, job.stdin, signal),
    route,
    limits: config.accept.limits,
    from,
    arrivalUs: Math.round(clock.monotonicMs() * 1000),
    onProgress,
    signal,
    accept: async ({ message, decoded, progress }) => {
      await target.accept(message, decoded, { fingerprint, name: file, ...progress });
      report.readings += decoded.readings.length;
      report.rejects += decoded.rejects.length;
      report.valueRejects += decoded.valueRejects.length;
      for (const { reason, detail } of [...decoded.rejects, ...decoded.valueRejects]) {
        if (report.examples.length < EXAMPLES) report.examples.push(`${reason}: ${detail}`);
      }
    },
  });
  return report;
}

export function formatImportReport(file: string, report: ImportReport): string {
  const { readings, rejects, valueRejects, before, examples } = report;
  if (readings + rejects === 0 && before > 0) return `${file}: all ${before} rows are in already`;
  const resumed = before === 0 ? '' : ` (after ${before} rows of an earlier run)`;
  const lines = [`${file}: ${readings + rejects} rows${resumed}: ${readings} readings, ${rejects} rejected`];
  if (valueRejects > 0) lines.push(`${valueRejects} single values were left out of readings that count`);
  lines.push(...examples.map((example) => `  ${example}`));
  const more = rejects + valueRejects - examples.length;
  if (more > 0) lines.push(`  … and ${more} more; \`edgetally-agent status\` keeps samples`);
  return lines.join('\n');
}

function findRoute(routes: readonly RouteOptions[], name: string): RouteOptions {
  const route = routes.find((each) => planRoute(each).name === name);
  if (route !== undefined) return route;
  const names = routes.map((each) => planRoute(each).name).join(', ');
  throw new EdgetallyError(
    'import-failed',
    `there is no route ${name}; there ${routes.length === 0 ? 'are none' : `is ${names}`}`,
    {
      hint: 'Name a route of `accept.routes` by --route.',
    },
  );
}

function open(file: string, stdin: Readable, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
  const stream = file === '-' ? stdin : createReadStream(file);
  return readable(file, signal === undefined ? stream : addAbortSignal(signal, stream));
}

async function* readable(file: string, stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch (cause) {
    if ((cause as Error).name === 'AbortError') throw cause;
    throw new EdgetallyError('import-failed', `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

async function fingerprintOf({ file, stdin, routeName, clock, signal }: ImportJob): Promise<string> {
  const hash = createHash('sha256').update(`${routeName}\0`);
  if (file === '-') hash.update(`standard input ${clock.nowMs()} ${process.pid}`);
  else for await (const chunk of open(file, stdin, signal)) hash.update(chunk);
  return hash.digest('hex');
}
