/**
 * The clients of the built-in broker, as answers to what aedes asks: who comes in, what they may publish and subscribe
 * to, when a PUBLISH is done. A PUBLISH is acknowledged and relayed only after Accept says that it is on disk; one that
 * could not be stored is not acknowledged and its client is disconnected, so that it sends again. What is not yet on
 * disk is bounded, per client and together; above it clients are not read from.
 */
import type { Duplex } from 'node:stream';
import type { Aedes, AedesOptions, AuthenticateError, Client, PublishPacket } from 'aedes';
import type { Delivery } from '../reading.js';
import { type Access, mayPublish, maySubscribe, type Rights } from './broker-access.js';
import { Acknowledgements } from './broker-acknowledgements.js';
import { clientOf, hasDisconnected, RetainedBytes, stillAlive } from './broker-aedes.js';
import { type Connection, isBehind, Pace, PacketLengths, Waiting, watchReads } from './broker-connection.js';
import type { Arrival } from './broker-listener.js';
import { ReadTurns } from './broker-turns.js';
import { arrivalTimes, type SourceContext, seldom } from './source-context.js';
import type { BrokerSourceOptions } from './source-options.js';

/** Of all clients together, read and not yet on disk. */
const MAX_WAITING_BYTES = 64 * 2 ** 20;

type Hook<K extends keyof AedesOptions> = NonNullable<AedesOptions[K]>;

export class BrokerClients {
  readonly waiting = new Waiting(MAX_WAITING_BYTES);
  readonly counters = {
    stored: 0,
    /** Handed over, not stored, not acknowledged. */
    unstored: 0,
    /** Not allowed on that topic. */
    denied: 0,
    /** Connections not let in: password, certificate, MQTT 5, too many. */
    refused: 0,
    tooLarge: 0,
    heldBack: 0,
    takenOver: 0,
    relayDropped: 0,
    retainDropped: 0,
  };
  readonly #options: BrokerSourceOptions;
  readonly #context: SourceContext;
  readonly #access: Access;
  readonly #arrivalUs: () => number;
  readonly #warn: ReturnType<typeof seldom>;
  readonly #connections = new WeakMap<Duplex, Connection>();
  readonly #open = new Set<Connection>();
  /** Those that have subscribed to something. */
  readonly #listening = new Set<Connection>();
  readonly #retained: RetainedBytes;
  readonly #turns: ReadTurns;
  readonly #acknowledgements: Acknowledgements;
  #closing = false;

  constructor(options: BrokerSourceOptions, context: SourceContext, access: Access) {
    this.#options = options;
    this.#context = context;
    this.#access = access;
    this.#turns = new ReadTurns(context.clock);
    this.#acknowledgements = new Acknowledgements(context.clock);
    this.#arrivalUs = arrivalTimes(context.clock);
    this.#warn = seldom(context.clock, (details, message) =>
      context.log.warn({ source: options.name, ...details }, message),
    );
    this.#retained = new RetainedBytes(options.relay ? options.limits.maxRetained : 0);
  }

  get connected(): number {
    return this.#open.size;
  }

  /** Whether there may be anybody to relay to. */
  get isHeard(): boolean {
    return this.#listening.size > 0;
  }

  /** Takes nothing more in; what was read and held back goes on. */
  close(): void {
    this.#closing = true;
    for (const { pace } of this.#open) pace?.end();
  }

  /** What was handed over is done with; who waits for its PUBACK gets it in this turn of the event loop. */
  async settled(): Promise<void> {
    await this.waiting.drained();
    this.#acknowledgements.flush();
  }

  /** A socket for the broker to speak with. */
  arrived({ socket, address, anonymous, certificate }: Arrival, broker: Aedes): void {
    const { maxConnections, maxPayload, maxMessagesPerSecond } = this.#options.limits;
    const certified = certificate && this.#access.byCertificate(certificate.commonName);
    if (this.#closing || this.#open.size >= maxConnections) {
      this.refused('full', { address }, 'turned away: too many connections');
      socket.destroy();
      return;
    }
    if (certificate !== undefined && certified === undefined) {
      this.refused('certificate', { address }, 'turned away: the common name of its certificate is no usable name');
      socket.destroy();
      return;
    }
    const pace =
      maxMessagesPerSecond > 0 ? new Pace(maxMessagesPerSecond, () => this.#context.clock.monotonicMs()) : undefined;
    const connection: Connection = { socket, address, anonymous, certified, pace, waitingBytes: 0 };
    this.#connections.set(socket, connection);
    this.#open.add(connection);
    socket.once('close', () => {
      this.#open.delete(connection);
      this.#listening.delete(connection);
      this.waiting.forget(connection);
      this.#turns.forget(connection);
      pace?.end();
    });
    const lengths = new PacketLengths(maxPayload);
    const mayRead = () => this.waiting.mayRead(connection) && this.#turns.mayRead(connection);
    watchReads(socket, mayRead, (chunk) => {
      const bytes = lengths.tooLong(chunk);
      if (bytes === undefined) return true;
      this.counters.tooLarge++;
      this.#warn('tooLarge', { address, bytes, maxPayload }, 'disconnected: a packet over the limit');
      socket.destroy();
      return false;
    });
    broker.handle(socket);
  }

  readonly preConnect: Hook<'preConnect'> = (client, packet, callback) => {
    const address = this.#connections.get(client.conn)?.address;
    const maxSeconds = Math.floor(this.#options.limits.maxKeepalive / 1000);
    packet.keepalive = Math.min(packet.keepalive || maxSeconds, maxSeconds);
    packet.clean = true;
    if (packet.protocolVersion === 5) {
      // aedes answers with "unacceptable protocol version"
      this.refused('version', { address, client: packet.clientId }, 'refused: MQTT 5, this broker speaks 3.1.1');
    }
    if (clientOf(client, packet.clientId) !== undefined) {
      this.counters.takenOver++;
      this.#warn('takenOver', { address, client: packet.clientId }, 'a second client of the same id takes over');
    }
    callback(null, true);
  };

  readonly authenticate: Hook<'authenticate'> = (client, username, password, callback) => {
    const connection = this.#connections.get(client.conn);
    const refuse = (why: string, returnCode: number): void => {
      this.refused('login', { address: connection?.address, client: client.id, user: username }, `refused: ${why}`);
      callback(Object.assign(new Error(why), { returnCode }) as AuthenticateError, false);
    };
    const admit = (rights: Rights | undefined): void => {
      if (connection === undefined || rights === undefined) {
        // MQTT 3.1.1 §3.2.2.3: 4 is a bad user name or password, 5 not authorized
        if (username === undefined) refuse('no user name; anonymous clients are not allowed on this listener', 5);
        else refuse('wrong user name or password', 4);
        return;
      }
      connection.rights = rights;
      callback(null, true);
    };
    if (connection === undefined) refuse('not known', 5);
    else this.#access.admit(connection, username, password).then(admit, (error: Error) => refuse(error.message, 5));
  };

  readonly authorizePublish: Hook<'authorizePublish'> = (client, packet, callback) => {
    if (this.#closing) return; // neither stored nor acknowledged: it is sent again
    const connection = client === null ? undefined : this.#connections.get(client.conn);
    if (client === null || connection === undefined || !isAllowed(connection, packet.topic)) {
      this.counters.denied++;
      const who = { client: client?.id, user: connection?.rights?.name, topic: packet.topic };
      this.#warn(`denied:${client?.id}`, who, 'disconnected: it may not publish to this topic');
      callback(new Error(`may not publish to ${packet.topic}`));
      return;
    }
    if (packet.retain && !this.#retained.admit(packet.topic, packet.payload.length)) {
      packet.retain = false;
      this.counters.retainDropped++;
    }
    const over = this.waiting.add(connection, packet.payload.length);
    const will = client.closed; // the last will of a client that is gone
    const hand = (): void => {
      if (connection.pace !== undefined) stillAlive(client);
      // held back until its client had gone: at QoS 1 and 2 it will be sent again
      if (client.closed && !will && packet.qos > 0) over();
      else this.#hand(client, packet, connection, over, callback);
    };
    if (connection.pace === undefined) hand();
    else if (connection.pace.pass(hand)) this.counters.heldBack++;
  };

  #deliveryOf({ messageId, dup }: PublishPacket, clientId: string, connection: Connection): Delivery | undefined {
    if (messageId === undefined) return undefined;
    connection.sender ??= { name: `${this.#options.name}/${clientId}`, isSettled: false };
    return { from: connection.sender, packetId: messageId, isRedelivered: dup };
  }

  #hand(
    client: Client,
    packet: PublishPacket,
    connection: Connection,
    over: () => void,
    callback: (error?: Error) => void,
  ): void {
    const { topic } = packet;
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    const delivery = this.#deliveryOf(packet, client.id, connection);
    this.#context.accept({ topic, payload, arrivalUs: this.#arrivalUs(), delivery }, (error) => {
      if (connection.socket.destroyed) connection.isOwed = true;
      if (error === undefined) this.counters.stored++;
      else this.counters.unstored++;
      over(); // first: the callback may read on
      const isDone = error === undefined && !this.isHeard && this.#acknowledgements.take(client, packet, callback);
      if (!isDone) callback(error);
    });
  }

  /** After a DISCONNECT (§3.14) with nothing outstanding its client delivers nothing again. */
  readonly left = (client: Client): void => {
    const connection = this.#connections.get(client.conn);
    if (connection?.sender === undefined) return;
    connection.sender.isSettled = hasDisconnected(client) && connection.waitingBytes === 0 && !connection.isOwed;
  };

  readonly authorizeSubscribe: Hook<'authorizeSubscribe'> = (client, subscription, callback) => {
    const connection = this.#connections.get(client.conn);
    const rights = connection?.rights;
    if (this.#options.relay && rights !== undefined && maySubscribe(rights, subscription.topic)) {
      this.#listening.add(connection!);
      callback(null, subscription);
      return;
    }
    this.#warn(`subscribe:${client.id}`, { client: client.id, topic: subscription.topic }, 'subscription refused');
    callback(null, null); // SUBACK 0x80
  };

  readonly authorizeForward: Hook<'authorizeForward'> = (client, packet) => {
    const connection = this.#connections.get(client.conn);
    // A retained message for a new subscription has no broker id, and waits for the subscriber; a live one does not.
    if (packet.brokerId === null || connection === undefined || !isBehind(connection)) return packet;
    this.counters.relayDropped++;
    return null;
  };

  refused(kind: string, details: object, message: string): void {
    this.counters.refused++;
    this.#warn(kind, details, message);
  }

  /** For whoever looks into one client: everyday things, such as a device that went out of reach. */
  readonly failed = (client: Client, error: Error): void => {
    const address = this.#connections.get(client.conn)?.address;
    const details = { source: this.#options.name, client: client.id, address, error: error.message };
    this.#context.log.debug(details, 'client failed');
  };
}

/** A sensor publishes to one topic, mostly: that it may is looked up once. */
function isAllowed(connection: Connection, topic: string): boolean {
  if (connection.allowedTopic === topic) return true;
  if (connection.rights === undefined || !mayPublish(connection.rights, topic)) return false;
  connection.allowedTopic = topic;
  return true;
}
