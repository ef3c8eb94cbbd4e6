/**
 * Where the built-in broker reaches into aedes, so that nobody is held up and no more is held in memory than must be.
 * Pinned by test/broker.test.ts.
 */
import type { Aedes, Client, PublishPacket } from 'aedes';

/** What one retained topic costs besides its name and payload. */
const ENTRY_BYTES = 300;

/** Memory taken by retained messages; says which one still fits. */
export class RetainedBytes {
  readonly #maxBytes: number;
  readonly #byTopic = new Map<string, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Counts a retained message in, in the place of the one before; an empty one only removes (MQTT 3.1.1 §3.3.1.3). */
  admit(topic: string, payloadBytes: number): boolean {
    const before = this.#byTopic.get(topic) ?? 0;
    const now = payloadBytes === 0 ? 0 : payloadBytes + 2 * topic.length + ENTRY_BYTES;
    if (this.#bytes - before + now > this.#maxBytes) return false;
    this.#bytes += now - before;
    if (now === 0) this.#byTopic.delete(topic);
    else this.#byTopic.set(topic, now);
    return true;
  }
}

type Deliver = (packet: { readonly brokerId: string | null }, done: () => void) => void;

/**
 * aedes finishes a PUBLISH only when every subscriber's socket has taken it, so that one that does not read holds up the
 * publishers and all other subscribers. Live messages are handed to the socket and not waited for; retained messages for
 * a new subscription are, as they hold up nobody else.
 */
export function detachSubscribers(client: Client): void {
  const own = client as unknown as { deliver0: Deliver; deliverQoS: Deliver };
  for (const kind of ['deliver0', 'deliverQoS'] as const) {
    const deliver = own[kind];
    own[kind] = (packet, done) => {
      if (packet.brokerId === null) return deliver(packet, done);
      deliver(packet, () => undefined);
      return done();
    };
  }
}

type Publish = (packet: { readonly retain?: boolean }, client: Client | null, done: () => void) => void;

/**
 * aedes takes every PUBLISH through its persistence, its matcher and its emitter, also where nobody has subscribed; that is
 * more work than all that it does before. Our broker keeps no sessions, so a live message that nobody hears now is done.
 */
export function skipUnheard(broker: Aedes, isHeard: () => boolean): void {
  const own = broker as unknown as { publish: Publish };
  const publish = own.publish.bind(broker);
  own.publish = (packet, client, done) => {
    if (client === null || typeof client === 'function' || packet.retain === true || isHeard())
      publish(packet, client, done);
    else done();
  };
}

interface Incoming {
  incomingStorePacket(client: Client, packet: PublishPacket): Promise<void>;
}

/** aedes keeps QoS 2 messages until their PUBREL only to know their ids again: their payloads need no memory. */
export function forgetPayloads(broker: Aedes): void {
  const { persistence } = broker as unknown as { persistence: Incoming };
  const store = persistence.incomingStorePacket.bind(persistence);
  persistence.incomingStorePacket = (client, packet) => store(client, { ...packet, payload: Buffer.alloc(0) });
}

/** A client that we read slowly on purpose is alive: its pings wait in the socket. */
export function stillAlive(client: Client): void {
  (client as unknown as { _keepaliveTimer: NodeJS.Timeout | null })._keepaliveTimer?.refresh();
}

/** The client of the same broker that has an id now. */
export function clientOf(any: Client, clientId: string): Client | undefined {
  return (any as unknown as { broker: { clients: Record<string, Client> } }).broker.clients[clientId];
}

/** The client said DISCONNECT, rather than being gone. */
export function hasDisconnected(client: Client): boolean {
  return (client as unknown as { _disconnected: boolean })._disconnected;
}
