/**
 * What a gateway costs on AWS in some hours: 10 devices of 5 metrics, windows of a minute, one batch a minute by Basic Ingest.
 * The gateway's real outbox and the real functions, in virtual time; write units as DynamoDB tells them, messages as IoT Core
 * meters them (demo/meter.ts). A receipt is two: published by the function, delivered to the gateway.
 */
import { pino } from 'pino';
import type { Test } from 'tap';
import { Answers } from '../../agent/push/answers.js';
import { Credit } from '../../agent/push/credit.js';
import { pushSchema, statusIntervalMs } from '../../agent/push/options.js';
import { Outbox } from '../../agent/push/outbox.js';
import { readVariables } from '../../cloud/aws/environment.js';
import { ingest } from '../../cloud/aws/ingest.js';
import { patienceMs, receiptsHeld } from '../../cloud/aws/open.js';
import { recompute } from '../../cloud/aws/recompute.js';
import { sweep } from '../../cloud/aws/sweep.js';
import { openDynamoStore } from '../../cloud/store/dynamo/store.js';
import { tableForTests } from '../../cloud/store/dynamo/table-for-tests.js';
import { messagesOfApi } from '../../demo/meter.js';
import { ruleOutput } from '../../demo/rule.js';
import { encodeBatch } from '../../shared/batch.js';
import { encodeStatus } from '../../shared/status.js';
import { upTopic } from '../../shared/topics.js';
import { CALM, typicalWindows } from '../../shared/typical.js';
import { VERSION } from '../../shared/version.js';
import { MemoryBacklog } from '../memory-backlog.js';

export interface Costs {
  readonly windows: number;
  readonly batches: number;
  readonly receipts: number;
  /** Write units by what was written. */
  readonly writes: Readonly<Record<string, number>>;
  readonly reads: number;
  readonly messages: number;
  /** Windows without a receipt at the end. */
  readonly owed: number;
}

const GATEWAY = 'plant-0042';
const EPOCH = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const DEVICES = 10;
/** As many as MemoryBacklog says. */
const READINGS = 4;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const OPTIONS = pushSchema.parse({ url: 'mqtts://iot', basicIngestRule: 'edgetally_batch' });
const STATUS_MINUTES = statusIntervalMs(OPTIONS) / MINUTE_MS;
/** CONNECT, SUBSCRIBE, and a status that is published and retained. */
const CONNECTED = 4;
const CONTEXT = { getRemainingTimeInMillis: () => 60_000 };
const log = pino({ level: 'silent' });

export async function measureCosts(t: Test, minutes: number): Promise<Costs> {
  const windows = typicalWindows({ sensors: CALM, devices: DEVICES, minutes, readings: READINGS });
  const firstMs = windows[0]!.startMs;
  let nowMs = firstMs;
  const now = () => nowMs;
  const gateway = makeGateway(now, (startMs, device) => {
    return windows[((startMs - firstMs) / MINUTE_MS) * DEVICES + device - 1]!.metrics;
  });
  const cloud = await makeCloud(t, now, gateway.hear);
  for (let minute = 0; minute < minutes; minute++) {
    nowMs = firstMs + (minute + 1) * MINUTE_MS + 5_000;
    for (const payload of gateway.closed(firstMs + minute * MINUTE_MS)) await cloud.take(payload);
    nowMs += 30_000;
    for (const payload of gateway.resends()) await cloud.take(payload);
    if (minute % STATUS_MINUTES === 0) await cloud.take(statusAt(nowMs), 'status');
    await cloud.scheduled();
  }
  const { writes, reads } = cloud.store.capacity;
  const { receipts, messages, batches } = cloud.counts;
  return {
    windows: windows.length,
    batches,
    receipts,
    writes,
    reads,
    messages: messages + CONNECTED,
    owed: gateway.backlog.owed,
  };
}

/** By Basic Ingest, so that it is no message, but a write. */
function statusAt(sentMs: number): Uint8Array {
  const readings = { in: 7_200_000, counted: 7_190_000, duplicate: 9_000, rejected: 1_000, held: 0 };
  const backlog = { windows: 150, bytes: 40_000, oldestMs: sentMs - 900_000 };
  const open = { windows: 10, readings: 40, oldestMs: sentMs - 60_000 };
  const reasons = { rejected: { 'not-json': 1_000 }, values: { 'bad-number': 300 } };
  return encodeStatus({ state: 'online', epoch: EPOCH, version: VERSION, sentMs, readings, backlog, open, reasons });
}

function makeGateway(now: () => number, metricsOf: ConstructorParameters<typeof MemoryBacklog>[0]) {
  const backlog = new MemoryBacklog(metricsOf);
  const credit = new Credit(10_000);
  credit.linkUp(now(), 0.5);
  const { maxInFlight, maxBatchBytes, receiptTimeout: receiptTimeoutMs } = OPTIONS;
  const outbox = new Outbox({
    backlog,
    limits: { maxInFlight, maxBatchBytes, receiptTimeoutMs },
    credit,
    encode: ({ sequence, windows }) => {
      const summaries = windows.map(({ summary }) => summary);
      const ledger = summaries.map(({ group, device, startMs }) => {
        const dayMs = startMs - (startMs % DAY_MS);
        return { group, device, dayMs, readings: (1 + (startMs - dayMs) / MINUTE_MS) * READINGS };
      });
      const identity = { epoch: EPOCH, session: 1, sequence, sentMs: now() };
      return encodeBatch({ ...identity, windows: summaries, ledger, losses: [] });
    },
  });
  const answers = new Answers({ epoch: EPOCH, session: 1, outbox, credit, log });
  const leaving = function* () {
    for (let out = outbox.next(now()); out !== undefined; out = outbox.next(now())) yield out.payload;
  };
  return {
    backlog,
    hear: (payload: Uint8Array) => void answers.take(payload, now()),
    closed(startMs: number) {
      outbox.saved(backlog.add(DEVICES, startMs, MINUTE_MS));
      return leaving();
    },
    resends() {
      outbox.expire(now());
      return leaving();
    },
  };
}

async function makeCloud(t: Test, now: () => number, hear: (payload: Uint8Array) => void) {
  const { EDGETALLY_RECEIPT_DELAY: delayMs } = readVariables(['EDGETALLY_RECEIPT_DELAY'], {});
  const { table, client } = await tableForTests(t);
  const store = openDynamoStore({ table, client: client(), maxQuarantineBytes: 0, ...receiptsHeld(delayMs), now });
  t.teardown(() => store.close());
  const counts = { receipts: 0, messages: 0, batches: 0 };
  const send = async (topic: string, payload: Uint8Array) => {
    counts.receipts++;
    counts.messages += 2 * messagesOfApi(topic, payload);
    hear(payload);
  };
  const publisher = () => ({ send, counters: { sent: 0, failed: 0 } });
  const common = { store, publisher, patienceMs: patienceMs(delayMs), writeMetrics: () => undefined, log, now };
  const nothing = async () => undefined;
  const handler = ingest({ ...common, archive: undefined, sendDeadLetter: nothing, raise: nothing });
  const schedule = [sweep(common), recompute(common)];
  return {
    store,
    counts,
    async take(payload: Uint8Array, kind: 'batch' | 'status' = 'batch'): Promise<void> {
      if (kind === 'batch') counts.batches++;
      const from = { clientId: GATEWAY, principal: 'e'.repeat(64), timestampMs: now() };
      const body = ruleOutput({ ...from, topic: upTopic(GATEWAY, kind), payload });
      await handler({ Records: [{ eventSource: 'aws:sqs', messageId: `m${counts.batches}`, body }] }, CONTEXT);
    },
    async scheduled(): Promise<void> {
      for (const one of schedule) await one({}, CONTEXT);
    },
  };
}
