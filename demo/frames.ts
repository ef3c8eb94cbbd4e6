/**
 * MQTT 3.1.1 control packets, as far as limits need to see them: where each begins and ends in a stream of bytes, and the
 * few fields that a limit is about. Never keeps more than one packet, never throws on bytes from outside.
 */

export const PACKET = { connect: 1, publish: 3, puback: 4, subscribe: 8 } as const;

/** A whole control packet. */
export interface Frame {
  readonly type: number;
  /** Low four bits of the first byte. */
  readonly flags: number;
  readonly bytes: Buffer;
  /** What follows the fixed header. */
  readonly body: Buffer;
}

export interface Publish {
  readonly topic: string;
  readonly topicBytes: number;
  readonly qos: number;
  /** 0 where QoS is 0. */
  readonly packetId: number;
  readonly payloadBytes: number;
}

/** Cuts a stream into packets. A packet over `maxBytes`, or a length that is none, ends it: `broken` from then on. */
export class FrameSplitter {
  readonly #maxBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  #broken: 'too-large' | 'malformed' | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get broken(): 'too-large' | 'malformed' | undefined {
    return this.#broken;
  }

  push(chunk: Buffer): Frame[] {
    if (this.#broken !== undefined) return [];
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    for (;;) {
      const header = readFixedHeader(bytes);
      if (header === 'incomplete') break;
      if (header === 'malformed' || header.length > this.#maxBytes) {
        this.#broken = header === 'malformed' ? 'malformed' : 'too-large';
        this.#rest = Buffer.alloc(0);
        return frames;
      }
      const end = header.start + header.length;
      if (bytes.length < end) break;
      const first = bytes[0] ?? 0;
      frames.push({
        type: first >> 4,
        flags: first & 0x0f,
        bytes: bytes.subarray(0, end),
        body: bytes.subarray(header.start, end),
      });
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
    return frames;
  }
}

/** [MQTT-2.2.3] a length of one to four bytes, seven bits each. */
function readFixedHeader(bytes: Buffer): { start: number; length: number } | 'incomplete' | 'malformed' {
  let length = 0;
  for (let index = 1; index <= 4; index++) {
    const byte = bytes[index];
    if (byte === undefined) return 'incomplete';
    length += (byte & 0x7f) * 128 ** (index - 1);
    if (byte < 0x80) return { start: index + 1, length };
  }
  return 'malformed';
}

export function readPublish(frame: Frame): Publish | undefined {
  const topic = readString(frame.body, 0);
  if (topic === undefined) return undefined;
  const qos = (frame.flags >> 1) & 3;
  const start = topic.end + (qos > 0 ? 2 : 0);
  if (frame.body.length < start) return undefined;
  return {
    topic: topic.text,
    topicBytes: topic.end - 2,
    qos,
    packetId: qos > 0 ? frame.body.readUInt16BE(topic.end) : 0,
    payloadBytes: frame.body.length - start,
  };
}

/** Protocol level and client id of a CONNECT (level 4 is MQTT 3.1.1, 5 is MQTT 5). */
export function readConnect(frame: Frame): { level: number; clientId: string } | undefined {
  const name = readString(frame.body, 0);
  const level = name && frame.body[name.end];
  if (name === undefined || level === undefined) return undefined;
  let start = name.end + 4; // level, flags, keep-alive
  if (level === 5) {
    const properties = readFixedHeader(frame.body.subarray(start - 1));
    if (typeof properties === 'string') return undefined;
    start += properties.start - 1 + properties.length;
  }
  const clientId = readString(frame.body, start);
  return clientId && { level, clientId: clientId.text };
}

/** The QoS that a SUBSCRIBE asks for, filter by filter. */
export function readSubscribeQos(frame: Frame): number[] {
  const found: number[] = [];
  let start = 2; // packet id
  while (start < frame.body.length) {
    const filter = readString(frame.body, start);
    const qos = filter && frame.body[filter.end];
    if (filter === undefined || qos === undefined) break;
    found.push(qos & 3);
    start = filter.end + 1;
  }
  return found;
}

export function readPacketId(frame: Frame): number {
  return frame.body.length >= 2 ? frame.body.readUInt16BE(0) : 0;
}

function readString(bytes: Buffer, start: number): { text: string; end: number } | undefined {
  if (bytes.length < start + 2) return undefined;
  const end = start + 2 + bytes.readUInt16BE(start);
  return bytes.length < end ? undefined : { text: bytes.toString('utf8', start + 2, end), end };
}
