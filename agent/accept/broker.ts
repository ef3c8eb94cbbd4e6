/**
 * The built-in MQTT 3.1.1 broker (aedes) as a source of readings. Promises: a PUBLISH is acknowledged (PUBACK, PUBREC)
 * and relayed only after Accept says that it is on disk; one that could not be stored is not acknowledged and its client
 * is disconnected, so that it sends again. What is not yet on disk is bounded, per client and together; above it clients
 * are not read from.
 *
 * It keeps no sessions: a subscriber that is away gets nothing later, and a QoS 2 publisher that reconnects in the
 * middle of a handshake sends again (the same reading counts once all the same). Never decodes a payload.
 */
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Aedes, type AedesOptions, type AuthenticateError, type Client, type PublishPacket } from 'aedes';
import type { Source, SourceState } from '../reading.js';
import { Access, mayPublish, maySubscribe, type Rights } from './broker-access.js';
import { clientOf, detachSubscribers, forgetPayloads, RetainedBytes, stillAlive } from './broker-aedes.js';
import { type Connection, isBehind, Pace, PacketLengths, Waiting, watchReads } from './broker-connection.js';
import { type Arrival, type Listener, openListener } from './broker-listener.js';
import { arrivalTimes, type SourceContext, seldom } from './source-context.js';
import type { BrokerSourceOptions } from './source-options.js';

/** How long stop() waits for what was handed over to be committed and acknowledged. */
const STOP_WAIT_MS = 5_000;
/** A subscriber that does not read for that long is disconnected. */
const DRAIN_TIMEOUT_MS = 20_000;
/** Of all clients together, read and not yet on disk. */
const MAX_WAITING_BYTES = 64 * 2 ** 20;

type Hook<K extends keyof AedesOptions> = NonNullable<AedesOptions[K]>;

export class BrokerSource implements Source {
  readonly name: string;
  readonly #options: BrokerSourceOptions;
  readonly #context: SourceContext;
  readonly #arrivalUs: () => number;
  readonly #warn: ReturnType<typeof seldom>;
  readonly #connections = new WeakMap<Duplex, Connection>();
  readonly #open = new Set<Connection>();
  readonly #waiting = new Waiting(MAX_WAITING_BYTES);
  readonly #retained: RetainedBytes;
  readonly #counters = {
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
  #access: Access | undefined;
  #broker: Aedes | undefined;
  #listeners: Listener[] = [];
  #stopped: Promise<void> | undefined;

  constructor(options: BrokerSourceOptions, context: SourceContext) {
    this.name = options.name;
    this.#options = options;
    this.#context = context;
    this.#arrivalUs = arrivalTimes(context.clock);
    this.#warn = seldom(context.clock, (details, message) =>
      context.log.warn({ source: this.name, ...details }, message),
    );
    this.#retained = new RetainedBytes(options.relay ? options.limits.maxRetained : 0);
  }

  /** The ports in use, in the order of `listeners`; for those that were configured as 0. */
  get ports(): readonly number[] {
    return this.#listeners.map((listener) => listener.port);
  }

  async start(): Promise<void> {
    this.#access = await Access.open(this.#options);
    this.#broker = await Aedes.createBroker(this.#aedesOptions());
    forgetPayloads(this.#broker);
    this.#broker.on('client', detachSubscribers);
    this.#broker.on('clientError', (client, error) => this.#clientFailed(client, error));
    this.#broker.on('connectionError', (client, error) => this.#clientFailed(client, error));
    try {
      for (const options of this.#options.listeners) this.#listeners.push(await this.#listen(options));
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#context.log.info({ source: this.name, ports: this.ports }, 'broker listens');
  }

  /** Takes nothing more in, waits until what it handed over is acknowledged, then disconnects everyone. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  describe(): SourceState {
    const up = this.#broker !== undefined && this.#stopped === undefined;
    const where = this.#options.listeners.map(({ listen, tls }, at) => {
      const port = this.#listeners[at]?.port;
      return `${listen.replace(/:0$/, `:${port ?? 0}`)}${tls === undefined ? '' : ' (TLS)'}`;
    });
    const detail = up ? `listens on ${where.join(', ')}; ${this.#open.size} connected` : 'stopped';
    const counters = { ...this.#counters, connected: this.#open.size, waiting: this.#waiting.messages };
    return { name: this.name, state: up ? 'up' : 'stopped', detail, counters };
  }

  #aedesOptions(): AedesOptions {
    return {
      connectTimeout: this.#options.limits.connectTimeout,
      drainTimeout: DRAIN_TIMEOUT_MS,
      maxClientsIdLength: 128,
      preConnect: this.#preConnect,
      authenticate: this.#authenticate,
      authorizePublish: this.#authorizePublish,
      authorizeSubscribe: this.#authorizeSubscribe,
      authorizeForward: this.#authorizeForward,
    };
  }

  #listen(options: BrokerSourceOptions['listeners'][number]): Promise<Listener> {
    const { maxConnections, connectTimeout } = this.#options.limits;
    return openListener(options, {
      maxConnections,
      connectTimeout,
      nowMs: () => this.#context.clock.nowMs(),
      arrived: (arrival) => this.#arrived(arrival),
      turnedAway: (reason, address, why) => this.#refused(reason, { address }, `turned away: ${why}`),
      warn: (problem) => this.#context.log.warn({ source: this.name, hint: problem.hint }, problem.message),
    });
  }

  #arrived({ socket, address, anonymous, certificate }: Arrival): void {
    const { maxConnections, maxPayload, maxMessagesPerSecond } = this.#options.limits;
    const certified = certificate && this.#access?.byCertificate(certificate.commonName);
    if (this.#stopped !== undefined || this.#open.size >= maxConnections) {
      this.#refused('full', { address }, 'turned away: too many connections');
      socket.destroy();
      return;
    }
    if (certificate !== undefined && certified === undefined) {
      this.#refused('certificate', { address }, 'turned away: the common name of its certificate is no usable name');
      socket.destroy();
      return;
    }
    const pace = maxMessagesPerSecond > 0 ? new Pace(maxMessagesPerSecond, () => performance.now()) : undefined;
    const connection: Connection = { socket, address, anonymous, certified, pace, waitingBytes: 0 };
    this.#connections.set(socket, connection);
    this.#open.add(connection);
    socket.once('close', () => {
      this.#open.delete(connection);
      this.#waiting.forget(connection);
      pace?.end();
    });
    const lengths = new PacketLengths(maxPayload);
    const mayRead = () => this.#waiting.mayRead(connection);
    watchReads(socket, mayRead, (chunk) => {
      const bytes = lengths.tooLong(chunk);
      if (bytes === undefined) return true;
      this.#counters.tooLarge++;
      this.#warn('tooLarge', { address, bytes, maxPayload }, 'disconnected: a packet over the limit');
      socket.destroy();
      return false;
    });
    this.#broker?.handle(socket);
  }

  readonly #preConnect: Hook<'preConnect'> = (client, packet, callback) => {
    const address = this.#connections.get(client.conn)?.address;
    const maxSeconds = Math.floor(this.#options.limits.maxKeepalive / 1000);
    packet.keepalive = Math.min(packet.keepalive || maxSeconds, maxSeconds);
    packet.clean = true;
    if (packet.protocolVersion === 5) {
      // aedes answers with "unacceptable protocol version"
      this.#refused('version', { address, client: packet.clientId }, 'refused: MQTT 5, this broker speaks 3.1.1');
    }
    if (this.#broker !== undefined && clientOf(this.#broker, packet.clientId) !== undefined) {
      this.#counters.takenOver++;
      this.#warn('takenOver', { address, client: packet.clientId }, 'a second client of the same id takes over');
    }
    callback(null, true);
  };

  readonly #authenticate: Hook<'authenticate'> = (client, username, password, callback) => {
    const connection = this.#connections.get(client.conn);
    const refuse = (why: string, returnCode: number): void => {
      this.#refused('login', { address: connection?.address, client: client.id, user: username }, `refused: ${why}`);
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
    this.#rightsFor(connection, username, password).then(admit, (error: Error) => refuse(error.message, 5));
  };

  async #rightsFor(connection: Connection | undefined, username: string | undefined, password: Buffer | undefined) {
    if (connection?.certified !== undefined) return connection.certified;
    // With no user configured, a name is as good as none: sensors often send one that cannot be switched off.
    const named = username !== undefined && this.#options.users.length > 0;
    if (named) return this.#access?.byPassword(username, password ?? Buffer.alloc(0));
    return connection?.anonymous ? this.#access?.anonymous() : undefined;
  }

  readonly #authorizePublish: Hook<'authorizePublish'> = (client, packet, callback) => {
    if (this.#stopped !== undefined) return; // neither stored nor acknowledged: it is sent again
    const connection = client === null ? undefined : this.#connections.get(client.conn);
    if (client === null || connection?.rights === undefined || !mayPublish(connection.rights, packet.topic)) {
      this.#counters.denied++;
      const who = { client: client?.id, user: connection?.rights?.name, topic: packet.topic };
      this.#warn(`denied:${client?.id}`, who, 'disconnected: it may not publish to this topic');
      callback(new Error(`may not publish to ${packet.topic}`));
      return;
    }
    if (packet.retain && !this.#retained.admit(packet.topic, packet.payload.length)) {
      packet.retain = false;
      this.#counters.retainDropped++;
    }
    const over = this.#waiting.add(connection, packet.payload.length);
    const will = client.closed; // the last will of a client that is gone
    const hand = (): void => {
      if (connection.pace !== undefined) stillAlive(client);
      // held back until its client had gone: at QoS 1 and 2 it will be sent again
      if (client.closed && !will && packet.qos > 0) over();
      else this.#hand(packet, over, callback);
    };
    if (connection.pace === undefined) hand();
    else if (connection.pace.pass(hand)) this.#counters.heldBack++;
  };

  #hand(packet: PublishPacket, over: () => void, callback: (error?: Error) => void): void {
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    this.#context.accept({ topic: packet.topic, payload, arrivalUs: this.#arrivalUs() }, (error) => {
      if (error === undefined) this.#counters.stored++;
      else this.#counters.unstored++;
      over(); // first: the callback may read on
      callback(error);
    });
  }

  readonly #authorizeSubscribe: Hook<'authorizeSubscribe'> = (client, subscription, callback) => {
    const rights = this.#connections.get(client.conn)?.rights;
    if (this.#options.relay && rights !== undefined && maySubscribe(rights, subscription.topic)) {
      callback(null, subscription);
      return;
    }
    this.#warn(`subscribe:${client.id}`, { client: client.id, topic: subscription.topic }, 'subscription refused');
    callback(null, null); // SUBACK 0x80
  };

  readonly #authorizeForward: Hook<'authorizeForward'> = (client, packet) => {
    const connection = this.#connections.get(client.conn);
    // A retained message for a new subscription has no broker id, and waits for the subscriber; a live one does not.
    if (packet.brokerId === null || connection === undefined || !isBehind(connection)) return packet;
    this.#counters.relayDropped++;
    return null;
  };

  #refused(kind: string, details: object, message: string): void {
    this.#counters.refused++;
    this.#warn(kind, details, message);
  }

  #clientFailed(client: Client, error: Error): void {
    const address = this.#connections.get(client.conn)?.address;
    this.#context.log.debug({ source: this.name, client: client.id, address, error: error.message }, 'client failed');
  }

  async #stop(): Promise<void> {
    const broker = this.#broker;
    if (broker === undefined) return;
    const closed = this.#listeners.map((listener) => listener.close());
    for (const { pace } of this.#open) pace?.end();
    const enough = new AbortController();
    const late = sleep(STOP_WAIT_MS, undefined, { signal: enough.signal }).catch(() => undefined);
    await Promise.race([this.#waiting.drained(), late]);
    enough.abort();
    await nextTurn(); // the last PUBACKs are written in this turn of the event loop
    await new Promise<void>((resolve) => broker.close(resolve));
    for (const listener of this.#listeners) listener.hangUp();
    await Promise.all(closed);
  }
}
