/**
 * Bounds what the stand-in broker keeps for clients with a persistent session: how many of them, how many messages each,
 * and for how long after they left. As on AWS, a full session drops the new messages, and an expired one is gone whole.
 *
 * The library behind the broker bounds none of these (its `queueLimit` is about something else).
 */

import type { Aedes, Client } from 'aedes';

export interface SessionLimits {
  readonly sessions: number;
  readonly messages: number;
  /** How long a session outlives its connection, ms. */
  readonly expiryMs: number;
}

/** AWS keeps a session for an hour. */
export const SESSION_LIMITS: SessionLimits = { sessions: 1000, messages: 10_000, expiryMs: 3_600_000 };

interface Packet {
  readonly brokerId?: string;
  readonly messageId?: number;
}

/** The part of aedes' persistence that is bounded here. */
interface Persistence {
  outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: Packet): Promise<void>;
  outgoingUpdate(client: { id: string }, packet: Packet): Promise<void>;
  outgoingClearMessageId(client: { id: string }, packet: Packet): Promise<Packet | undefined>;
  outgoingStream(client: { id: string }): AsyncIterable<Packet>;
  cleanSubscriptions(client: { id: string }): Promise<void>;
}

export class Sessions {
  readonly #limits: SessionLimits;
  readonly #persistence: Persistence;
  /** Messages that wait in each session. */
  readonly #waiting = new Map<string, number>();
  readonly #expiries = new Map<string, NodeJS.Timeout>();

  /** `onFull` is called for each message that a full session does not take. */
  constructor(broker: Aedes, limits: SessionLimits, onFull: () => void) {
    this.#limits = limits;
    this.#persistence = (broker as unknown as { persistence: Persistence }).persistence;
    this.#boundQueues(onFull);
    broker.on('clientReady', (client) => this.#open(client));
    broker.on('clientDisconnect', (client) => this.#left(client));
  }

  /** Whether a client may open a session (or come back to its own). */
  hasRoomFor(clientId: string): boolean {
    return this.#waiting.has(clientId) || this.#waiting.size < this.#limits.sessions;
  }

  get count(): number {
    return this.#waiting.size;
  }

  stop(): void {
    for (const expiry of this.#expiries.values()) clearTimeout(expiry);
    this.#expiries.clear();
  }

  #open(client: Client): void {
    clearTimeout(this.#expiries.get(client.id));
    this.#expiries.delete(client.id);
    if (!client.clean && !this.#waiting.has(client.id)) this.#waiting.set(client.id, 0);
    if (client.clean && this.#waiting.has(client.id)) void this.#forget(client.id);
  }

  #left(client: Client): void {
    if (client.clean) return;
    const expiry = setTimeout(() => void this.#forget(client.id), this.#limits.expiryMs);
    this.#expiries.set(client.id, expiry.unref());
  }

  async #forget(clientId: string): Promise<void> {
    this.#expiries.delete(clientId);
    const client = { id: clientId };
    await this.#persistence.cleanSubscriptions(client);
    for await (const packet of this.#persistence.outgoingStream(client)) {
      await this.#persistence.outgoingClearMessageId(client, packet);
    }
    this.#waiting.delete(clientId);
  }

  #boundQueues(onFull: () => void): void {
    const persistence = this.#persistence;
    const enqueue = persistence.outgoingEnqueueCombi.bind(persistence);
    const update = persistence.outgoingUpdate.bind(persistence);
    const clear = persistence.outgoingClearMessageId.bind(persistence);
    persistence.outgoingEnqueueCombi = async (subscriptions, packet) => {
      const taking = subscriptions.filter(({ clientId }) => {
        const waiting = this.#waiting.get(clientId) ?? 0;
        if (waiting >= this.#limits.messages) onFull();
        else this.#waiting.set(clientId, waiting + 1);
        return waiting < this.#limits.messages;
      });
      await enqueue(taking, packet);
    };
    // A message that was not queued is not an error of the client that is connected and gets it now.
    persistence.outgoingUpdate = (client, packet) => update(client, packet).catch(() => undefined);
    persistence.outgoingClearMessageId = async (client, packet) => {
      const cleared = await clear(client, packet);
      const waiting = this.#waiting.get(client.id);
      if (cleared !== undefined && waiting !== undefined) this.#waiting.set(client.id, Math.max(0, waiting - 1));
      return cleared;
    };
  }
}
