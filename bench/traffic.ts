/**
 * The messages of the benchmark: QoS 0 or 1 PUBLISH packets of 180 bytes of JSON with five metrics, made from templates
 * by patching digits, so that a generator of one core is faster than any broker of one core. Every message is a reading
 * of its own: its time is later than the one before.
 */

export const PAYLOAD_BYTES = 180;
export const METRICS = ['temperature', 'humidity', 'pressure', 'co2', 'battery'] as const;
/** How a route reads them. */
export const ROUTE = { name: 'bench', topic: 'plant/{group}/{device}/telemetry', time: 'ts' } as const;

const VARIANTS = 64;
const TIME_AT = '{"ts":'.length;
const TIME_DIGITS = 13;

/** Payloads as rooms have them: values that move a little from one to the next. */
function payloads(): readonly Buffer[] {
  return Array.from({ length: VARIANTS }, (_, i) => {
    const swing = Math.sin((i * 2 * Math.PI) / VARIANTS);
    const record = {
      ts: 1_000_000_000_000,
      temperature: Number((21.4 + 0.3 * swing).toFixed(1)),
      humidity: Number((45 + 0.9 * swing).toFixed(1)),
      pressure: Number((1013.2 + 0.3 * swing).toFixed(2)),
      co2: Math.round(620 + 12 * swing),
      battery: Number((3.301 + 0.009 * swing).toFixed(3)),
      unit: '',
    };
    const short = Buffer.byteLength(JSON.stringify(record));
    return Buffer.from(JSON.stringify({ ...record, unit: 'x'.repeat(PAYLOAD_BYTES - short) }));
  });
}

const PAYLOADS = payloads();

export function deviceTopic(index: number): string {
  return `plant/zone-${index % 8}/sensor-${String(index).padStart(6, '0')}/telemetry`;
}

/** The stream of one device's messages. */
export class DeviceTraffic {
  readonly #head: Buffer;
  readonly #qos: 0 | 1;
  readonly frameBytes: number;
  #timeMs: number;
  #variant: number;
  #packetId = 0;

  constructor(index: number, qos: 0 | 1, startMs: number) {
    this.#qos = qos;
    this.#head = publishHead(deviceTopic(index), qos);
    this.frameBytes = this.#head.length + PAYLOAD_BYTES;
    this.#timeMs = startMs;
    this.#variant = index % VARIANTS;
  }

  /** The next `count` messages as they stand on the wire; `nowMs` keeps their times near the clock. */
  next(count: number, nowMs: number): Buffer {
    const { frameBytes } = this;
    const bytes = Buffer.allocUnsafe(count * frameBytes);
    for (let i = 0; i < count; i++) this.#write(bytes, i * frameBytes, nowMs);
    return bytes;
  }

  #write(bytes: Buffer, at: number, nowMs: number): void {
    const head = this.#head;
    bytes.set(head, at);
    const payloadAt = at + head.length;
    bytes.set(PAYLOADS[this.#variant]!, payloadAt);
    this.#variant = (this.#variant + 1) % VARIANTS;
    this.#timeMs = Math.max(this.#timeMs + 1, nowMs);
    let rest = this.#timeMs;
    for (let digit = TIME_DIGITS - 1; digit >= 0; digit--) {
      const tenth = Math.floor(rest / 10);
      bytes[payloadAt + TIME_AT + digit] = 48 + rest - tenth * 10;
      rest = tenth;
    }
    if (this.#qos === 0) return;
    this.#packetId = this.#packetId === 65_535 ? 1 : this.#packetId + 1;
    bytes[payloadAt - 2] = this.#packetId >> 8;
    bytes[payloadAt - 1] = this.#packetId & 0xff;
  }
}

/** MQTT 3.1.1 §3.3: fixed header, topic, and room for the packet id. */
function publishHead(topic: string, qos: 0 | 1): Buffer {
  const name = Buffer.from(topic);
  const rest = 2 + name.length + (qos === 1 ? 2 : 0) + PAYLOAD_BYTES;
  const length = rest < 128 ? [rest] : [(rest & 0x7f) | 0x80, rest >> 7];
  return Buffer.concat([
    Buffer.from([0x30 | (qos << 1), ...length, name.length >> 8, name.length & 0xff]),
    name,
    Buffer.alloc(qos === 1 ? 2 : 0),
  ]);
}

export function connectPacket(clientId: string): Buffer {
  const id = Buffer.from(clientId);
  const body = Buffer.concat([
    Buffer.from([0, 4]),
    Buffer.from('MQTT'),
    Buffer.from([4, 2, 0, 0, 0, id.length]), // 3.1.1, clean session, no keep-alive
    id,
  ]);
  return Buffer.concat([Buffer.from([0x10, body.length]), body]);
}
