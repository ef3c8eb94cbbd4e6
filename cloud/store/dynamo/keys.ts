/**
 * The keys of all items: `pk` spreads them over the partitions of DynamoDB, `sk` orders those that are read together. See
 * table.ts for what is where.
 *
 * Names may hold any character but control characters, so `#` and `%` in them are escaped: no two things share a key. Times
 * are ISO 8601 in UTC, which sorts as time does from the year 0 to 9999; what the wire lets in lies well within.
 */
import { createHash } from 'node:crypto';
import type { Resolution, Subject } from '../store.js';

export interface Key {
  readonly pk: string;
  readonly sk: string;
}

/** Gateways are listed in this many partitions. */
export const DIRECTORY_SHARDS = 16;

const FIRST_MS = Date.parse('0000-01-01T00:00:00Z');
const LAST_MS = Date.parse('9999-12-31T00:00:00Z');

/** Sorts as time does. Instants beyond the years that sort are moved to their edge: only the bounds of a span lie there. */
export function timeKey(ms: number): string {
  return new Date(Math.min(Math.max(ms, FIRST_MS), LAST_MS)).toISOString();
}

export function gatewayPk(gateway: string): string {
  return `gateway#${escaped(gateway)}`;
}

/** Of a device or a group: its windows and roll-ups. */
export function subjectPk({ gateway, group, device }: Subject): string {
  const names = `${escaped(gateway!)}#${escaped(group!)}`;
  return device === undefined ? `group#${names}` : `device#${names}#${escaped(device)}`;
}

export function windowSk(startMs: number, lengthMs: number, part: number, epoch: string): string {
  return `window#${timeKey(startMs)}#${lengthMs}#${part}#${epoch}`;
}

export function rollUpSk(resolution: Resolution, startMs: number): string {
  return `${resolution}#${timeKey(startMs)}`;
}

/** The accounts of a UTC day. */
export function daySk(dayMs: number, epoch: string): string {
  return `day#${timeKey(dayMs)}#${epoch}`;
}

export function sessionSk(epoch: string, session: number): string {
  return `session#${epoch}#${session}`;
}

export function directoryKey(gateway: string): Key {
  const shard = createHash('sha256').update(gateway).digest()[0]! % DIRECTORY_SHARDS;
  return { pk: directoryPk(shard), sk: `gateway#${gateway}` };
}

export function directoryPk(shard: number): string {
  return `gateways#${shard}`;
}

export function quarantinePk(gateway: string, digest: string): string {
  return `rejected#${escaped(gateway)}#${digest}`;
}

function escaped(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('#', '%23');
}
