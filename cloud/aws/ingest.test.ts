import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type Test, test } from 'tap';
import { encodeBatch } from '../../shared/batch.js';
import { EdgetallyError } from '../../shared/errors.js';
import { decodeReceipt, type Receipt } from '../../shared/receipt.js';
import { encodeStatus } from '../../shared/status.js';
import { upTopic } from '../../shared/topics.js';
import type { ArchivedObject } from '../archive/archive.js';
import { EPOCH_A, NOON, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite/store.js';
import type { ChangeStore } from '../store/store.js';
import type { Alert } from './alerts.js';
import type { DeadLetter } from './dead-letters.js';
import { type IngestServices, ingest } from './ingest.js';

interface Setup {
  readonly take: (
    event: unknown,
    leftMs?: number,
  ) => Promise<{ batchItemFailures: readonly { itemIdentifier: string }[] }>;
  readonly archived: Map<string, ArchivedObject>;
  readonly letters: DeadLetter[];
  readonly alerts: Alert[];
  readonly receipts: { gateway: string; receipt: Receipt }[];
  readonly metrics: Record<string, number>[];
  readonly books: () => Promise<{ windows: number; quarantined: number; rejectedOf: Record<string, number> }>;
}

function setup(t: Test, more: (given: { store: ChangeStore }) => Partial<IngestServices> = () => ({})): Setup {
  const folder = mkdtempSync(join(tmpdir(), 'edgetally-ingest-'));
  const store = openSqliteStore({ path: join(folder, 'cloud.db'), maxQuarantineBytes: 1e6 });
  t.teardown(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  const made: Omit<Setup, 'take' | 'books'> = {
    archived: new Map(),
    letters: [],
    alerts: [],
    receipts: [],
    metrics: [],
  };
  const counters = { sent: 0, failed: 0 };
  const handler = ingest({
    store,
    archive: { put: async (object) => void made.archived.set(object.key, object) },
    sendDeadLetter: async (letter) => void made.letters.push(letter),
    raise: async (alerts) => void made.alerts.push(...alerts),
    publisher: () => ({
      send: async (topic, payload) => {
        const receipt = decodeReceipt(payload);
        if (!receipt.ok) throw new Error(receipt.detail);
        made.receipts.push({ gateway: topic.split('/')[2]!, receipt: receipt.value });
      },
      counters,
    }),
    patienceMs: 420_000,
    writeMetrics: (counts) => void made.metrics.push(counts),
    log: pino({ level: 'silent' }),
    now: () => NOON,
    ...more({ store }),
  });
  return {
    ...made,
    take: (event, leftMs = 60_000) => handler(event, { getRemainingTimeInMillis: () => leftMs }),
    books: () =>
      store.read(async (snapshot) => {
        const gateways = await snapshot.gateways();
        let windows = 0;
        const query = { span: { fromMs: 0, toMs: 8e15 }, where: {}, metrics: 'none' } as const;
        for await (const page of snapshot.windows(query)) windows += page.length;
        const rejectedOf = Object.fromEntries(gateways.map(({ gateway, rejected }) => [gateway, rejected]));
        return { windows, quarantined: (await snapshot.books()).quarantined, rejectedOf };
      }),
  };
}

const PRINCIPAL = 'c'.repeat(64);

function output(gateway: string, payload: Uint8Array, more: object = {}, kind: 'batch' | 'status' = 'batch'): string {
  const about = { topic: upTopic(gateway, kind), clientId: gateway, principal: PRINCIPAL, timestamp: NOON + 7 };
  return JSON.stringify({ payload: Buffer.from(payload).toString('base64'), ...about, ...more });
}

function batch(sequence: number): Uint8Array {
  const windows = windowsOf([{ timeMs: NOON + sequence * 60_000, values: { c: sequence } }]);
  return encodeBatch({
    epoch: EPOCH_A,
    session: 1,
    sequence,
    sentMs: NOON + sequence,
    windows,
    ledger: [],
    losses: [],
  });
}

const sqs = (...bodies: string[]) => ({
  Records: bodies.map((body, i) => ({ eventSource: 'aws:sqs', messageId: `m${i}`, body, attributes: {} })),
});
const kinesis = (...bodies: string[]) => ({
  Records: bodies.map((body, i) => ({
    eventSource: 'aws:kinesis',
    kinesis: { sequenceNumber: `4958${9 + i}`, data: Buffer.from(body).toString('base64') },
  })),
});

const status = encodeStatus({
  state: 'offline',
  epoch: EPOCH_A,
  version: '0.1.0',
  sentMs: NOON,
  backlog: { windows: 0, bytes: 0, oldestMs: null },
  readings: { in: 1, counted: 1, duplicate: 0, rejected: 0, held: 0 },
});

test('an invocation commits all of it, archives it, and sends one receipt a gateway', async (t) => {
  const { take, archived, receipts, books, metrics, letters } = setup(t);
  const event = sqs(
    output('gw', batch(1)),
    output('gw', batch(2)),
    output('gw2', batch(3)),
    output('gw', status, {}, 'status'),
  );
  t.same(await take(event), { batchItemFailures: [] });
  t.match(receipts, [
    { gateway: 'gw', receipt: { committed: [{ session: 1, sequences: [1, 2] }], patienceMs: 420_000 } },
    { gateway: 'gw2', receipt: { committed: [{ session: 1, sequences: [3] }] } },
  ]);
  t.same(
    [...archived.keys()],
    [
      `2026-07-01/gw/${EPOCH_A}-1-1`,
      `2026-07-01/gw/${EPOCH_A}-1-2`,
      `2026-07-01/gw2/${EPOCH_A}-1-3`,
      `2026-07-01/gw/${EPOCH_A}-status-${NOON}`,
    ],
  );
  t.same(archived.get(`2026-07-01/gw/${EPOCH_A}-1-1`), {
    key: `2026-07-01/gw/${EPOCH_A}-1-1`,
    bytes: Buffer.from(batch(1)),
    receivedMs: NOON + 7,
  });
  const before = await books();
  await take(kinesis(...event.Records.map(({ body }) => body)));
  t.match(await books(), before, 'again changes nothing, whichever way it comes');
  await take(sqs(output('gw', batch(1), { timestamp: NOON + 86_400_000 })));
  t.equal(archived.size, 4, 'and has its key, whenever it is delivered');
  t.match(metrics[0], { records: 4, failed: 0, batches: 3, statuses: 1, windowsPut: 3, windowsKnown: 0, archived: 4 });
  t.match(metrics[1], { batches: 3, windowsPut: 0, windowsKnown: 3 });
  t.same(letters, []);
});

test('what cannot be used is no failure: quarantine, dead letters, alerts', async (t) => {
  const { take, letters, alerts, books, receipts, archived, metrics } = setup(t);
  const broken = Uint8Array.from(batch(8));
  broken[broken.length - 1]! ^= 0xff;
  const event = sqs(
    'no JSON',
    output('gw', Buffer.from('hello')),
    output('gw', broken),
    output('gw', batch(1), { clientId: 'gw2' }),
    output('gw', batch(2), { clientId: 'N/A', principal: 'AROA:someone' }),
    output('gw', batch(3), { clientId: 'N/A' }),
    output('gw', batch(4), { topic: 'something/else' }),
    output('gw', batch(5), { timestamp: 'soon' }),
  );
  t.same(await take(event), { batchItemFailures: [] });
  const expected = [
    'unreadable-record',
    'not-a-batch',
    'checksum',
    'forged',
    'forged',
    'unknown-topic',
    'unreadable-record',
  ];
  t.same(
    letters.map(({ reason }) => reason),
    expected,
  );
  t.equal(letters[0]!.text, 'no JSON');
  t.match(letters[3]!.detail, /client "gw2" spoke as gateway "gw".*cccc/);
  t.same(
    alerts.map(({ kind, severity, gateway, count }) => [kind, severity, gateway, count]),
    [
      ['unreadable-record', 'warning', undefined, 2],
      ['message-rejected', 'warning', 'gw', 1],
      ['message-rejected', 'warning', 'gw', 1],
      ['forged-message', 'critical', undefined, 2],
      ['message-rejected', 'warning', undefined, 1],
    ],
  );
  t.match(receipts, [
    { receipt: { committed: [{ sequences: [3] }], rejected: [{ sequence: 8, reason: 'checksum' }] } },
  ]);
  t.equal(receipts.length, 1, 'a forged batch gets none');
  t.match(await books(), { windows: 1, quarantined: 7, rejectedOf: { gw: 2 } });
  t.equal(archived.size, 1);
  t.match(metrics[0], { records: 8, failed: 0, rejected: 7, forged: 2, unreadable: 2, batches: 1 });
});

test('a record that failed for a passing reason comes again, alone; of a stream all from there on', async (t) => {
  let failing = true;
  const { take, receipts, books } = setup(t, () => ({
    archive: {
      put: async ({ key }) => {
        if (failing && /-[13]$/.test(key)) throw new Error('the bucket does not answer');
      },
    },
  }));
  const bodies = [output('gw', batch(2)), output('gw', batch(1)), output('gw', batch(3))];
  t.same(await take(sqs(...bodies)), { batchItemFailures: [{ itemIdentifier: 'm1' }, { itemIdentifier: 'm2' }] });
  t.match(receipts, [{ receipt: { committed: [{ sequences: [2] }] } }]);
  t.match(await books(), { windows: 1 }, 'not before it is archived');
  t.same(await take(kinesis(...bodies.toReversed())), { batchItemFailures: [{ itemIdentifier: '49589' }] });
  failing = false;
  t.same(await take(sqs(...bodies)), { batchItemFailures: [] });
  t.match(await books(), { windows: 3 });
});

test('numbers of records are compared as numbers', async (t) => {
  const { take } = setup(t, () => ({
    archive: {
      put: async () => {
        throw new Error('no');
      },
    },
  }));
  // 495810 comes after 49589
  t.same(await take(kinesis(output('gw', batch(1)), output('gw', batch(2)))), {
    batchItemFailures: [{ itemIdentifier: '49589' }],
  });
});

test('a store that fails: nothing is answered for, and nobody waits until the function is cut off', async (t) => {
  const { take, receipts } = setup(t, () => ({
    store: {
      commit: async () => {
        throw new EdgetallyError('database-failed', 'throttled');
      },
    },
  }));
  t.same(await take(sqs(output('gw', batch(1))), 10_050), { batchItemFailures: [{ itemIdentifier: 'm0' }] });
  t.same(receipts, []);
});

test('a dead letter that is not taken comes again', async (t) => {
  const { take } = setup(t, () => ({
    sendDeadLetter: async () => {
      throw new Error('no queue');
    },
  }));
  t.same(await take(sqs('poison', output('gw', batch(1)))), { batchItemFailures: [{ itemIdentifier: 'm0' }] });
});

test('an event of another kind fails whole', async (t) => {
  const { take } = setup(t);
  await t.rejects(take({ Records: [{ eventSource: 'aws:s3' }] }), { code: 'usage' });
});
