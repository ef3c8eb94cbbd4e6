/** `edgetally-cloud replay` on the terminal: an archive into a database, and what became of it. Stopped, it can be run again. */
import { existsSync } from 'node:fs';
import { pino } from 'pino';
import { EdgetallyError } from '../shared/errors.js';
import type { ArchiveReader } from './archive/archive.js';
import { FolderArchive } from './archive/folder-archive.js';
import { parseReplay, replay } from './archive/replay.js';
import { cloudSchema, readConfig } from './config.js';
import { openDatabase } from './database.js';

export interface ReplayArguments {
  readonly database?: string;
  readonly config?: string;
  readonly fromDate?: string;
  readonly toDate?: string;
  readonly gateway?: string;
}

const DEFAULTS = cloudSchema.pick({ maxQuarantineBytes: true, quota: true, rollUpDelay: true });

export async function runReplay(from: string, { database, config, ...asked }: ReplayArguments): Promise<void> {
  const query = parseReplay(asked);
  const configured = config === undefined ? DEFAULTS.parse({}) : readConfig(config, process.env);
  const path = database ?? (config === undefined ? undefined : readConfig(config, process.env).database);
  if (path === undefined) throw new EdgetallyError('usage', 'which database? Give --database FILE or --config FILE');
  const archive = await openArchive(from);
  const log = pino({ level: 'warn', base: null }, pino.destination(2));
  const { store } = await openDatabase({ ...configured, database: path }, log, Date.now);
  const stopping = new AbortController();
  process.once('SIGINT', () => stopping.abort()).once('SIGTERM', () => stopping.abort());
  try {
    const books = await replay({ archive, store, query, log, signal: stopping.signal });
    const { objects, batches, windowsPut, statuses, rejected, overQuota, leftOut, foreign } = books;
    console.log(
      `${objects} objects: ${batches} batches (${windowsPut} windows put), ${statuses} statuses, ${rejected} rejected, ` +
        `${overQuota} over quota, ${leftOut} left out, ${foreign} that are no messages of gateways`,
    );
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    console.error('stopped; the same command begins anew, and changes nothing that is there');
    process.exitCode = 130;
  } finally {
    archive.close();
    await store.close();
  }
}

const S3 = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/;

/** The AWS SDK is only loaded where it is in use. */
async function openArchive(from: string): Promise<ArchiveReader> {
  if (!from.startsWith('s3:')) {
    if (existsSync(from)) return new FolderArchive(from);
    throw new EdgetallyError('usage', `there is no folder ${from}`, {
      hint: 'Give the folder above those with dates.',
    });
  }
  const [, bucket, prefix = ''] = S3.exec(from) ?? [];
  if (bucket === undefined) {
    throw new EdgetallyError('usage', `${JSON.stringify(from)} names no bucket`, { hint: 'Write s3://BUCKET/PREFIX.' });
  }
  const { S3Archive } = await import('./archive/s3-archive.js');
  return new S3Archive(bucket, prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`);
}
