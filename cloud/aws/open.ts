/** What the functions are made of, from their environment. Opened once a process, used by all of its invocations. */
import { type DynamoStore, type DynamoStoreOptions, openDynamoStore } from '../store/dynamo/store.js';
import { quotaSchema } from '../store/quota-options.js';
import { metricsTo, type WriteMetrics } from './metrics.js';

/** A receipt is sent at once where a gateway has so many batches without: it has only so many in flight. */
const MOST_OWED = 15;
/** By then whoever was asked to wait for a receipt has it: a sweep comes every minute. */
const SWEPT_MS = 120_000;
/** Of one gateway: a partition of the table takes no more in a few seconds. */
const MAX_QUARANTINE_BYTES = 4 * 1024 * 1024;

export function openTable(table: string, receiptDelayMs: number): DynamoStore {
  return openDynamoStore({
    table,
    maxQuarantineBytes: MAX_QUARANTINE_BYTES,
    quota: quotaSchema.parse({}),
    now: Date.now,
    ...receiptsHeld(receiptDelayMs),
  });
}

/** As an option of the store. */
export function receiptsHeld(receiptDelayMs: number): Pick<DynamoStoreOptions, 'receipts'> {
  return receiptDelayMs === 0 ? {} : { receipts: { delayMs: receiptDelayMs, most: MOST_OWED } };
}

/** How long a gateway is to wait for its receipts; undefined where they are sent at once. */
export function patienceMs(receiptDelayMs: number): number | undefined {
  return receiptDelayMs === 0 ? undefined : receiptDelayMs + SWEPT_MS;
}

/** Under the name that AWS knows the function by, which tells one environment of an account from another. */
export function functionMetrics(name: string): WriteMetrics {
  // not by console, which AWS wraps
  return metricsTo(process.env.AWS_LAMBDA_FUNCTION_NAME ?? name, (line) => process.stdout.write(line), Date.now);
}
