/** By a schedule: see ../sweep.ts. */
import { readVariables } from '../environment.js';
import { functionLog, lambda } from '../function.js';
import { functionMetrics, openTable, patienceMs } from '../open.js';
import { openDataPlane, receiptPublisher } from '../publisher.js';
import { sweep } from '../sweep.js';

const NAMES = ['EDGETALLY_TABLE', 'EDGETALLY_IOT_ENDPOINT', 'EDGETALLY_RECEIPT_DELAY'] as const;

export const handler = lambda(() => {
  const env = readVariables(NAMES, process.env);
  const log = functionLog();
  const dataPlane = openDataPlane(env.EDGETALLY_IOT_ENDPOINT);
  return sweep({
    store: openTable(env.EDGETALLY_TABLE, env.EDGETALLY_RECEIPT_DELAY),
    publisher: () => receiptPublisher(dataPlane, log),
    patienceMs: patienceMs(env.EDGETALLY_RECEIPT_DELAY),
    writeMetrics: functionMetrics('receipts'),
    now: Date.now,
  });
});
