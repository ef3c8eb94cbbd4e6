/**
 * The uplink, as the push stage sees it, whatever carries it: what is sent on it, and what is heard. What becomes of a batch,
 * only a receipt tells.
 *
 * Contract of every link: `start` begins and never waits; it goes on trying until `stop`; `up` and `down` are told in turns;
 * credentials are asked for anew with each attempt; nothing that was sent is remembered beyond its connection.
 */
import type { IClientOptions } from 'mqtt';
import type { EdgetallyError } from '../../shared/errors.js';
import type { MqttEnd } from '../../shared/mqtt-reasons.js';
import type { Answer } from '../mqtt/ask.js';
import type { Grant } from './credit.js';

/** `nucleus`: the MQTT connection of a Greengrass nucleus on this machine. */
export type Transport = 'mqtt' | 'https' | 'nucleus';

/** Of a link on which no receipt comes by itself. */
export interface Blind {
  /** How long a batch that was taken waits for its receipt before it is sent again. */
  readonly patienceMs: number;
  /** What may leave, where nobody is there to grant anything. */
  readonly grant: Grant;
}

export interface Carrier {
  readonly transport: Transport;
  readonly blind?: Blind;
}

export interface LinkHandlers {
  /** What to connect with, read and checked anew for each attempt: certificates may have been replaced. */
  credentials(transport: Transport, signal: AbortSignal): Promise<IClientOptions>;
  /** Says in our words why a connection to that address failed. */
  explain(end: MqttEnd, transport: Transport, address: string): EdgetallyError;
  up(carrier: Carrier): void;
  down(): void;
  message(topic: string, payload: Uint8Array): void;
}

export interface LinkState {
  readonly transport: Transport;
  /** Why it is not MQTT. */
  readonly because: string | undefined;
  readonly state: 'up' | 'connecting' | 'down';
  /** Why it is not up. */
  readonly problem: string | undefined;
  readonly connects: number;
  readonly failures: number;
}

export interface Link {
  readonly state: LinkState;
  start(): void;
  /** Ends the connection once what was sent is on its way. */
  stop(): Promise<void>;
  /** A new connection in place of this one. `forget`: also what was learnt of the other side. */
  renew(forget: boolean): void;
  /** A batch. Resolves when the other side has taken it, which is no receipt; rejects where it has not. */
  send(topic: string, payload: Uint8Array): Promise<void>;
  /** The status, which is to stand at its topic if `retained`. Lost without a word where the link is not up or cannot carry it. */
  post(topic: string, payload: Uint8Array, retained: boolean): void;
  /** A question to the broker itself. Rejects where there is no answer in time. */
  ask(topic: string, question: string, timeoutMs: number): Promise<Answer>;
  /** Rejects where the other side refuses it. */
  subscribe(topic: string): Promise<void>;
}
