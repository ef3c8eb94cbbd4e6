/** A client that speaks MQTT 3.1.1 byte by byte, for tests that need to know exactly what was sent and when. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

export interface ConnectOptions {
  readonly clientId?: string;
  readonly username?: string;
  readonly password?: string;
  readonly clean?: boolean;
  readonly keepalive?: number;
  readonly version?: 4 | 5;
  readonly will?: { readonly topic: string; readonly payload: string; readonly qos: number };
  readonly tls?: ConnectionOptions;
}

export interface Packet {
  /** Upper half of the first byte: 2 CONNACK, 3 PUBLISH, 4 PUBACK, 5 PUBREC, 7 PUBCOMP, 9 SUBACK, 13 PINGRESP. */
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

export const CONNACK = 2;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBCOMP = 7;
export const SUBACK = 9;
export const PINGRESP = 13;

export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function packet(type: number, flags: number, ...body: Buffer[]): Buffer {
  const content = Buffer.concat(body);
  const length: number[] = [];
  let left = content.length;
  do {
    length.push((left % 128) | (left >= 128 ? 0x80 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return Buffer.concat([Buffer.from([(type << 4) | flags, ...length]), content]);
}

export function publish(topic: string, payload: string | Buffer, qos = 1, id = 1, flags = 0): Buffer {
  return packet(PUBLISH, (qos << 1) | flags, text(topic), ...(qos > 0 ? [u16(id)] : []), Buffer.from(payload));
}

export function subscribe(topic: string, qos = 0, id = 1): Buffer {
  return packet(8, 2, u16(id), text(topic), Buffer.from([qos]));
}

export const PINGREQ = packet(12, 0);
export const DISCONNECT = packet(14, 0);
export const pubrel = (id: number) => packet(6, 2, u16(id));

export function connectPacket(options: ConnectOptions = {}): Buffer {
  const { clientId = 'raw', username, password, clean = true, keepalive = 0, version = 4, will } = options;
  const flags =
    (username === undefined ? 0 : 0x80) |
    (password === undefined ? 0 : 0x40) |
    (will === undefined ? 0 : 0x04 | (will.qos << 3)) |
    (clean ? 2 : 0);
  return packet(
    1,
    0,
    text('MQTT'),
    Buffer.from([version, flags]),
    u16(keepalive),
    ...(version === 5 ? [Buffer.from([0])] : []),
    text(clientId),
    ...(will === undefined ? [] : [text(will.topic), text(will.payload)]),
    ...(username === undefined ? [] : [text(username)]),
    ...(password === undefined ? [] : [text(password)]),
  );
}

export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly #packets: Packet[] = [];
  #wake: (() => void) | undefined;
  #buffer = Buffer.alloc(0);
  #over = false;

  constructor(port: number, tls?: ConnectionOptions) {
    this.socket = tls === undefined ? connectTcp(port, '127.0.0.1') : connectTls({ port, host: '127.0.0.1', ...tls });
    this.socket.on('error', () => undefined);
    this.socket.on('data', (chunk) => this.#parse(chunk));
    this.closed = new Promise((resolve) => {
      this.socket.once('close', () => {
        this.#over = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  /** Connects and waits for the CONNACK; undefined if there was none. */
  static async connect(
    port: number,
    options: ConnectOptions = {},
  ): Promise<{ client: RawClient; code: number | undefined }> {
    const client = new RawClient(port, options.tls);
    client.send(connectPacket(options));
    const answer = await client.next();
    return { client, code: answer?.type === CONNACK ? answer.body[1] : undefined };
  }

  send(...bytes: Buffer[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  /** The next packet; undefined once the connection is over. */
  async next(): Promise<Packet | undefined> {
    while (this.#packets.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#packets.shift();
  }

  async end(): Promise<void> {
    this.socket.destroy();
    if (!this.#over) await once(this.socket, 'close');
  }

  #parse(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      let at = 1;
      let length = 0;
      let byte = 0x80;
      while (byte >= 0x80) {
        if (at >= this.#buffer.length) return;
        byte = this.#buffer[at]!;
        length += (byte & 0x7f) * 128 ** (at - 1);
        at++;
      }
      if (this.#buffer.length < at + length) return;
      const first = this.#buffer[0]!;
      this.#packets.push({ type: first >> 4, flags: first & 15, body: this.#buffer.subarray(at, at + length) });
      this.#buffer = this.#buffer.subarray(at + length);
      this.#wake?.();
    }
  }
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}
