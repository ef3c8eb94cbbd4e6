/**
 * The limits of AWS IoT Core on one connection, packet by packet. Pure: time is an argument. Says what happens to a
 * packet; never touches a socket.
 *
 * As on AWS, what goes over the rate or over the packets in flight is silently discarded, what is too large or goes to an
 * impossible topic ends the connection, and QoS 2 gets no answer at all.
 */

import { type Frame, PACKET, readConnect, readPacketId, readPublish, readSubscribeQos } from './frames.js';
import { withoutPrefix } from './rule.js';

export interface Limits {
  readonly payloadBytes: number;
  readonly topicBytes: number;
  readonly topicSlashes: number;
  /** Publishes a second on a connection, both directions together. */
  readonly publishesPerSecond: number;
  /** QoS 1 publishes without PUBACK, each direction. */
  readonly inFlight: number;
  /** Time between two CONNECTs of one client id, ms. */
  readonly connectIntervalMs: number;
}

export const IOT_CORE_LIMITS: Limits = {
  payloadBytes: 128 * 1024,
  topicBytes: 256,
  topicSlashes: 7,
  publishesPerSecond: 100,
  inFlight: 100,
  connectIntervalMs: 1000,
};

/** The largest packet that is looked at: a payload at its limit, and room for the headers. */
export const MAX_FRAME_BYTES = 146 * 1024;

export type Refusal =
  | 'payload-too-large'
  | 'malformed'
  | 'topic-too-long'
  | 'topic-too-deep'
  | 'publish-rate'
  | 'in-flight-in'
  | 'in-flight-out'
  | 'connect-rate'
  | 'protocol-version'
  | 'qos-2'
  | 'client-id-denied'
  | 'publish-denied'
  | 'subscribe-denied'
  | 'certificate'
  | 'too-many-sessions'
  | 'session-full';

export type Verdict =
  | { readonly action: 'pass' }
  | { readonly action: 'discard' | 'close'; readonly refusal: Refusal }
  /** Passed on, so that the broker may answer, and counted. */
  | { readonly action: 'pass'; readonly refusal: Refusal };

const PASS: Verdict = { action: 'pass' };

/** Remembers when each client id connected last, over all connections. */
export class ConnectRate {
  readonly #intervalMs: number;
  readonly #lastMs = new Map<string, number>();

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  allows(clientId: string, nowMs: number): boolean {
    const lastMs = this.#lastMs.get(clientId);
    if (lastMs !== undefined && nowMs - lastMs < this.#intervalMs) return false;
    if (this.#lastMs.size > 10_000) this.#lastMs.clear();
    this.#lastMs.set(clientId, nowMs);
    return true;
  }
}

/** The state of one connection. */
export class ConnectionLimits {
  readonly #limits: Limits;
  readonly #connects: ConnectRate;
  /** When the last publishes passed; a ring of `publishesPerSecond` places. */
  readonly #passedMs: number[] = [];
  #next = 0;
  readonly #unacknowledgedIn = new Set<number>();
  readonly #unacknowledgedOut = new Set<number>();

  constructor(limits: Limits, connects: ConnectRate) {
    this.#limits = limits;
    this.#connects = connects;
  }

  /** From the client. */
  judgeIn(frame: Frame, nowMs: number): Verdict {
    if (frame.type === PACKET.connect) return this.#judgeConnect(frame, nowMs);
    if (frame.type === PACKET.puback) this.#unacknowledgedOut.delete(readPacketId(frame));
    if (frame.type === PACKET.subscribe && readSubscribeQos(frame).includes(2)) return discard('qos-2');
    return frame.type === PACKET.publish ? this.#judgePublishIn(frame, nowMs) : PASS;
  }

  /** To the client. */
  judgeOut(frame: Frame, nowMs: number): Verdict {
    if (frame.type === PACKET.puback) this.#unacknowledgedIn.delete(readPacketId(frame));
    if (frame.type !== PACKET.publish) return PASS;
    const publish = readPublish(frame);
    if (publish === undefined) return PASS;
    return this.#judgeFlow(publish, this.#unacknowledgedOut, 'in-flight-out', nowMs);
  }

  #judgeConnect(frame: Frame, nowMs: number): Verdict {
    const connect = readConnect(frame);
    if (connect === undefined) return close('malformed');
    // The broker answers these itself, and the same client asks again in MQTT 3.1.1 at once.
    if (connect.level > 4) return { action: 'pass', refusal: 'protocol-version' };
    return this.#connects.allows(connect.clientId, nowMs) ? PASS : close('connect-rate');
  }

  #judgePublishIn(frame: Frame, nowMs: number): Verdict {
    const publish = readPublish(frame);
    if (publish === undefined) return close('malformed');
    if (publish.payloadBytes > this.#limits.payloadBytes) return close('payload-too-large');
    const topic = withoutPrefix(publish.topic);
    if (Buffer.byteLength(topic) > this.#limits.topicBytes) return close('topic-too-long');
    if (topic.split('/').length - 1 > this.#limits.topicSlashes) return close('topic-too-deep');
    if (publish.qos > 1) return discard('qos-2');
    return this.#judgeFlow(publish, this.#unacknowledgedIn, 'in-flight-in', nowMs);
  }

  #judgeFlow(
    publish: { readonly qos: number; readonly packetId: number },
    unacknowledged: Set<number>,
    overflow: Refusal,
    nowMs: number,
  ): Verdict {
    const isNew = publish.qos === 1 && !unacknowledged.has(publish.packetId);
    if (isNew && unacknowledged.size >= this.#limits.inFlight) return discard(overflow);
    const oldestMs = this.#passedMs[this.#next];
    if (oldestMs !== undefined && nowMs - oldestMs < 1000) return discard('publish-rate');
    this.#passedMs[this.#next] = nowMs;
    this.#next = (this.#next + 1) % this.#limits.publishesPerSecond;
    if (publish.qos === 1) unacknowledged.add(publish.packetId);
    return PASS;
  }
}

function discard(refusal: Refusal): Verdict {
  return { action: 'discard', refusal };
}

function close(refusal: Refusal): Verdict {
  return { action: 'close', refusal };
}
