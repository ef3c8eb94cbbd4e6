/** The function behind the queue or the stream: batches and statuses into the table, receipts out. See take-records.ts. */
import type { ArchiveWriter } from '../archive/archive.js';
import { Consolidator } from '../consolidate/consolidator.js';
import type { Log } from '../log.js';
import type { ChangeStore } from '../store/store.js';
import type { RaiseAlerts } from './alerts.js';
import type { SendDeadLetter } from './dead-letters.js';
import { deadline, type LambdaHandler } from './function.js';
import type { WriteMetrics } from './metrics.js';
import type { Publisher } from './publisher.js';
import { type BatchResponse, failuresOf, recordsOf } from './records.js';
import { takeRecords } from './take-records.js';

export interface IngestServices {
  readonly store: ChangeStore;
  readonly archive: ArchiveWriter | undefined;
  readonly sendDeadLetter: SendDeadLetter;
  readonly raise: RaiseAlerts;
  /** For one invocation. */
  readonly publisher: () => Publisher;
  /** How long a gateway is to wait for its receipts. */
  readonly patienceMs: number | undefined;
  readonly writeMetrics: WriteMetrics;
  readonly log: Log;
  readonly now: () => number;
}

/** For what follows a commit: dead letters, receipts, alerts. */
const RESERVE_MS = 10_000;
/** A store that fails for longer is not waited for: the queue brings the records again. */
const STORE_PATIENCE_MS = 20_000;

export function ingest(services: IngestServices): LambdaHandler<BatchResponse> {
  return async (event, context) => {
    const { log, now } = services;
    const records = recordsOf(event);
    const publisher = services.publisher();
    const consolidator = new Consolidator({
      store: services.store,
      send: publisher.send,
      receiptDelayMs: undefined,
      patienceMs: services.patienceMs,
      signal: deadline(context, RESERVE_MS, STORE_PATIENCE_MS),
      log,
      now,
    });
    const { failed, counts } = await takeRecords(records, { ...services, consolidator });
    const { messages: _, ...books } = consolidator.books;
    services.writeMetrics({
      records: records.length,
      failed: failed.length,
      ...books,
      ...counts,
      receiptsSent: publisher.counters.sent,
      receiptsFailed: publisher.counters.failed,
    });
    return failuresOf(failed);
  };
}
