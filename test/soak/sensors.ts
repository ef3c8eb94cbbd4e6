/**
 * One connection of a sensor, byte by byte: QoS 1, and everything without a PUBACK is sent again with DUP on the next
 * connection, however often that takes. Counts what left and what was acknowledged, by fate.
 */
import { connect, type Socket } from 'node:net';
import { FrameSplitter, PACKET, readPacketId } from '../../demo/frames.js';
import { CONNACK, connectPacket, PINGREQ, publish } from '../mqtt-bytes.js';
import type { Fate, SoakReading } from './readings.js';

const MAX_IN_FLIGHT = 400;
const DUP = 8;
const PATIENCE_MS = 8_000;
const RETRY_MS = 300;
const PING_MS = 10_000;

export class Sensor {
  readonly transmitted: Partial<Record<Fate, number>> = {};
  redelivered = 0;
  connections = 0;
  readonly #port: number;
  readonly #clientId: string;
  readonly #acknowledged: (reading: SoakReading) => void;
  readonly #inFlight = new Map<number, { reading: SoakReading; sentMs: number }>();
  #nextId = 1;
  #socket: Socket | undefined;
  #isUp = false;
  #ended = false;
  #timer: NodeJS.Timeout;

  constructor(port: number, clientId: string, acknowledged: (reading: SoakReading) => void) {
    this.#port = port;
    this.#clientId = clientId;
    this.#acknowledged = acknowledged;
    this.#timer = setInterval(() => this.#watch(), 1_000);
    this.#connect();
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get isFull(): boolean {
    return !this.#isUp || this.#inFlight.size >= MAX_IN_FLIGHT;
  }

  offer(reading: SoakReading): void {
    while (this.#inFlight.has(this.#nextId)) this.#nextId = (this.#nextId % 0xffff) + 1;
    const id = this.#nextId;
    this.#nextId = (id % 0xffff) + 1;
    this.#inFlight.set(id, { reading, sentMs: Date.now() });
    this.#send(id, reading, 0);
  }

  /** Breaks the connection, as a sensor does that loses its network. */
  drop(): void {
    this.#socket?.destroy();
  }

  end(): void {
    this.#ended = true;
    clearInterval(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    const frames = new FrameSplitter(1 << 20);
    const socket = connect(this.#port, '127.0.0.1');
    this.#socket = socket;
    socket.on('error', () => undefined); // 'close' follows
    socket.on('connect', () => socket.write(connectPacket({ clientId: this.#clientId, keepalive: 60 })));
    socket.on('data', (chunk) => {
      for (const frame of frames.push(chunk)) {
        if (frame.type === CONNACK) this.#welcome(frame.body[1]);
        if (frame.type === PACKET.puback) this.#taken(readPacketId(frame));
      }
    });
    socket.on('close', () => {
      this.#isUp = false;
      if (!this.#ended) setTimeout(() => this.#connect(), RETRY_MS * (0.5 + Math.random()));
    });
  }

  #welcome(code: number | undefined): void {
    if (code !== 0) return void this.#socket?.destroy();
    this.#isUp = true;
    this.connections++;
    for (const [id, item] of this.#inFlight) {
      item.sentMs = Date.now();
      this.redelivered++;
      this.#send(id, item.reading, DUP);
    }
  }

  #send(id: number, { topic, payload, fate }: SoakReading, flags: number): void {
    this.transmitted[fate] = (this.transmitted[fate] ?? 0) + 1;
    this.#socket?.write(publish(topic, payload, 1, id, flags));
  }

  #taken(id: number): void {
    const item = this.#inFlight.get(id);
    if (item === undefined) return;
    this.#inFlight.delete(id);
    this.#acknowledged(item.reading);
  }

  /** A connection that gives no answer is no connection. */
  #watch(): void {
    const [oldest] = this.#inFlight.values();
    if (oldest !== undefined && Date.now() - oldest.sentMs > PATIENCE_MS) this.#socket?.destroy();
    else if (this.#isUp && Date.now() % PING_MS < 1_000) this.#socket?.write(PINGREQ);
  }
}
