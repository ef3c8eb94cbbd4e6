/**
 * The status of a gateway: JSON, retained, and (with state `offline`) its last will.
 *
 * Promises: reading is total; unknown keys are let through, a missing or wrong one is refused, a newer version is refused
 * with words.
 */

import { z } from 'zod';
import { type DecodedMessage, decodeMessage, epochField } from './message.js';

export const STATUS_VERSION = 1;

const count = z.int().min(0);

const status = z.object({
  v: z.literal(STATUS_VERSION),
  state: z.enum(['online', 'offline']),
  epoch: epochField,
  /** Of the agent. */
  version: z.string().min(1).max(64),
  sentMs: count,
  backlog: z.object({ windows: count, bytes: count, oldestMs: z.int().nullable() }),
  /** Since the database was made: in = counted + duplicate + rejected + held. */
  readings: z.object({ in: count, counted: count, duplicate: count, rejected: count, held: count }),
});

export type Status = Readonly<z.infer<typeof status>>;

export function encodeStatus(value: Omit<Status, 'v'>): Uint8Array {
  return Buffer.from(JSON.stringify({ ...value, v: STATUS_VERSION }));
}

export function decodeStatus(bytes: Uint8Array): DecodedMessage<Status> {
  return decodeMessage('status', status, STATUS_VERSION, bytes);
}
