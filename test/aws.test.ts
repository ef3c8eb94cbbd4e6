/**
 * One fleet, two clouds. Real agents send to a stand-in for IoT Core, whose rules put everything into a queue that repeats and
 * reorders; the functions take it into DynamoDB, while their calls to AWS fail, and they are killed. What the broker had goes
 * through the long-running consumer into SQLite as well, in another order and doubled. Every answer is byte-identical, and so are
 * those of a store that is rebuilt from the archive.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pino } from 'pino';
import t from 'tap';
import { makeCertificates } from '../certs.example/make-certs.js';
import { type RuleMessage, readRuleOutput } from '../cloud/aws/rule.js';
import { openSqliteReader } from '../cloud/store/sqlite/store.js';
import { startIotCore } from '../demo/iot-core.js';
import { Queue } from '../demo/queue.js';
import { ruleOutput } from '../demo/rule.js';
import { upTopic } from '../shared/topics.js';
import { answersOf } from './aws/answers.js';
import { throughConsumer } from './aws/consumer.js';
import { measureCosts } from './aws/cost.js';
import { runFleet, START_MS } from './aws/fleet.js';
import { BUCKET, FunctionsCloud } from './aws/functions-cloud.js';
import { Mapping } from './aws/mapping.js';
import { Dice, setting } from './dice.js';
import { CLOUD } from './rig.js';

const run = promisify(execFile);
const SEED = setting('FLEET_SEED', 11);
const GATEWAYS = ['gw-1', 'gw-2', 'gw-3'];
/** Sends what cannot be used. */
const ROGUE = 'gw-9';
const RULE = 'edgetally_batch';
/** Both clouds are told, and asked, at one moment. */
const NOW_MS = Math.max(Date.now(), START_MS + 3_600_000);
const now = () => NOW_MS;
const log = pino({ level: process.env.LOG ?? 'silent' });
const dice = new Dice(SEED, 0);

const dir = mkdtempSync(join(tmpdir(), 'edgetally-aws-'));
t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
const certs = await makeCertificates(join(dir, 'certs'), { gateways: [...GATEWAYS, ROGUE, 'cloud'] });
const pem = { ca: readFileSync(certs.ca), cert: readFileSync(certs.server.cert), key: readFileSync(certs.server.key) };

const random = () => dice.below(1e6) / 1e6;
const queue = new Queue({ random, visibilityMs: 400, maxReceives: 1_000, duplicateShare: 0.1 });
const messages: RuleMessage[] = [];
const take = (output: string) => {
  queue.send(output);
  const read = readRuleOutput(output);
  if (read.ok) messages.push(read.message);
};
const rules = [
  { name: RULE, kind: 'batch', take },
  { name: 'edgetally_status', kind: 'status', take },
] as const;
const core = await startIotCore({ ...pem, port: 0, rules, now });
t.teardown(() => core.stop());
const cloud = await FunctionsCloud.start(t, {
  dice,
  log,
  now,
  publish: (topic, payload) => core.publish(topic, payload),
});

/** Of a gateway whose card is failing, and of somebody who found a policy that is too wide. */
function poison(): void {
  const from = { clientId: ROGUE, principal: 'e'.repeat(64), timestampMs: now(), topic: upTopic(ROGUE, 'batch') };
  for (let i = 0; i < 5; i++) take(ruleOutput({ ...from, payload: Buffer.from(`not a batch ${i}`) }));
  const stolen = messages.find(({ topic }) => topic === upTopic('gw-1', 'batch'))!;
  queue.send(ruleOutput({ ...stolen, clientId: ROGUE }));
  queue.send('not what a rule puts out');
}

t.test('the fleet through the functions, which fail and die', { timeout: 240_000 }, async (t) => {
  const invokes = [
    cloud.ingest(t),
    cloud.ingest(t),
    await cloud.ingestProcess(join(dir, 'ingest')),
    await cloud.ingestProcess(join(dir, 'ingest')),
  ];
  const mapping = new Mapping({ queue, invokes, most: 6, dice });
  mapping.start();
  let isRunning = true;
  const schedule = (async () => {
    for (; isRunning; await sleep(1_000)) await Promise.all([cloud.sweep(), cloud.rollUp()]);
  })();
  await runFleet({ dir, certs, port: core.port, rule: RULE, gateways: GATEWAYS, devices: 5, minutes: 40, dice });
  poison();
  cloud.calm();
  await mapping.drain();
  isRunning = false;
  await schedule;
  await cloud.sweep();
  await cloud.rollUp();
  const kills = cloud.processes.reduce((sum, one) => sum + one.kills, 0);
  t.comment(`${messages.length} messages, ${queue.counters.delivered} deliveries, ${queue.counters.redelivered} again`);
  t.comment(`${JSON.stringify(mapping.counters)}, killed ${kills}; ${JSON.stringify(core.counters)}`);
  t.ok(kills > 0 && mapping.counters.failed > 0 && mapping.counters.reported > 0, 'there were faults');
  t.ok(queue.counters.redelivered > 0, 'and repetitions');
  t.same(queue.dead, []);
  const reasons = cloud.endpoints.letters.map(({ MessageAttributes }) => MessageAttributes.reason?.StringValue);
  t.same([...new Set(reasons)].sort(), ['forged', 'not-a-batch', 'unreadable-record']);
  t.same([...new Set(cloud.endpoints.events.map(({ DetailType }) => DetailType))].sort(), [
    'forged-message',
    'message-rejected',
    'unreadable-record',
  ]);
});

t.test('byte for byte what the long-running consumer made of it, and what the archive gives back', async (t) => {
  const truth = await answersOf(cloud.store, GATEWAYS, now());
  t.equal(truth.size, 32);
  for (const [what, text] of truth) t.ok(text.length > 100, what);
  const database = await throughConsumer(t, { dir, certs, messages, dice, log, now });
  const consumer = openSqliteReader(database);
  t.teardown(() => consumer.close());
  const said = await answersOf(consumer, GATEWAYS, now());
  for (const [what, text] of truth) t.equal(said.get(what), text, what);

  const path = join(dir, 'rebuilt.db');
  const { stdout } = await run(process.execPath, [CLOUD, 'replay', `s3://${BUCKET}`, '--database', path]);
  t.comment(stdout.trim());
  const rebuilt = openSqliteReader(path);
  t.teardown(() => rebuilt.close());
  const again = await answersOf(rebuilt, GATEWAYS, now());
  for (const [what, text] of truth) t.equal(again.get(what), text, `rebuilt: ${what}`);
  t.ok(
    [...cloud.endpoints.writes.values()].some((count) => count > 1),
    'repetitions overwrote themselves',
  );
});

t.test('what it costs at 50 metrics a gateway: under 1.2 write units and 0.02 messages a device-window', async (t) => {
  const { windows, batches, receipts, writes, reads, messages, owed } = await measureCosts(t, 120);
  const each = (units: number) => (units / windows).toFixed(4);
  const units = Object.values(writes).reduce((sum, one) => sum + one, 0);
  const kinds = Object.entries(writes).filter(([, one]) => one > 0);
  t.comment(`${windows} device-windows in ${batches} batches, ${receipts} receipts`);
  t.comment(`write units ${each(units)}: ${kinds.map(([kind, one]) => `${kind} ${each(one)}`).join(', ')}`);
  t.comment(`read units ${each(reads)}; IoT messages ${each(messages)} (${messages}: a receipt is two)`);
  t.ok(units / windows < 1.2, 'write units');
  t.ok(messages / windows < 0.02, 'messages');
  t.ok(owed <= 10 * 17, 'what has no receipt yet is what waits for the next one');
  t.ok(batches < windows / 10 + 5, 'and nothing was sent again, but for the first');
});
