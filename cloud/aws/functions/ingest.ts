/** Behind the queue or the stream: see ../ingest.ts. */
import { S3Archive } from '../../archive/s3-archive.js';
import { alertBus } from '../alerts.js';
import { deadLetterQueue } from '../dead-letters.js';
import { readVariables } from '../environment.js';
import { functionLog, lambda } from '../function.js';
import { ingest } from '../ingest.js';
import { functionMetrics, openTable, patienceMs } from '../open.js';
import { openDataPlane, receiptPublisher } from '../publisher.js';

const NAMES = [
  'EDGETALLY_TABLE',
  'EDGETALLY_ARCHIVE_BUCKET',
  'EDGETALLY_DLQ_URL',
  'EDGETALLY_IOT_ENDPOINT',
  'EDGETALLY_ALERT_BUS',
  'EDGETALLY_RECEIPT_DELAY',
] as const;

export const handler = lambda(() => {
  const env = readVariables(NAMES, process.env);
  const log = functionLog();
  const dataPlane = openDataPlane(env.EDGETALLY_IOT_ENDPOINT);
  const bucket = env.EDGETALLY_ARCHIVE_BUCKET;
  return ingest({
    store: openTable(env.EDGETALLY_TABLE, env.EDGETALLY_RECEIPT_DELAY),
    archive: bucket === undefined ? undefined : new S3Archive(bucket),
    sendDeadLetter: deadLetterQueue(env.EDGETALLY_DLQ_URL),
    raise: alertBus(env.EDGETALLY_ALERT_BUS, log),
    publisher: () => receiptPublisher(dataPlane, log),
    patienceMs: patienceMs(env.EDGETALLY_RECEIPT_DELAY),
    writeMetrics: functionMetrics('ingest'),
    log,
    now: Date.now,
  });
});
