/**
 * Which deliveries were committed, for messages that say nothing by which they could be known again: neither a time nor
 * an id. MQTT says it for them: a sender that has no PUBACK sends the message again with DUP, the same packet id, topic
 * and payload. Pure, and without time; live running and recovery apply the same records by the same code.
 *
 * A new message is never taken for a repetition because of what its sender has had acknowledged for certain:
 * - one without DUP is new, and takes the place of the one with its id (an id is free again after its PUBACK);
 * - senders repeat first and go on then, so one without DUP ends the memory of the sender's earlier connections;
 * - a sender that says DISCONNECT with nothing outstanding repeats nothing.
 *
 * Bounded: the newest of each sender; where all together are too many, the newer half of each.
 */
import { createHash } from 'node:crypto';
import type { Delivery, Sender } from './reading.js';

/** One delivery, as it is written down: RECORD_BYTES in the block that has its readings. */
export interface DeliveryRecord {
  /** 32 bits for the source and the client id. */
  readonly sender: number;
  readonly packetId: number;
  /** 40 bits for topic and payload. */
  readonly content: number;
  /** A sum of the below. */
  readonly flags: number;
}

/** The first of its connection. */
export const CONNECTED = 1;
/** Sent with DUP. */
export const REDELIVERED = 2;
/** The connection before this one ended with nothing outstanding. */
export const SETTLED = 4;
/** Was known: its readings count already. */
export const REPEATED = 8;

export const RECORD_BYTES = 12;
/** What a sender may have outstanding; most have 20. */
const MAX_OF_SENDER = 1_000;
export const MAX_DELIVERIES = 10_000;
/** Of these, what is left at most where they are too many. */
const THINNED = 3 / 4;

class Known {
  from: Sender | undefined;
  /** Content by packet id: what came on its present connection, and what came before and may come again. */
  current = new Map<number, number>();
  earlier = new Map<number, number>();

  get size(): number {
    return this.current.size + this.earlier.size;
  }

  /** True for a repetition. */
  apply({ packetId, content, flags }: DeliveryRecord): boolean {
    if ((flags & CONNECTED) !== 0) this.#connected((flags & SETTLED) !== 0);
    const mayBeKnown = (flags & REDELIVERED) !== 0;
    const isKnown = mayBeKnown && (this.current.get(packetId) ?? this.earlier.get(packetId)) === content;
    if (!mayBeKnown) this.earlier.clear();
    this.forget(packetId);
    this.current.set(packetId, content); // also of a repetition: its PUBACK may get lost too
    return isKnown;
  }

  forget(packetId: number): void {
    this.current.delete(packetId);
    this.earlier.delete(packetId);
  }

  keepNewest(count: number): void {
    for (const keys of [this.earlier, this.current]) {
      for (const packetId of keys.keys()) {
        if (this.size <= count) return;
        keys.delete(packetId);
      }
    }
  }

  #connected(isSettled: boolean): void {
    if (isSettled) this.earlier.clear();
    else for (const [packetId, content] of this.current) this.earlier.set(packetId, content);
    this.current = new Map();
  }
}

export class Deliveries {
  /** In the order in which they were last heard of. */
  readonly #senders = new Map<number, Known>();
  readonly #numbers = new WeakMap<Sender, number>();
  #size = 0;
  #fresh: DeliveryRecord[] = [];

  get size(): number {
    return this.#size;
  }

  /** Whether the readings of a message count already. Either way it is known from now on: see `take` and `undo`. */
  isRepeated({ from, packetId, isRedelivered }: Delivery, topic: string, payload: Uint8Array): boolean {
    const sender = this.#numberOf(from);
    const before = this.#senders.get(sender)?.from;
    let flags = isRedelivered ? REDELIVERED : 0;
    if (before !== from) flags |= CONNECTED | (before?.isSettled === true ? SETTLED : 0);
    const record = { sender, packetId, content: contentOf(topic, payload), flags };
    const isRepeated = this.#apply(record, from);
    this.#fresh.push(isRepeated ? { ...record, flags: flags | REPEATED } : record);
    return isRepeated;
  }

  /** What the next commit is to make durable. */
  take(): readonly DeliveryRecord[] {
    const taken = this.#fresh;
    this.#fresh = [];
    return taken;
  }

  /** They could not be made durable: their senders, not acknowledged, send them again, and they count then. */
  undo(records: readonly DeliveryRecord[]): void {
    for (const { sender, packetId, flags } of records) {
      const known = this.#senders.get(sender);
      if (known === undefined || (flags & REPEATED) !== 0) continue;
      this.#size -= known.size;
      known.forget(packetId);
      this.#size += known.size;
    }
  }

  /** What was made durable earlier, in order. */
  restore(records: Iterable<DeliveryRecord>): void {
    for (const record of records) this.#apply(record, undefined);
  }

  /** All that is known, as records that `restore` makes the same of. */
  *records(): Iterable<DeliveryRecord> {
    for (const [sender, { earlier, current }] of this.#senders) {
      for (const keys of [earlier, current]) {
        let flags = REDELIVERED | CONNECTED;
        for (const [packetId, content] of keys) {
          yield { sender, packetId, content, flags };
          flags = REDELIVERED;
        }
      }
    }
  }

  #apply(record: DeliveryRecord, from: Sender | undefined): boolean {
    const known = this.#senders.get(record.sender) ?? new Known();
    this.#size -= known.size;
    known.from = from;
    const isRepeated = known.apply(record);
    known.keepNewest(MAX_OF_SENDER);
    this.#size += known.size;
    this.#senders.delete(record.sender);
    this.#senders.set(record.sender, known);
    if (this.#size > MAX_DELIVERIES) this.#thin();
    return isRepeated;
  }

  /** Keeps the newer half of each sender; where that is no less, the senders that were heard of last. */
  #thin(): void {
    for (const known of this.#senders.values()) {
      this.#size -= known.size;
      known.keepNewest(Math.ceil(known.size / 2));
      this.#size += known.size;
    }
    for (const [sender, known] of this.#senders) {
      if (this.#size <= THINNED * MAX_DELIVERIES) return;
      this.#size -= known.size;
      this.#senders.delete(sender);
    }
  }

  #numberOf(from: Sender): number {
    let number = this.#numbers.get(from);
    if (number === undefined) {
      number = createHash('sha256').update(from.name).digest().readUInt32BE();
      this.#numbers.set(from, number);
    }
    return number;
  }
}

function contentOf(topic: string, payload: Uint8Array): number {
  return createHash('sha256').update(topic).update('\0').update(payload).digest().readUIntBE(0, 5);
}
