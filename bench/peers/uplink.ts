/**
 * The far end of every peer's uplink, in a process of its own: for each a TLS broker in the place of the cloud's, which asks
 * for a client certificate and counts what comes through the socket, handshake and framing included. Answers our batches with
 * receipts, as the cloud would.
 *
 *   node build/bench/peers/uplink.js <directory of certificates>
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { Aedes } from 'aedes';
import { decodeBatch } from '../../shared/batch.js';
import { encodeReceipt } from '../../shared/receipt.js';
import { downTopic, parseUpTopic } from '../../shared/topics.js';
import type { Upstream } from './peer.js';
import { type Heard, type Tally, tallyOf } from './upstream.js';

export type Question =
  | { readonly kind: 'open'; readonly upstream: Upstream }
  | { readonly kind: 'told'; readonly link: number };

interface Link {
  readonly tally: Tally;
  readonly sockets: Socket[];
}

const links: Link[] = [];
const dir = process.argv[2]!;
const pem = (name: string) => readFileSync(join(dir, name));
const TLS = { ca: pem('ca.pem'), cert: pem('server.pem'), key: pem('server-key.pem'), requestCert: true };

async function open(upstream: Upstream): Promise<{ link: number; port: number }> {
  const link: Link = { tally: tallyOf(upstream), sockets: [] };
  const broker = await Aedes.createBroker({ maxClientsIdLength: 128 });
  broker.on('publish', (packet, client) => {
    if (client === null) return;
    const gateway = parseUpTopic(packet.topic);
    if (upstream === 'batch' && gateway?.kind !== 'batch') return;
    link.tally.take(packet.topic, packet.payload as Buffer);
    if (gateway !== undefined) receipt(broker, gateway.gateway, packet.payload as Buffer);
  });
  const server = createServer({ ...TLS, rejectUnauthorized: true }, (socket) => broker.handle(socket));
  server.on('connection', (socket) => link.sockets.push(socket)); // below TLS
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { link: links.push(link) - 1, port: (server.address() as AddressInfo).port };
}

function receipt(broker: Aedes, gateway: string, payload: Buffer): void {
  const decoded = decodeBatch(payload);
  if (!decoded.ok) return;
  const { epoch, session, sequence } = decoded.batch;
  const committed = [{ session, sequences: [sequence] }];
  const answer = Buffer.from(encodeReceipt({ epoch, committed, rejected: [], timeMs: Date.now() }));
  const packet = { cmd: 'publish', qos: 0, dup: false, retain: false } as const;
  broker.publish({ ...packet, topic: downTopic(gateway, 'receipt'), payload: answer }, () => undefined);
}

function heard(index: number): Heard {
  const { tally, sockets } = links[index]!;
  const bytes = sockets.reduce((sum, socket) => sum + socket.bytesRead, 0);
  return { ...tally.told(), bytes };
}

process.on('message', (question: Question | 'usage') => {
  if (question === 'usage') return; // for the probe
  if (question.kind === 'told') process.send!(heard(question.link));
  else void open(question.upstream).then((opened) => process.send!(opened));
});
process.once('SIGTERM', () => process.exit(0));
process.channel?.ref(); // which the probe does not
console.log('uplink ready');
