/**
 * The far end of the agent's uplink, as small as can be: a TLS broker in the place of IoT Core that answers each batch with
 * its receipt. Counts the bytes of batches.
 *
 *   node build/bench/sink.js <directory of certificates> [delay of receipts, ms]
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { Aedes } from 'aedes';
import { decodeBatch } from '../shared/batch.js';
import { encodeReceipt } from '../shared/receipt.js';
import { downTopic } from '../shared/topics.js';
import { counter } from './probe.js';

const dir = process.argv[2]!;
const pem = (name: string) => readFileSync(join(dir, name));
const broker = await Aedes.createBroker({ maxClientsIdLength: 128 });
broker.on('publish', (packet) => {
  const [, , gateway, direction, kind] = packet.topic.split('/');
  if (direction !== 'up' || kind !== 'batch') return;
  const payload = packet.payload as Buffer;
  counter.value += payload.length;
  const decoded = decodeBatch(payload);
  if (!decoded.ok) throw new Error(`${decoded.reason}: ${decoded.detail}`);
  const { epoch, session, sequence } = decoded.batch;
  const receipt = encodeReceipt({
    epoch,
    committed: [{ session, sequences: [sequence] }],
    rejected: [],
    timeMs: Date.now(),
  });
  const answer = { cmd: 'publish', qos: 0, dup: false, retain: false } as const;
  broker.publish({ ...answer, topic: downTopic(gateway!, 'receipt'), payload: Buffer.from(receipt) }, () => undefined);
});
const server = createServer(
  { ca: pem('ca.pem'), cert: pem('server.pem'), key: pem('server-key.pem'), requestCert: true },
  (socket) => broker.handle(socket),
);
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })));
process.once('SIGTERM', () => process.exit(0));
