/**
 * The store in one DynamoDB table (table.ts). Any number of processes may have it open and write at once, for the same
 * gateway too.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Quota } from '../quota.js';
import type { Applied, Change, OwedReceipts, ReceiptStore, RollUp, Snapshot, Store } from '../store.js';
import { DynamoChanges } from './changes.js';
import { DynamoDictionary } from './dictionary.js';
import { putRollUps } from './keeping.js';
import type { ReceiptOptions } from './receipts-owed.js';
import { type Capacity, DynamoRequests, type Requests } from './requests.js';
import { DynamoSnapshot } from './snapshot.js';

export interface DynamoStoreOptions {
  readonly table: string;
  /** Payload bytes of rejected messages that are kept of one gateway. */
  readonly maxQuarantineBytes: number;
  /** Of one gateway; none where it is left out. */
  readonly quota?: Quota;
  /** Receipts are due at once where it is left out. */
  readonly receipts?: ReceiptOptions;
  /** The wall clock of the cloud side: it says what has expired. */
  readonly now?: () => number;
  /** By default what the standard environment of the AWS SDK says: region, endpoint, credentials. */
  readonly client?: DynamoDBClient;
}

const NO_QUOTA: Quota = { devices: Infinity, metrics: Infinity, rowsPerDay: Infinity };
/** A request that hangs is tried again, by the SDK and then by whoever waits for the commit. */
const TIMEOUTS = { connectionTimeout: 3_000, requestTimeout: 10_000, throwOnRequestTimeout: true };

export function openDynamoStore({ table, client, ...options }: DynamoStoreOptions): DynamoStore {
  const requests = new DynamoRequests(client ?? new DynamoDBClient({ requestHandler: TIMEOUTS }), table);
  return new DynamoStore(requests, options);
}

export class DynamoStore implements Store, ReceiptStore {
  readonly #requests: Requests;
  readonly #dictionary: DynamoDictionary;
  readonly #changes: DynamoChanges;
  readonly #now: () => number;

  constructor(requests: Requests, options: Omit<DynamoStoreOptions, 'table' | 'client'>) {
    const { quota = NO_QUOTA, now = Date.now } = options;
    this.#now = now;
    this.#requests = requests;
    this.#dictionary = new DynamoDictionary(this.#requests);
    this.#changes = new DynamoChanges(this.#requests, this.#dictionary, { ...options, quota, now });
  }

  /** What this process has cost so far. */
  get capacity(): Capacity {
    return this.#requests.capacity;
  }

  commit(changes: readonly Change[]): Promise<readonly Applied[]> {
    return this.#changes.apply(changes);
  }

  takeOwed(nowMs: number): Promise<readonly OwedReceipts[]> {
    return this.#changes.takeOwed(nowMs);
  }

  putRollUps(rollUps: readonly RollUp[]): Promise<void> {
    return putRollUps(this.#requests, this.#dictionary, rollUps);
  }

  read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    return work(new DynamoSnapshot(this.#requests, this.#dictionary, this.#now()));
  }

  async close(): Promise<void> {
    this.#requests.close();
  }
}
