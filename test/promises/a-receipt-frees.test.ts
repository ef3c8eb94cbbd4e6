/**
 * Promise 4. The gateway forgets a window on the cloud's receipt for that very revision, and on nothing else: not when the
 * broker takes the batch, not when it is restarted, not for a receipt that names something else.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import t from 'tap';
import { encodeReceipt } from '../../shared/receipt.js';
import { downTopic } from '../../shared/topics.js';
import { until } from '../cloud-rig.js';
import { Rig } from '../rig.js';

const routes = [
  { topic: 'site/{device}', window: '1m', lateness: '1s', time: { from: 'ts', unit: 'ms' }, metrics: ['x'] },
];
const START_MS = Date.UTC(2025, 0, 1);
const WINDOWS = 50;

t.test('a broker that takes everything, and a cloud that is not there', { timeout: 120_000 }, async (t) => {
  const rig = await Rig.make(t, { routes });
  await rig.broker.start();
  await rig.agent.start();
  const sensor = await rig.sensor();
  const send = (i: number, x: number) =>
    sensor.publishAsync('site/a', JSON.stringify({ ts: START_MS + i * 60_000 + x, x }), { qos: 1 });
  await Promise.all(Array.from({ length: WINDOWS }, (_, i) => send(i, 1)));

  const owed = async () => (await rig.status())?.backlog.windows;
  const sent = async () => (await rig.status())?.push?.counters.sent ?? 0;
  await until(async () => (await owed()) === WINDOWS && (await sent()) >= 3); // sent, acknowledged, sent again
  t.equal(await owed(), WINDOWS, 'a PUBACK of the broker frees nothing');

  await rig.agent.end('SIGKILL');
  await rig.agent.start();
  await until(async () => (await sent()) >= 2);
  t.equal(await owed(), WINDOWS, 'nor does a restart');

  const before = (await rig.status())!;
  const received = before.push!.counters.receipts!;
  await forge(rig, before.epoch);
  await until(async () => (await rig.status())!.push!.counters.receipts! >= received + 2);
  t.equal(await owed(), WINDOWS, 'nor a receipt for another epoch, session or sequence');

  await Promise.all(Array.from({ length: WINDOWS / 2 }, (_, i) => send(i, 2)));
  await rig.cloud.start();
  const { books } = await rig.settled();
  t.equal(books.counted, WINDOWS * 1.5);
  const report = await rig.report('--group-by', 'all', '--format', 'csv');
  t.match(report, new RegExp(`^x,${WINDOWS * 1.5},${WINDOWS * 2},`, 'm'), 'a receipt does, once the cloud has it all');
  await sensor.endAsync();
});

/** Receipts from somebody whom the policy lets speak for the cloud, that are none of this gateway's batches. */
async function forge(rig: Rig, epoch: string): Promise<void> {
  const file = (name: string) => readFileSync(join(rig.dir, name));
  const client = await mqtt.connectAsync(`mqtts://localhost:${rig.brokerPort}`, {
    clientId: 'cloud-forger',
    protocolVersion: 4,
    ca: file('ca.pem'),
    cert: file('gateway-cloud.pem'),
    key: file('gateway-cloud-key.pem'),
  });
  const sequences = Array.from({ length: 100 }, (_, i) => i + 1);
  const receipt = (of: string, session: number, which: number[]) =>
    client.publishAsync(
      downTopic('gw', 'receipt'),
      Buffer.from(
        encodeReceipt({ epoch: of, committed: [{ session, sequences: which }], rejected: [], timeMs: Date.now() }),
      ),
      { qos: 1 },
    );
  await receipt('0'.repeat(32), 2, sequences);
  for (const session of [1, 3, 2 ** 40]) await receipt(epoch, session, sequences);
  await receipt(
    epoch,
    2,
    sequences.map((sequence) => sequence + 100_000),
  );
  await client.endAsync();
}
