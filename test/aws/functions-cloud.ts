/**
 * The cloud half on AWS: the functions over DynamoDB (dynalite), with the stand-ins for all they call. Some run in this process
 * and fail at every seam, the others are processes with the bundle that is deployed, and are killed.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Logger } from 'pino';
import type { Test } from 'tap';
import { S3Archive } from '../../cloud/archive/s3-archive.js';
import { alertBus } from '../../cloud/aws/alerts.js';
import { deadLetterQueue } from '../../cloud/aws/dead-letters.js';
import { ingest } from '../../cloud/aws/ingest.js';
import { openDataPlane, receiptPublisher } from '../../cloud/aws/publisher.js';
import { recompute } from '../../cloud/aws/recompute.js';
import { sweep } from '../../cloud/aws/sweep.js';
import { type DynamoStore, openDynamoStore } from '../../cloud/store/dynamo/store.js';
import { type TestTable, tableForTests } from '../../cloud/store/dynamo/table-for-tests.js';
import type { ChangeStore } from '../../cloud/store/store.js';
import { bundleFunction } from '../../packaging/functions.js';
import { EdgetallyError } from '../../shared/errors.js';
import type { Dice } from '../dice.js';
import { type Endpoints, startEndpoints } from './endpoints.js';
import { FunctionProcess } from './function-process.js';
import type { Invoke } from './mapping.js';

export const BUCKET = 'archive';
/** Receipts get lost here, and nobody wants to wait for minutes. */
const RECEIPTS = { delayMs: 1_000, most: 15 };
const PATIENCE_MS = 3_000;
const CONTEXT = { getRemainingTimeInMillis: () => 60_000 };
/** Of calls to services and to the store, each. */
const FAILING = 0.04;

export interface FunctionsCloudOptions {
  readonly dice: Dice;
  readonly log: Logger;
  /** Of all that is not in a message. */
  readonly now: () => number;
  /** To the broker. */
  readonly publish: (topic: string, payload: Uint8Array) => Promise<void>;
}

export class FunctionsCloud {
  readonly endpoints: Endpoints;
  /** Without faults. */
  readonly store: DynamoStore;
  readonly metrics: Record<string, number>[] = [];
  readonly processes: FunctionProcess[] = [];
  readonly #options: FunctionsCloudOptions;
  readonly #table: TestTable;
  #calm = false;

  static async start(t: Test, options: FunctionsCloudOptions): Promise<FunctionsCloud> {
    const endpoints = await startEndpoints(options.publish);
    Object.assign(process.env, endpoints.env);
    t.teardown(() => endpoints.stop());
    const cloud = new FunctionsCloud(endpoints, await tableForTests(t), options);
    t.teardown(() => cloud.store.close());
    t.teardown(async () => {
      for (const one of cloud.processes) await one.stop();
    });
    return cloud;
  }

  private constructor(endpoints: Endpoints, table: TestTable, options: FunctionsCloudOptions) {
    this.endpoints = endpoints;
    this.#table = table;
    this.#options = options;
    this.store = this.open();
    endpoints.fails = () => !this.#calm && options.dice.chance(FAILING);
  }

  /** No more faults. */
  calm(): void {
    this.#calm = true;
  }

  open(): DynamoStore {
    const { table, client } = this.#table;
    return openDynamoStore({
      table,
      client: client(),
      maxQuarantineBytes: 1e6,
      receipts: RECEIPTS,
      now: this.#options.now,
    });
  }

  /** The function in this process, with a store of its own. */
  ingest(t: Test): Invoke {
    const { log, now, dice } = this.#options;
    const store = this.open();
    t.teardown(() => store.close());
    const dataPlane = openDataPlane(this.endpoints.url);
    const handler = ingest({
      store: flaky(store, () => !this.#calm && dice.chance(FAILING)),
      archive: new S3Archive(BUCKET),
      sendDeadLetter: deadLetterQueue(`${this.endpoints.url}/1/dead`),
      raise: alertBus('bus', log),
      publisher: () => receiptPublisher(dataPlane, log),
      patienceMs: PATIENCE_MS,
      writeMetrics: (counts) => this.metrics.push({ ...counts }),
      log,
      now,
    });
    return (event) => handler(event, CONTEXT);
  }

  /** The function as it is deployed, in a process that dies in some calls. */
  async ingestProcess(directory: string): Promise<Invoke> {
    const { dice } = this.#options;
    await bundleFunction('ingest', directory);
    const functionProcess = new FunctionProcess(pathToFileURL(join(directory, 'index.mjs')).href, {
      ...this.endpoints.env,
      AWS_ENDPOINT_URL_DYNAMODB: this.#table.endpoint,
      EDGETALLY_TABLE: this.#table.table,
      EDGETALLY_ARCHIVE_BUCKET: BUCKET,
      EDGETALLY_DLQ_URL: `${this.endpoints.url}/1/dead`,
      EDGETALLY_IOT_ENDPOINT: this.endpoints.url,
      EDGETALLY_ALERT_BUS: 'bus',
      EDGETALLY_RECEIPT_DELAY: '0s',
      EDGETALLY_LOG_LEVEL: 'error',
    });
    this.processes.push(functionProcess);
    return (event) => functionProcess.invoke(event, !this.#calm && dice.chance(0.3) ? dice.below(150) : undefined);
  }

  async rollUp(): Promise<void> {
    const { log } = this.#options;
    const later = () => this.#options.now() + 3_600_000;
    const handler = recompute({ store: this.store, writeMetrics: () => undefined, log, now: later });
    await Promise.all([handler({}, CONTEXT), handler({}, CONTEXT)]);
  }

  async sweep(): Promise<void> {
    const { log } = this.#options;
    const dataPlane = openDataPlane(this.endpoints.url);
    const later = () => this.#options.now() + RECEIPTS.delayMs;
    const publisher = () => receiptPublisher(dataPlane, log);
    const writeMetrics = () => undefined;
    await sweep({ store: this.store, publisher, patienceMs: PATIENCE_MS, writeMetrics, now: later })({}, CONTEXT);
  }
}

/** Fails for a while, or is cut off before or after it has done its work. */
function flaky(store: ChangeStore, fails: () => boolean): ChangeStore {
  const cut = () => new EdgetallyError('usage', 'cut off');
  return {
    commit: async (changes) => {
      if (fails()) throw new EdgetallyError('database-failed', 'throttled');
      if (fails()) throw cut();
      if (fails()) await store.commit(changes.slice(0, Math.ceil(changes.length / 2)));
      const applied = await store.commit(changes);
      if (fails()) throw cut();
      return applied;
    },
  };
}
