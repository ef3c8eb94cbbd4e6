/**
 * Opens what `database` names: a path is an SQLite file, `dynamodb://TABLE` a table of the region that the environment says.
 * What is not in use is not loaded: the AWS SDK takes a fifth of a second.
 */
import { EdgetallyError } from '../shared/errors.js';
import type { CloudConfig } from './config.js';
import { RollUpKeeper } from './consolidate/roll-up-keeper.js';
import type { Log } from './log.js';
import { RollUpThread } from './roll-up-thread.js';
import { openSqliteReader, openSqliteStore } from './store/sqlite/store.js';
import type { SnapshotStore, Store } from './store/store.js';

/** Whoever keeps the roll-ups up to date. */
export interface RollUpWorker {
  start(): void;
  /** Something became stale. */
  nudge(): void;
  /** Idempotent. */
  stop(): Promise<void>;
}

export type DatabaseOptions = Pick<CloudConfig, 'database' | 'maxQuarantineBytes' | 'quota' | 'rollUpDelay'>;

export interface OpenDatabase {
  readonly store: Store;
  readonly rollUps: RollUpWorker;
}

export interface Reader extends SnapshotStore {
  close(): Promise<void>;
}

const DYNAMODB = /^dynamodb:\/\/([A-Za-z0-9_.-]{3,255})$/;
/** A look at what is due reads the books of all gateways, which costs. */
const LOOK_MS = 60_000;
/** Others go on meanwhile: the work is waiting for answers. */
const SLICE_MS = 10_000;

/** Opens for writing. A file that cannot be used is an error here; of a table its first request tells. */
export async function openDatabase(config: DatabaseOptions, log: Log, now: () => number): Promise<OpenDatabase> {
  const { database, maxQuarantineBytes, quota, rollUpDelay: settleMs } = config;
  const table = tableOf(database);
  if (table === undefined) {
    const store = openSqliteStore({ path: database, maxQuarantineBytes, quota });
    const thread = new RollUpThread({ path: database, settleMs, put: (rows) => store.putRollUpRows(rows), log });
    return { store, rollUps: thread };
  }
  const { openDynamoStore } = await import('./store/dynamo/store.js');
  const store = openDynamoStore({ table, maxQuarantineBytes, quota, now });
  const pace = { settleMs: Math.max(settleMs, LOOK_MS), sliceMs: SLICE_MS, rests: { over: 0, goingOn: 0 } };
  return { store, rollUps: new RollUpKeeper({ store, log, now, ...pace, refreshMs: Number.POSITIVE_INFINITY }) };
}

/** Opens for reading, beside those that write. */
export async function openReader(database: string, now: () => number): Promise<Reader> {
  const table = tableOf(database);
  if (table === undefined) return openSqliteReader(database);
  const { openDynamoStore } = await import('./store/dynamo/store.js');
  return openDynamoStore({ table, maxQuarantineBytes: 0, now });
}

/** The name of the table; undefined for a file. */
function tableOf(database: string): string | undefined {
  if (!database.startsWith('dynamodb:')) return undefined;
  const table = DYNAMODB.exec(database)?.[1];
  if (table !== undefined) return table;
  throw new EdgetallyError('config-invalid', `database: ${JSON.stringify(database)} names no table`, {
    hint: 'Write dynamodb://TABLE, with 3 to 255 letters, digits, dots, dashes or underscores.',
  });
}
