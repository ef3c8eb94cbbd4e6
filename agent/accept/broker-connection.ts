/**
 * One client's connection to the built-in broker, around what aedes does not bound by itself: the size of a packet
 * before it is read into memory, the pace of a client, and what is buffered for a subscriber that does not read.
 */
import type { Duplex } from 'node:stream';
import type { Sender } from '../reading.js';
import type { Rights } from './broker-access.js';

/** Live messages are dropped for a subscriber with this much unread; it would hold up nobody but itself. */
const MAX_UNREAD_BYTES = 1024 * 1024;
/** A client with this much that is not yet on disk is not read from. */
const MAX_WAITING_BYTES = 256 * 1024;
/** What a message that waits costs besides its payload. */
const MESSAGE_BYTES = 256;

export interface Connection {
  readonly socket: Duplex;
  readonly address: string;
  /** How the listener that took it lets clients in. */
  readonly anonymous: boolean;
  /** Rights by the client's certificate. */
  readonly certified: Rights | undefined;
  /** Set once it is let in. */
  rights?: Rights;
  /** Who its client says it is, once it has published something that it may deliver again. */
  sender?: Sender;
  /** It was over before a PUBACK could be written. */
  isOwed?: boolean;
  /** The last topic that it was allowed to publish to. */
  allowedTopic?: string;
  readonly pace: Pace | undefined;
  /** What was read and is not yet on disk. */
  waitingBytes: number;
}

/** Too much unread to be sent yet more. */
export function isBehind(connection: Connection): boolean {
  return connection.socket.writableLength > MAX_UNREAD_BYTES;
}

/**
 * What all clients together have sent and is not yet on disk. aedes reads on whenever there is something to read; where
 * the disk is slow, that would fill the memory. So a client is not read from while too much of its own, or of all
 * together, waits; TCP holds it back.
 */
export class Waiting {
  readonly #maxBytes: number;
  readonly #paused = new Set<Connection>();
  #messages = 0;
  #bytes = 0;
  #drained: (() => void) | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get messages(): number {
    return this.#messages;
  }

  get paused(): number {
    return this.#paused.size;
  }

  /** Counts a message in; call what it returns when the message is done with. */
  add(connection: Connection, payloadBytes: number): () => void {
    const bytes = payloadBytes + MESSAGE_BYTES;
    this.#messages++;
    this.#bytes += bytes;
    connection.waitingBytes += bytes;
    return () => {
      this.#messages--;
      this.#bytes -= bytes;
      connection.waitingBytes -= bytes;
      if (this.#paused.size > 0) this.#resume();
      if (this.#messages === 0) this.#drained?.();
    };
  }

  /** May this client be read from now? If not, it is told (by a `readable`) when it may. */
  mayRead(connection: Connection): boolean {
    if (connection.waitingBytes <= MAX_WAITING_BYTES && this.#bytes <= this.#maxBytes) return true;
    this.#paused.add(connection);
    return false;
  }

  forget(connection: Connection): void {
    this.#paused.delete(connection);
  }

  /** When nothing waits any more. */
  async drained(): Promise<void> {
    if (this.#messages === 0) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }

  #resume(): void {
    if (this.#bytes > this.#maxBytes) return;
    for (const connection of this.#paused) {
      if (connection.waitingBytes > MAX_WAITING_BYTES) continue;
      this.#paused.delete(connection);
      setImmediate(() => connection.socket.emit('readable'));
    }
  }
}

/**
 * Watches packet lengths go by (MQTT 3.1.1 §2.2.3) and tells of one that is too long at its first bytes. The parser
 * behind it would collect up to 256 MB first.
 */
export class PacketLengths {
  readonly #maxBytes: number;
  /** Bytes of the current packet still to come; undefined while its header is read. */
  #left: number | undefined;
  #headerBytes = 0;
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The length of a packet that is too long; undefined if all is well so far. */
  tooLong(chunk: Uint8Array): number | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left !== undefined) {
        const skipped = Math.min(this.#left, chunk.length - at);
        at += skipped;
        this.#left -= skipped;
        if (this.#left === 0) this.#left = undefined;
        continue;
      }
      const byte = chunk[at++]!;
      if (this.#headerBytes++ === 0) continue; // type and flags
      this.#length += (byte & 0x7f) * 128 ** (this.#headerBytes - 2);
      if (this.#length > this.#maxBytes) return this.#length;
      if (byte >= 0x80 && this.#headerBytes < 5) continue; // a malformed length is the parser's to refuse
      this.#left = this.#length === 0 ? undefined : this.#length;
      this.#headerBytes = 0;
      this.#length = 0;
    }
    return undefined;
  }
}

/** Lets a reader of the socket read only when it may, and see only what `look` has seen and not refused. */
export function watchReads(socket: Duplex, mayRead: () => boolean, look: (chunk: Uint8Array) => boolean): void {
  const read = socket.read.bind(socket);
  socket.read = (size?: number) => {
    if (!mayRead()) return null;
    const chunk = read(size) as Buffer | null;
    return chunk === null || look(chunk) ? chunk : null;
  };
}

/** Holds messages back so that no more than `perSecond` go on, in order. Nothing is dropped. */
export class Pace {
  readonly #perSecond: number;
  readonly #nowMs: () => number;
  readonly #held: (() => void)[] = [];
  #credit: number;
  #atMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** `nowMs` is a monotonic clock. */
  constructor(perSecond: number, nowMs: () => number) {
    this.#perSecond = perSecond;
    this.#nowMs = nowMs;
    this.#credit = Math.max(1, perSecond);
    this.#atMs = nowMs();
  }

  get holding(): number {
    return this.#held.length;
  }

  /** Runs `go` at once or when its turn comes; true if it was held back. */
  pass(go: () => void): boolean {
    this.#held.push(go);
    this.#release();
    return this.#held.length > 0;
  }

  /** Lets all that is held go at once. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const go of this.#held.splice(0)) go();
  }

  #release(): void {
    const nowMs = this.#nowMs();
    this.#credit = Math.min(
      Math.max(1, this.#perSecond),
      this.#credit + ((nowMs - this.#atMs) * this.#perSecond) / 1000,
    );
    this.#atMs = nowMs;
    while (this.#credit >= 1 && this.#held.length > 0) {
      this.#credit--;
      this.#held.shift()!();
    }
    if (this.#held.length === 0 || this.#timer !== undefined) return;
    const waitMs = Math.max(1, Math.ceil(((1 - this.#credit) * 1000) / this.#perSecond));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#release();
    }, waitMs);
  }
}
