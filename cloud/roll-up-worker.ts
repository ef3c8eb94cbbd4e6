/** The thread behind roll-up-thread.ts: the keeper of the roll-ups, over a connection that reads. */
import { availableParallelism } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { EdgetallyError } from '../shared/errors.js';
import { RollUpKeeper } from './consolidate/roll-up-keeper.js';
import type { Log } from './log.js';
import type { FromWorker, RollUpWork, ToWorker } from './roll-up-thread.js';
import { openSqliteReader } from './store/sqlite/store.js';

/** A thread of its own keeps nobody from anything, where there is a core for it. */
const RESTS = availableParallelism() > 1 ? { over: 0, goingOn: 1 } : { over: 1, goingOn: 4 };

const { path, settleMs } = workerData as RollUpWork;
const port = parentPort!;
const reader = openSqliteReader(path);
const waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];

function tell(message: FromWorker): void {
  port.postMessage(message);
}

function logAt(level: keyof Log) {
  return (fields: object, text: string) => tell({ kind: 'log', level, fields, text });
}

const keeper = new RollUpKeeper({
  store: {
    read: (work) => reader.read(work),
    putRollUps: (rollUps) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        tell({ kind: 'put', rows: reader.rowsOf(rollUps) });
      }),
  },
  log: { debug: logAt('debug'), info: logAt('info'), warn: logAt('warn'), error: logAt('error') } as Log,
  settleMs,
  rests: RESTS,
  now: Date.now,
});

port.on('message', (message: ToWorker) => {
  if (message.kind === 'nudge') keeper.nudge();
  else if (message.kind === 'stop') void stop();
  else {
    const { resolve, reject } = waiting.shift()!; // one after the other, as they were handed over
    const { error } = message;
    if (error === undefined) resolve();
    else reject(error.code === undefined ? new Error(error.message) : new EdgetallyError(error.code, error.message));
  }
});

async function stop(): Promise<void> {
  await keeper.stop();
  await reader.close();
  port.close();
}

keeper.start();
