/**
 * What AWS would charge for as messages of IoT Core, packet by packet: in steps of 5 KB of topic and payload; a publish each way, a CONNECT,
 * a SUBSCRIBE, a PUBACK of a client, and what is retained. What goes to a rule by Basic Ingest is free. Pure.
 */
import { type Frame, PACKET, readPublish } from './frames.js';
import { basicIngestRule } from './rule.js';

const STEP_BYTES = 5 * 1024;
const RETAIN = 1;

export function messagesIn(frame: Frame): number {
  if (frame.type === PACKET.connect || frame.type === PACKET.subscribe || frame.type === PACKET.puback) return 1;
  if (frame.type !== PACKET.publish) return 0;
  const publish = readPublish(frame);
  if (publish === undefined || basicIngestRule(publish.topic) !== undefined) return 0;
  return stepsOf(publish.topicBytes + publish.payloadBytes) * ((frame.flags & RETAIN) === RETAIN ? 2 : 1);
}

/** To a client. */
export function messagesOut(frame: Frame): number {
  const publish = frame.type === PACKET.publish ? readPublish(frame) : undefined;
  return publish === undefined ? 0 : stepsOf(publish.topicBytes + publish.payloadBytes);
}

/** A publish by the data plane’s API, before it is delivered to anybody. */
export function messagesOfApi(topic: string, payload: Uint8Array): number {
  return stepsOf(Buffer.byteLength(topic) + payload.length);
}

function stepsOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / STEP_BYTES));
}
