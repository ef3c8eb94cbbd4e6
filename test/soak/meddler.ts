/**
 * Between the uplinks and the broker: ends the TLS of each client, goes on to the broker as that client, and drops,
 * doubles, delays and reorders the publishes that pass: batches on their way up, batches on their way to the cloud, receipts.
 * What is dropped is acknowledged to whoever sent it, as a broker does that loses it afterwards.
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { type Frame, FrameSplitter, PACKET, readPublish } from '../../demo/frames.js';
import type { Dice } from '../dice.js';
import { PUBACK, packet } from '../mqtt-bytes.js';

export interface Mood {
  /** Shares of all publishes. */
  readonly dropped: number;
  readonly doubled: number;
  readonly delayed: number;
  /** Longest delay; what is delayed is overtaken by what comes after it. */
  readonly delayMs: number;
}

export const CALM: Mood = { dropped: 0, doubled: 0, delayed: 0, delayMs: 0 };

export interface Meddler {
  readonly port: number;
  mood: Mood;
  readonly counters: Readonly<Record<'passed' | 'dropped' | 'doubled' | 'delayed', number>>;
  stop(): Promise<void>;
}

interface Certificates {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly gateways: ReadonlyMap<string, { readonly cert: string; readonly key: string }>;
}

const DUP = 8;

export async function startMeddler(made: Certificates, brokerPort: number, dice: Dice): Promise<Meddler> {
  const ca = readFileSync(made.ca);
  const pem = ({ cert, key }: { cert: string; key: string }) => ({
    ca,
    cert: readFileSync(cert),
    key: readFileSync(key),
  });
  const sockets = new Set<TLSSocket>();
  const meddler = { mood: CALM, counters: { passed: 0, dropped: 0, doubled: 0, delayed: 0 } };
  const server = createServer({ ...pem(made.server), requestCert: true, rejectUnauthorized: true }, (near) => {
    const files = made.gateways.get(String(near.getPeerCertificate().subject?.CN));
    if (files === undefined) return void near.destroy();
    const far = connect({ port: brokerPort, host: '127.0.0.1', servername: 'localhost', ...pem(files) });
    relay(near, far, meddler, dice);
    relay(far, near, meddler, dice);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
  });
  server.on('tlsClientError', () => undefined); // a connection that was cut while it was made
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(meddler, {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  });
}

function relay(
  from: TLSSocket,
  to: TLSSocket,
  meddler: { readonly mood: Mood; readonly counters: Record<string, number> },
  dice: Dice,
): void {
  const frames = new FrameSplitter(1 << 20);
  const tell = (what: string) => {
    meddler.counters[what] = (meddler.counters[what] ?? 0) + 1;
  };
  const send = (bytes: Buffer) => {
    if (!to.destroyed) to.write(bytes);
  };
  const pass = (frame: Frame) => {
    if (frame.type !== PACKET.publish) return send(frame.bytes);
    const { mood } = meddler;
    tell('passed');
    if (dice.chance(mood.dropped)) {
      tell('dropped');
      acknowledge(from, frame);
      return;
    }
    if (dice.chance(mood.doubled)) {
      tell('doubled');
      setTimeout(() => send(again(frame)), dice.below(mood.delayMs + 1));
    }
    if (!dice.chance(mood.delayed)) return send(frame.bytes);
    tell('delayed');
    setTimeout(() => send(frame.bytes), dice.below(mood.delayMs + 1));
  };
  from.on('error', () => undefined); // 'close' follows
  from.on('close', () => to.destroySoon());
  from.on('data', (chunk: Buffer) => {
    for (const frame of frames.push(chunk)) pass(frame);
  });
}

function acknowledge(sender: TLSSocket, frame: Frame): void {
  const publish = readPublish(frame);
  if (publish?.qos !== 1) return;
  sender.write(packet(PUBACK, 0, Buffer.from([publish.packetId >> 8, publish.packetId & 255])));
}

/** The same packet, marked as a redelivery where it may be one. */
function again(frame: Frame): Buffer {
  const bytes = Buffer.from(frame.bytes);
  if ((frame.flags & 6) !== 0) bytes[0]! |= DUP;
  return bytes;
}
