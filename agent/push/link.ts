/**
 * The uplink, as the push stage sees it, whatever carries it: what is published on it, and what is heard. What becomes of
 * a batch, only a receipt tells.
 *
 * Contract of every link: `start` begins and never waits; it goes on trying until `stop`; `up` and `down` are told in turns;
 * credentials are asked for anew with each attempt; nothing published is remembered beyond its connection.
 */
import type { IClientOptions } from 'mqtt';
import type { EdgetallyError } from '../../shared/errors.js';
import type { MqttEnd } from '../../shared/mqtt-reasons.js';

export interface LinkHandlers {
  /** What to connect with, read and checked anew for each attempt: certificates may have been replaced. */
  credentials(signal: AbortSignal): Promise<IClientOptions>;
  /** Says in our words why a connection failed. */
  explain(end: MqttEnd): EdgetallyError;
  up(): void;
  down(): void;
  message(topic: string, payload: Uint8Array): void;
}

export interface LinkState {
  readonly state: 'up' | 'connecting' | 'down';
  /** Why it is not up. */
  readonly problem: string | undefined;
  readonly connects: number;
  readonly failures: number;
}

export interface Link {
  readonly state: LinkState;
  start(): void;
  /** Ends the connection once what was published is on its way. */
  stop(): Promise<void>;
  /** A new connection in place of this one. `forget`: also what was learnt of the other side. */
  renew(forget: boolean): void;
  /** Lost without a word where the link is not up, or goes down meanwhile. */
  publish(topic: string, payload: Uint8Array, options: { qos: 0 | 1; retain?: boolean }): void;
  /** Rejects where the other side refuses it. */
  subscribe(topic: string): Promise<void>;
}
