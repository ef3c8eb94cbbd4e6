/**
 * The sensors of all peers, in a process of their own. As a sensor should: QoS 1, a session of its own that outlives the
 * connection, and what has no PUBACK is sent again (DUP) when the broker is back; no reading is given up.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { generate } from 'mqtt-packet';
import { deviceName, type Message, readingsOf } from './dialects.js';
import type { Dialect } from './peer.js';

export interface OpenSensors {
  readonly kind: 'open';
  readonly port: number;
  readonly dialect: Dialect;
  readonly sensors: number;
}

export interface SensorRound {
  readonly kind: 'round';
  /** In the order of `open`; all at the same time. */
  readonly groups: readonly number[];
  readonly seconds: number;
  /** Readings a second of one group. */
  readonly perSecond: number;
}

/** Readings of each device since the start, a group each. */
export type Made = readonly Readonly<Record<string, number>>[];

const TICK_MS = 5;
const IN_FLIGHT = 20;
const AGAIN_MS = 250;
const QUIET_MS = 40_000;
const CONNACK = 2;
const PUBACK = 4;

class Sensor {
  readonly name: string;
  readonly #port: number;
  readonly #next: (nowMs: number) => Message[];
  /** By packet id, in the order in which they were sent. */
  readonly #unacknowledged = new Map<number, Buffer>();
  readonly #waiting: Message[] = [];
  #socket: Socket | undefined;
  #rest = Buffer.alloc(0);
  #packetId = 0;
  made = 0;

  constructor(index: number, { port, dialect }: OpenSensors) {
    this.name = deviceName(index);
    this.#port = port;
    this.#next = readingsOf(index, dialect, Date.now());
  }

  get isDone(): boolean {
    return this.#waiting.length === 0 && this.#unacknowledged.size === 0;
  }

  connect(): void {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    socket.once('connect', () => {
      const connection = {
        cmd: 'connect',
        clientId: this.name,
        clean: false,
        keepalive: 0,
        protocolVersion: 4,
      } as const;
      socket.write(generate({ ...connection, protocolId: 'MQTT' }));
    });
    socket.on('data', (chunk) => this.#read(socket, chunk));
    socket.on('error', () => undefined); // close follows
    socket.once('close', () => {
      this.#socket = undefined;
      this.#rest = Buffer.alloc(0);
      setTimeout(() => this.connect(), AGAIN_MS);
    });
  }

  read(): void {
    this.#waiting.push(...this.#next(Date.now()));
    this.made++;
    this.#fill();
  }

  /** Only packets of four bytes come: CONNACK and PUBACKs. */
  #read(socket: Socket, chunk: Buffer): void {
    const bytes = Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (; at + 4 <= bytes.length; at += 4) {
      const kind = bytes[at]! >> 4;
      if (kind === CONNACK) this.#connected(socket);
      else if (kind === PUBACK) this.#unacknowledged.delete(bytes.readUInt16BE(at + 2));
      else throw new Error(`packet ${kind} was not expected`);
    }
    this.#rest = bytes.subarray(at);
    this.#fill();
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    for (const packet of this.#unacknowledged.values()) {
      packet[0]! |= 0x08; // DUP, MQTT 3.1.1 §3.3.1.1
      socket.write(packet);
    }
  }

  #fill(): void {
    while (this.#socket !== undefined && this.#unacknowledged.size < IN_FLIGHT) {
      const message = this.#waiting.shift();
      if (message === undefined) return;
      this.#packetId = this.#packetId === 65_535 ? 1 : this.#packetId + 1;
      const packet = generate({
        cmd: 'publish',
        qos: 1,
        dup: false,
        retain: false,
        messageId: this.#packetId,
        ...message,
      });
      this.#unacknowledged.set(this.#packetId, packet);
      this.#socket.write(packet);
    }
  }
}

const groups: Sensor[][] = [];

function open(what: OpenSensors): void {
  const sensors = Array.from({ length: what.sensors }, (_, index) => new Sensor(index, what));
  for (const sensor of sensors) sensor.connect();
  groups.push(sensors);
}

async function round({ groups: chosen, seconds, perSecond }: SensorRound): Promise<Made> {
  const sensors = chosen.map((group) => groups[group]!);
  const startMs = performance.now();
  let made = 0;
  for (let elapsedMs = 0; elapsedMs < seconds * 1000; elapsedMs = performance.now() - startMs) {
    const due = Math.floor((elapsedMs * perSecond) / 1000);
    for (; made < due; made++) for (const group of sensors) group[made % group.length]!.read();
    await sleep(TICK_MS);
  }
  const endMs = performance.now() + QUIET_MS;
  while (sensors.some((group) => group.some((sensor) => !sensor.isDone))) {
    if (performance.now() > endMs) throw new Error('a broker does not acknowledge');
    await sleep(10);
  }
  return groups.map((group) => Object.fromEntries(group.map((sensor) => [sensor.name, sensor.made])));
}

process.on('message', (message: OpenSensors | SensorRound | 'usage') => {
  if (message === 'usage') return; // for the probe
  if (message.kind === 'open') {
    open(message);
    process.send!({});
    return;
  }
  round(message).then(
    (made) => process.send!(made),
    (error: Error) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.channel?.ref(); // which the probe does not
console.log('sensors ready');
