/**
 * The load generator, in a process of its own: many raw sockets, one device each. Told what to do over IPC; answers each
 * round with what was acknowledged, how long that took, and its own CPU time, so that one can see it was not the bottleneck.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectPacket, DeviceTraffic } from './traffic.js';

export interface Connect {
  readonly kind: 'connect';
  readonly port: number;
  readonly connections: number;
  readonly qos: 0 | 1;
  /** Devices take turns on the connections where there are more of them. */
  readonly devices?: number;
}

export interface Round {
  readonly kind: 'round';
  /** Which of the groups of connections, in the order of `connect`. */
  readonly group: number;
  readonly seconds: number;
  /** Messages a second over all connections; undefined: as fast as acknowledgements come. */
  readonly perSecond?: number;
  /** Not acknowledged at a time on one connection, where the rate is not given. */
  readonly inFlight?: number;
}

export interface Done {
  readonly sent: number;
  readonly acknowledged: number;
  readonly seconds: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  /** Share of one core that the generator took. */
  readonly cpuShare: number;
}

const TICK_MS = 5;
const CONNECT_AT_ONCE = 50;
const QUIET_MS = 30_000;
const PINGREQ = Buffer.from([0xc0, 0]);

class Sensor {
  readonly socket: Socket;
  readonly #devices: readonly DeviceTraffic[];
  readonly #qos: 0 | 1;
  readonly #sentAt: number[] = [];
  /** Sizes of the batches of QoS 0 that a PINGREQ stands behind. */
  readonly #pinged: number[] = [];
  #turn = 0;
  #partial = 0;
  sent = 0;
  acknowledged = 0;
  /** How many to keep unacknowledged; 0: none by itself. */
  inFlight = 0;
  ackMs: number[] | undefined;

  constructor(socket: Socket, devices: readonly DeviceTraffic[], qos: 0 | 1) {
    this.socket = socket;
    this.#devices = devices;
    this.#qos = qos;
    socket.on('data', (chunk) => this.#acked(chunk.length));
  }

  get waiting(): number {
    return this.#qos === 0 ? this.#pinged.length : this.sent - this.acknowledged;
  }

  /** Nothing but PUBACKs of four bytes comes; at QoS 0 PINGRESPs of two. */
  #acked(bytes: number): void {
    const size = this.#qos === 0 ? 2 : 4;
    this.#partial += bytes;
    const packets = Math.floor(this.#partial / size);
    this.#partial -= packets * size;
    const count = this.#qos === 1 ? packets : this.#pinged.splice(0, packets).reduce((sum, sent) => sum + sent, 0);
    this.acknowledged += count;
    const { ackMs } = this;
    if (ackMs !== undefined && this.#sentAt.length > 0) {
      const nowMs = performance.now();
      for (const sentMs of this.#sentAt.splice(0, count)) ackMs.push(nowMs - sentMs);
    }
    this.fill();
  }

  fill(): void {
    if (this.inFlight === 0) return;
    if (this.#qos === 1) this.send(this.inFlight - this.waiting);
    else while (this.#pinged.length < 2) this.#sendAndPing(this.inFlight >> 1);
  }

  /** QoS 0 has no acknowledgements; a broker that answers a ping has read what came before it. */
  #sendAndPing(count: number): void {
    this.send(count);
    this.socket.write(PINGREQ);
    this.#pinged.push(count);
  }

  send(count: number): void {
    if (count <= 0) return;
    const device = this.#devices[this.#turn]!;
    this.#turn = (this.#turn + 1) % this.#devices.length;
    this.socket.write(device.next(count, Date.now()));
    if (this.ackMs !== undefined && this.#qos === 1) {
      for (let i = 0; i < count; i++) this.#sentAt.push(performance.now());
    }
    this.sent += count;
  }
}

const groups: Sensor[][] = [];

async function open({ port, connections, qos, devices = connections }: Connect): Promise<void> {
  const sensors: Sensor[] = [];
  const startMs = Date.now();
  for (let at = 0; at < connections; at += CONNECT_AT_ONCE) {
    const some = Array.from({ length: Math.min(CONNECT_AT_ONCE, connections - at) }, async (_, i) => {
      const index = at + i;
      const own: DeviceTraffic[] = [];
      for (let device = index; device < devices; device += connections)
        own.push(new DeviceTraffic(device, qos, startMs));
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.once('close', () => reject(new Error('turned away')));
        socket.once('connect', () => socket.write(connectPacket(`bench-${process.pid}-${groups.length}-${index}`)));
        socket.once('data', () => resolve()); // CONNACK
      });
      return new Sensor(socket, own, qos);
    });
    sensors.push(...(await Promise.all(some)));
  }
  groups.push(sensors);
}

async function round({ group, seconds, perSecond, inFlight = 20 }: Round): Promise<Done> {
  const sensors = groups[group]!;
  const ackMs: number[] = [];
  const total = (of: 'sent' | 'acknowledged') => sensors.reduce((sum, sensor) => sum + sensor[of], 0);
  for (const sensor of sensors) sensor.ackMs = perSecond === undefined ? undefined : ackMs;
  const before = { sent: total('sent'), acknowledged: total('acknowledged') };
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  if (perSecond === undefined) await saturate(sensors, seconds, inFlight);
  else await steadily(sensors, seconds, perSecond);
  const elapsed = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const acknowledged = total('acknowledged') - before.acknowledged;
  const sent = total('sent') - before.sent;
  await quiet(sensors);
  ackMs.sort((a, b) => a - b);
  return {
    sent,
    acknowledged,
    seconds: elapsed,
    ackP50Ms: ackMs[ackMs.length >> 1] ?? Number.NaN,
    ackP99Ms: ackMs[Math.floor(ackMs.length * 0.99)] ?? Number.NaN,
    cpuShare: (user + system) / 1e6 / elapsed,
  };
}

async function saturate(sensors: readonly Sensor[], seconds: number, inFlight: number): Promise<void> {
  for (const sensor of sensors) {
    sensor.inFlight = inFlight;
    sensor.fill();
  }
  await sleep(seconds * 1000);
  for (const sensor of sensors) sensor.inFlight = 0;
}

async function steadily(sensors: readonly Sensor[], seconds: number, perSecond: number): Promise<void> {
  const startMs = performance.now();
  let sent = 0;
  let turn = 0;
  for (;;) {
    const elapsedMs = performance.now() - startMs;
    const due = Math.floor((Math.min(elapsedMs, seconds * 1000) * perSecond) / 1000);
    for (; sent < due; sent++) {
      sensors[turn]!.send(1);
      turn = (turn + 1) % sensors.length;
    }
    if (elapsedMs >= seconds * 1000) return;
    await sleep(TICK_MS);
  }
}

/** Until all that was sent is acknowledged, or at least handed to the kernel. */
async function quiet(sensors: readonly Sensor[]): Promise<void> {
  const endMs = performance.now() + QUIET_MS;
  while (sensors.some((sensor) => sensor.waiting > 0 || sensor.socket.writableLength > 0)) {
    if (performance.now() > endMs) throw new Error('messages were not acknowledged');
    await sleep(10);
  }
}

process.on('message', (message: Connect | Round) => {
  const work = message.kind === 'connect' ? open(message) : round(message);
  work.then(
    (result) => process.send!(result ?? {}),
    (error: Error) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.channel?.ref(); // which the probe does not
console.log('load ready');
