/**
 * Who sent a message: the gateway of the topic must be the thing whose certificate opened the connection. The policy sees to
 * that at the broker; this looks again, so that a policy that was made too wide does not let one gateway speak as another.
 *
 * Over MQTT the client id is the thing’s name (the policy allows no other). Over HTTPS there is no client id: there the topic is
 * guarded by the common name in the certificate alone, and the sender must be one with a certificate.
 */
import { parseUpTopic } from '../../shared/topics.js';
import type { RuleMessage } from './rule.js';

/** What `clientid()` says of a message that did not come over MQTT. */
const NO_CLIENT = 'n/a';
/** What `principal()` says of a sender with a certificate: its SHA-256. */
const CERTIFICATE = /^[0-9a-f]{64}$/i;

/** What is wrong; undefined where nothing is, or where the topic names no gateway. */
export function forgeryIn({ topic, clientId, principal }: RuleMessage): string | undefined {
  const gateway = parseUpTopic(topic)?.gateway;
  if (gateway === undefined || clientId === gateway) return undefined;
  if (clientId.toLowerCase() !== NO_CLIENT) {
    return `client ${JSON.stringify(clientId)} spoke as gateway ${JSON.stringify(gateway)} (principal ${principal})`;
  }
  if (CERTIFICATE.test(principal)) return undefined;
  return `a sender without a certificate spoke as gateway ${JSON.stringify(gateway)} (principal ${principal})`;
}
