/**
 * What a rule of IoT Core makes of a message: JSON with the payload as base64, beside what the broker knows of it. A rule takes
 * messages of its topics, and what is published to it by Basic Ingest, whatever topic follows its name. Pure.
 */
import { parseUpTopic } from '../shared/topics.js';

export interface RuleOptions {
  /** For Basic Ingest. */
  readonly name: string;
  readonly kind: 'batch' | 'status';
}

export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly clientId: string;
  /** SHA-256 of the client's certificate, in hex. */
  readonly principal: string;
  readonly timestampMs: number;
}

const BASIC_INGEST = /^\$aws\/rules\/([A-Za-z0-9_]+)\//;

/** The rule that a topic calls by its name. */
export function basicIngestRule(topic: string): string | undefined {
  return BASIC_INGEST.exec(topic)?.[1];
}

/** What `topic()` says, and what counts for limits. */
export function withoutPrefix(topic: string): string {
  return topic.replace(BASIC_INGEST, '');
}

export function takes({ name, kind }: RuleOptions, topic: string): boolean {
  const called = basicIngestRule(topic);
  return called === undefined ? parseUpTopic(topic)?.kind === kind : called === name;
}

export function ruleOutput({ topic, payload, clientId, principal, timestampMs }: BrokerMessage): string {
  return JSON.stringify({
    payload: Buffer.from(payload).toString('base64'),
    topic: withoutPrefix(topic),
    clientId,
    principal,
    timestamp: timestampMs,
  });
}
