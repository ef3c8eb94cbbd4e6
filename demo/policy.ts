/**
 * Who may do what at the broker, by the common name of the certificate: the policies that an operator would attach on
 * AWS IoT Core. A gateway may only speak as itself; the cloud may only listen to gateways and answer them. Pure.
 */

import { withoutPrefix } from './rule.js';

const CLOUD = 'cloud';
const UP_KINDS = ['batch', 'status', 'event'];
const DOWN_KINDS = ['receipt', 'command', 'config'];
const WILDCARDS = ['+', '#'];

/** A client id is the name itself, or the name and a suffix (several consumers of one cloud). */
export function mayConnect(name: string, clientId: string): boolean {
  return name !== '' && clientId.startsWith(name) && /^$|^[-_.:]/.test(clientId.slice(name.length));
}

export function mayPublish(name: string, published: string, isRetained: boolean): boolean {
  const topic = withoutPrefix(published);
  if (topic !== published && (name === CLOUD || isRetained)) return false; // Basic Ingest is for gateways, and retains nothing
  const { gateway, direction, kind } = partsOf(topic);
  if (name === CLOUD) return gateway !== '+' && direction === 'down' && DOWN_KINDS.includes(kind) && !isRetained;
  return gateway === name && direction === 'up' && UP_KINDS.includes(kind) && (!isRetained || kind === 'status');
}

/** Policies by the common name of the certificate; a thing is not known there. */
export function mayPublishByHttps(name: string, topic: string): boolean {
  const { gateway, direction, kind } = partsOf(topic);
  return gateway === name && direction === 'up' && kind === 'batch';
}

/** The filter itself must be one that the policy names: a wildcard cannot reach further than that. */
export function maySubscribe(name: string, filter: string): boolean {
  const { gateway, direction, kind } = partsOf(filter);
  if (name === CLOUD) return gateway !== '' && direction === 'up' && [...UP_KINDS, ...WILDCARDS].includes(kind);
  return gateway === name && direction === 'down' && [...DOWN_KINDS, ...WILDCARDS].includes(kind);
}

function partsOf(topic: string): { gateway: string; direction: string; kind: string } {
  const [, gateway = '', direction = '', kind = ''] = /^edgetally\/v1\/([^/]+)\/(up|down)\/([^/]+)$/.exec(topic) ?? [];
  return { gateway, direction, kind };
}
