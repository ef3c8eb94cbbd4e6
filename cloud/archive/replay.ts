/**
 * Rebuilds a store from the archive, by the same way on which messages come: decode, keep the highest revision. Any order, any
 * number of times, into an empty store or a full one; nobody is sent a receipt.
 */
import { EdgetallyError } from '../../shared/errors.js';
import { upTopic } from '../../shared/topics.js';
import { Consolidator } from '../consolidate/consolidator.js';
import type { Log } from '../log.js';
import type { ChangeStore } from '../store/store.js';
import type { ArchiveReader } from './archive.js';
import { type ArchiveEntry, readArchiveKey } from './key.js';

export interface ReplayQuery {
  /** Dates as in the keys, UTC: from there on, and up to there, which is not part of it. */
  readonly fromDate?: string;
  readonly toDate?: string;
  readonly gateway?: string;
}

export interface ReplayOptions {
  readonly archive: ArchiveReader;
  readonly store: ChangeStore;
  readonly query: ReplayQuery;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** objects = batches + statuses + rejected + overQuota + foreign + leftOut */
export interface ReplayBooks {
  readonly objects: number;
  readonly batches: number;
  readonly statuses: number;
  /** Archived, and not usable by this program. */
  readonly rejected: number;
  /** The gateway has had its share of the database. */
  readonly overQuota: number;
  /** Whose key says that they are no messages of gateways. */
  readonly foreign: number;
  /** Not asked for. */
  readonly leftOut: number;
  readonly windowsPut: number;
}

/** Read and committed together. */
const TOGETHER = 64;

export async function replay({ archive, store, query, log, signal }: ReplayOptions): Promise<ReplayBooks> {
  const consolidator = new Consolidator({
    store,
    send: () => undefined,
    receiptDelayMs: undefined,
    log,
    now: Date.now,
    signal,
  });
  const counts = { objects: 0, foreign: 0, leftOut: 0 };
  for await (const page of archive.keys()) {
    const wanted: { key: string; entry: ArchiveEntry }[] = [];
    for (const key of page) {
      const entry = readArchiveKey(key);
      counts.objects++;
      if (entry === undefined) counts.foreign++;
      else if (!isWanted(entry, query)) counts.leftOut++;
      else wanted.push({ key, entry });
    }
    while (wanted.length > 0) {
      signal.throwIfAborted();
      const objects = await Promise.all(wanted.splice(0, TOGETHER).map((one) => read(archive, one)));
      await Promise.all(objects.map((delivery) => consolidator.accept(delivery)));
    }
  }
  const { batches, statuses, rejected, overQuota, windowsPut } = consolidator.books;
  return { ...counts, batches, statuses, rejected, overQuota, windowsPut };
}

async function read(archive: ArchiveReader, { key, entry }: { key: string; entry: ArchiveEntry }) {
  const { bytes: payload, receivedMs } = await archive.get(key);
  return { topic: upTopic(entry.gateway, entry.kind), payload, retained: false, receivedMs };
}

function isWanted({ date, gateway }: ArchiveEntry, { fromDate, toDate, gateway: only }: ReplayQuery): boolean {
  if (only !== undefined && gateway !== only) return false;
  const day = Date.parse(date);
  return (fromDate === undefined || day >= Date.parse(fromDate)) && (toDate === undefined || day < Date.parse(toDate));
}

/** As they are typed. */
export function parseReplay(given: { fromDate?: string; toDate?: string; gateway?: string }): ReplayQuery {
  for (const [option, text] of [['--from-date', given.fromDate] as const, ['--to-date', given.toDate] as const]) {
    if (text === undefined || (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)))) continue;
    throw new EdgetallyError('usage', `${option}: ${JSON.stringify(text)} is not a date`, {
      hint: 'Give a UTC date such as 2026-07-01, as in the keys of the archive.',
    });
  }
  return given;
}
