/**
 * One connection of the mqtt source to its broker, from CONNECT to its end.
 *
 * Promises: a PUBACK is written only after Accept says that the message is on disk, and only on the connection that
 * brought the message (a packet id means nothing on another). Many messages wait for one commit: mqtt.js takes the next
 * packet when handleMessage calls back, and writes no PUBACK if it calls back with an error; so each message calls back
 * with one at once, and its PUBACK is written here, together with all others of its commit. A message that could not be
 * stored ends the connection, because a broker sends again only on a new one.
 */
import type { Socket } from 'node:net';
import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import { pubacks } from '../../shared/puback.js';
import { MqttConnection } from '../mqtt/connection.js';
import type { Accept, Sender } from '../reading.js';

export interface LinkCounters {
  stored: number;
  /** Handed over, not stored, not acknowledged. */
  unstored: number;
  /** Old news, acknowledged and not counted. */
  retainedIgnored: number;
  /** Sent before, as the broker says. */
  redelivered: number;
}

export interface LinkOptions {
  /** Of the source and its session. */
  readonly name: string;
  readonly url: string;
  readonly client: IClientOptions;
  readonly accept: Accept;
  readonly arrivalUs: () => number;
  readonly maxInFlight: number;
  readonly acceptRetained: boolean;
  readonly counters: LinkCounters;
}

/** Tells mqtt.js to write no PUBACK for this packet, and to go on. Never seen by anyone. */
const HELD = new Error('held until it is on disk');

export class Link {
  readonly connection: MqttConnection;
  readonly #options: LinkOptions;
  readonly #from: Sender;
  #inFlight = 0;
  #closing = false;
  #drained: (() => void) | undefined;
  /** Packet ids whose PUBACK goes out at the end of this turn. */
  #acknowledged: number[] = [];
  /** Lets mqtt.js go on reading. */
  #goOn: (() => void) | undefined;

  /** Starts to connect. */
  constructor(options: LinkOptions) {
    this.#options = options;
    this.#from = { name: options.name, isSettled: false };
    this.connection = new MqttConnection(options.url, options.client);
    this.#client.handleMessage = (packet, next) => this.#receive(packet, next);
  }

  get #client(): MqttClient {
    return this.connection.client;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** The QoS that the broker granted, or its refusal. */
  subscribe(filter: string, qos: 0 | 1): Promise<number | Error> {
    // rh 1: with MQTT 5, retained messages only where the subscription is new
    return new Promise((resolve) => {
      this.#client.subscribe(filter, { qos, rh: 1 }, (error, granted) => resolve(error ?? granted?.[0]?.qos ?? qos));
      this.#client.once('close', () => resolve(new Error('the connection was lost')));
    });
  }

  /** Takes nothing more, and waits until what was taken is acknowledged. */
  async drain(): Promise<void> {
    this.#closing = true;
    this.#goOn?.();
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
      this.#client.once('close', () => resolve());
    });
  }

  #receive(packet: IPublishPacket, next: (error?: Error) => void): void {
    const { topic, qos, retain, dup, messageId } = packet;
    const { accept, arrivalUs, acceptRetained, counters } = this.#options;
    if (this.#closing) {
      next(HELD); // the broker has it still
      return;
    }
    if (retain && !acceptRetained) {
      counters.retainedIgnored++;
      next();
      return;
    }
    if (dup) counters.redelivered++;
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    const alone = qos === 2; // never asked for; PUBCOMP then is the acknowledgement, and mqtt.js writes it
    const delivery =
      messageId === undefined ? undefined : { from: this.#from, packetId: messageId, isRedelivered: dup };
    this.#inFlight++;
    accept(
      { topic, payload, arrivalUs: arrivalUs(), delivery },
      (error) => {
        this.#inFlight--;
        if (error === undefined) counters.stored++;
        else counters.unstored++;
        if (alone) next(error);
        else if (error === undefined && qos === 1 && messageId !== undefined) this.#acknowledge(messageId);
        if (error !== undefined && qos > 0) this.#hangUp();
        if (this.#inFlight < this.#options.maxInFlight) this.#goOn?.();
        if (this.#inFlight === 0) this.#drained?.();
      },
      alone,
    );
    if (alone) return;
    if (this.#inFlight < this.#options.maxInFlight) next(HELD);
    else
      this.#goOn = () => {
        this.#goOn = undefined;
        next(HELD);
      };
  }

  /** What is acknowledged is still written; the rest will be sent again on the next connection. */
  #hangUp(): void {
    this.#closing = true;
    this.#writePubacks();
    (this.#client.stream as Socket).destroySoon();
  }

  #acknowledge(messageId: number): void {
    if (this.#acknowledged.push(messageId) === 1) queueMicrotask(() => this.#writePubacks());
  }

  #writePubacks(): void {
    const ids = this.#acknowledged;
    this.#acknowledged = [];
    const { stream } = this.#client;
    if (ids.length === 0 || stream.destroyed || !stream.writable) return; // they will be sent again
    stream.write(pubacks(ids));
  }
}
