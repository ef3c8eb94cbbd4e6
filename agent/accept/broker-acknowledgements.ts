/**
 * PUBACKs that we write ourselves, those of one commit to one client together. aedes writes each as three buffers in a
 * `writev` of its own and waits a turn of the event loop for it: a quarter of all CPU at 10,000 messages a second.
 *
 * Order is kept (MQTT 3.1.1 §4.6): aedes, which reads on as soon as it is called back, is called after those of a client are
 * written, and whatever it is to acknowledge itself comes after what waits here. A commit may be of a thousand clients, a
 * system call each, so as many are written in one turn of the event loop as its share allows.
 */
import type { Client, PublishPacket } from 'aedes';
import type { Clock } from '../time/clock.js';
import { TURN_SHARE_MS } from './broker-turns.js';

const PUBACK_BYTES = 4;

interface Owed {
  readonly ids: number[];
  readonly callbacks: (() => void)[];
}

export class Acknowledgements {
  readonly #clock: Clock;
  /** In the order of their commits. */
  readonly #owed = new Map<Client, Owed>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Acknowledges a message that nobody is to be sent and calls back, or says by false that aedes should: also where the
   * client does not read, which aedes waits for and gives up in the end.
   */
  take(client: Client, packet: PublishPacket, callback: () => void): boolean {
    const { messageId, qos, retain } = packet;
    const { conn } = client;
    const owed = this.#owed.get(client);
    const isOurs = qos === 1 && !retain && messageId !== undefined && !client.closed;
    if (!isOurs || !conn.writable || conn.writableNeedDrain) {
      if (owed !== undefined) later(this.#write(client, owed));
      return false;
    }
    if (this.#owed.size === 0) queueMicrotask(() => this.#writeSome());
    if (owed === undefined) this.#owed.set(client, { ids: [messageId], callbacks: [callback] });
    else {
      owed.ids.push(messageId);
      owed.callbacks.push(callback);
    }
    packet.qos = 0; // nothing is left for aedes to do
    return true;
  }

  /** Writes all that is left, in this turn. */
  flush(): void {
    for (const [client, owed] of this.#owed) later(this.#write(client, owed));
  }

  #writeSome(): void {
    const endMs = this.#clock.monotonicMs() + TURN_SHARE_MS;
    const callbacks: (() => void)[] = [];
    for (const [client, owed] of this.#owed) {
      callbacks.push(...this.#write(client, owed));
      if (this.#clock.monotonicMs() >= endMs) break;
    }
    if (callbacks.length === 0) return;
    setImmediate(() => {
      for (const callback of callbacks) callback();
      if (this.#owed.size > 0) this.#writeSome();
    });
  }

  #write(client: Client, { ids, callbacks }: Owed): readonly (() => void)[] {
    this.#owed.delete(client);
    const bytes = Buffer.allocUnsafe(PUBACK_BYTES * ids.length);
    for (let i = 0, at = 0; i < ids.length; i++, at += PUBACK_BYTES) {
      bytes[at] = 0x40; // §3.4
      bytes[at + 1] = 2;
      bytes.writeUInt16BE(ids[i]!, at + 2);
    }
    if (client.conn.writable) client.conn.write(bytes);
    return callbacks;
  }
}

function later(callbacks: readonly (() => void)[]): void {
  setImmediate(() => {
    for (const callback of callbacks) callback();
  });
}
