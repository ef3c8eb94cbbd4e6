/**
 * Simulated gateways, in a process of their own: each a connection to a broker with batches of its own sensors, and the receipts
 * for them. A minute's batch is encoded once and sent by all of them: the cloud tells them apart by topic, as it does real
 * ones. Told what to do over IPC; answers with how long receipts took, and its own CPU time.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { generate, type Packet, parser } from 'mqtt-packet';
import { encodeBatch } from '../shared/batch.js';
import { decodeReceipt } from '../shared/receipt.js';
import { downTopic, upTopic } from '../shared/topics.js';
import { CALM, typicalBatch, typicalWindows } from '../shared/typical.js';
import { minuteAt } from './fleet-minute.js';

export interface Open {
  readonly kind: 'open';
  readonly port: number;
  readonly gateways: number;
  /** Of each gateway. */
  readonly devices: number;
}

/** Minutes one after the other, as fast as receipts come. */
export interface Flood {
  readonly kind: 'flood';
  readonly fromMs: number;
  readonly minutes: number;
  readonly inFlight: number;
}

/** Each gateway a minute's batch a minute, as the clock goes on, all of them spread over it. */
export interface Steady {
  readonly kind: 'steady';
  readonly seconds: number;
}

export interface FleetDone {
  readonly windows: number;
  readonly bytes: number;
  readonly seconds: number;
  /** From PUBLISH to receipt. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Age of the oldest batch without a receipt, each second. */
  readonly lagMs: readonly number[];
  readonly cpuShare: number;
}

const MINUTE_MS = 60_000;
const TICK_MS = 10;
/** Of a sensor in a minute: four a second. */
const READINGS = 240;
const OPEN_AT_ONCE = 50;
const QUIET_MS = 60_000;

class SimulatedGateway {
  readonly #name: string;
  readonly #socket: Socket;
  readonly #sentAt = new Map<number, number>();
  #packetId = 0;
  onReceipt: (tookMs: number) => void = () => undefined;

  private constructor(name: string, socket: Socket) {
    this.#name = name;
    this.#socket = socket;
  }

  static async open(name: string, port: number): Promise<SimulatedGateway> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const gateway = new SimulatedGateway(name, socket);
    const subscribe = {
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: downTopic(name, 'receipt'), qos: 0 }],
    };
    await new Promise<void>((resolve, reject) => {
      const packets = parser();
      packets.on('packet', (packet) => {
        if (packet.cmd === 'connack') socket.write(generate(subscribe as Packet));
        else if (packet.cmd === 'suback') resolve();
        else if (packet.cmd === 'publish') gateway.#receipt(packet.payload as Buffer);
      });
      socket.on('data', (bytes) => packets.parse(bytes));
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('turned away')));
      socket.write(generate({ cmd: 'connect', clientId: name, clean: true, keepalive: 0 }));
    });
    return gateway;
  }

  get unreceipted(): number {
    return this.#sentAt.size;
  }

  get oldestMs(): number | undefined {
    return this.#sentAt.values().next().value;
  }

  send(sequence: number, payload: Buffer): void {
    this.#packetId = (this.#packetId % 65_535) + 1;
    this.#sentAt.set(sequence, performance.now());
    const topic = upTopic(this.#name, 'batch');
    this.#socket.write(
      generate({ cmd: 'publish', topic, payload, qos: 1, dup: false, retain: false, messageId: this.#packetId }),
    );
  }

  #receipt(payload: Buffer): void {
    const decoded = decodeReceipt(payload);
    if (!decoded.ok || decoded.value.rejected.length > 0) throw new Error(`no receipt: ${payload}`);
    for (const sequence of decoded.value.committed.flatMap(({ sequences }) => sequences)) {
      const sentMs = this.#sentAt.get(sequence);
      if (sentMs === undefined) continue;
      this.#sentAt.delete(sequence);
      this.onReceipt(performance.now() - sentMs);
    }
  }
}

const fleet: SimulatedGateway[] = [];
let template: ReturnType<typeof typicalWindows> = [];
let sequence = 0;

async function open({ port, gateways, devices }: Open): Promise<void> {
  template = typicalWindows({ sensors: CALM, devices, readings: READINGS });
  for (let at = 0; at < gateways; at += OPEN_AT_ONCE) {
    const names = Array.from({ length: Math.min(OPEN_AT_ONCE, gateways - at) }, (_, i) => `gw-${at + i}`);
    fleet.push(...(await Promise.all(names.map((name) => SimulatedGateway.open(name, port)))));
  }
}

interface Minute {
  readonly sequence: number;
  readonly payload: Buffer;
}

function encode(startMs: number): Minute {
  sequence++;
  const windows = template.map((window) => minuteAt(window, startMs));
  const sentMs = startMs + MINUTE_MS;
  return { sequence, payload: Buffer.from(encodeBatch({ ...typicalBatch(windows), sequence, sentMs })) };
}

async function measured(work: (tookMs: number[], sent: (minute: Minute) => void) => Promise<void>): Promise<FleetDone> {
  const tookMs: number[] = [];
  const lagMs: number[] = [];
  let batches = 0;
  let bytes = 0;
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const watching = setInterval(() => lagMs.push(Math.round(lag())), 1000);
  await work(tookMs, ({ payload }) => {
    batches++;
    bytes += payload.length;
  });
  await quiet();
  clearInterval(watching);
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  tookMs.sort((a, b) => a - b);
  const at = (share: number) => tookMs[Math.floor(tookMs.length * share)] ?? Number.NaN;
  const windows = batches * template.length;
  return { windows, bytes, seconds, p50Ms: at(0.5), p99Ms: at(0.99), lagMs, cpuShare: (user + system) / 1e6 / seconds };
}

function lag(): number {
  const nowMs = performance.now();
  return Math.max(0, ...fleet.map(({ oldestMs }) => nowMs - (oldestMs ?? nowMs)));
}

async function quiet(): Promise<void> {
  const endMs = performance.now() + QUIET_MS;
  while (fleet.some(({ unreceipted }) => unreceipted > 0)) {
    if (performance.now() > endMs) throw new Error('batches without a receipt');
    await sleep(TICK_MS);
  }
}

async function flood({ fromMs, minutes: count, inFlight }: Flood): Promise<FleetDone> {
  const minutes = Array.from({ length: count }, (_, i) => encode(fromMs + i * MINUTE_MS));
  return measured(async (tookMs, sent) => {
    for (const gateway of fleet) {
      let next = 0;
      const send = () => {
        const minute = minutes[next++];
        if (minute === undefined) return;
        gateway.send(minute.sequence, minute.payload);
        sent(minute);
      };
      gateway.onReceipt = (ms) => {
        tookMs.push(ms);
        send();
      };
      for (let i = 0; i < inFlight; i++) send();
    }
  });
}

async function steady({ seconds }: Steady): Promise<FleetDone> {
  let minute = encode(Date.now() - (Date.now() % MINUTE_MS) - MINUTE_MS);
  let encodedAt = Math.floor(Date.now() / MINUTE_MS);
  return measured(async (tookMs, sent) => {
    for (const gateway of fleet) gateway.onReceipt = (ms) => tookMs.push(ms);
    const startMs = performance.now();
    for (let turn = 0; ; ) {
      const elapsedMs = performance.now() - startMs;
      if (elapsedMs >= seconds * 1000) return;
      const due = Math.floor((elapsedMs * fleet.length) / MINUTE_MS);
      const current = Math.floor(Date.now() / MINUTE_MS);
      if (current > encodedAt && turn % fleet.length === 0) {
        encodedAt = current;
        minute = encode((current - 1) * MINUTE_MS);
      }
      for (; turn < due; turn++) {
        fleet[turn % fleet.length]!.send(minute.sequence, minute.payload);
        sent(minute);
      }
      await sleep(TICK_MS);
    }
  });
}

process.on('message', (message: Open | Flood | Steady) => {
  const work = message.kind === 'open' ? open(message) : message.kind === 'flood' ? flood(message) : steady(message);
  work.then(
    (result) => process.send!(result ?? {}),
    (error: Error) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.channel?.ref(); // which the probe does not
console.log('fleet ready');
