/**
 * The status of a gateway: JSON, retained, and (with state `offline`) its last will.
 *
 * Promises: reading is total; unknown keys are let through, a missing or wrong one is refused, a newer version is refused
 * with words.
 */

import { z } from 'zod';
import { type DecodedMessage, decodeMessage, epochField } from './message.js';

export const STATUS_VERSION = 1;
/** Kinds, and reasons of one kind. */
const MAX_WORDS = 64;

const count = z.int().min(0);

/** A kind of loss, and a reason: words that are safe to print. */
export const REASON = /^[a-z0-9-]{1,64}$/;
const word = z.string().regex(REASON, 'expected a word of a-z, 0-9 and -');

function few<T>(value: z.ZodType<T>) {
  return z
    .record(word, value)
    .refine((record) => Object.keys(record).length <= MAX_WORDS, `expected at most ${MAX_WORDS} entries`);
}

const status = z.object({
  v: z.literal(STATUS_VERSION),
  state: z.enum(['online', 'offline']),
  epoch: epochField,
  /** Of the agent. */
  version: z.string().min(1).max(64),
  sentMs: count,
  /** The gateway was stopped on purpose, and said so itself: it counts nothing until it is started again. No last will. */
  final: z.boolean().optional(),
  backlog: z.object({ windows: count, bytes: count, oldestMs: z.int().nullable() }),
  /** Readings that are counted, and in no window of the backlog yet: their windows still gather. Not told by older agents. */
  open: z.object({ windows: count, readings: count, oldestMs: z.int().nullable() }).optional(),
  /** The certificate that a gateway trusts, where it gets its own: any other of its thing may be deactivated. */
  certificate: z
    .object({ id: z.string().regex(/^[0-9a-f]{64}$/), notAfterMs: z.int(), confirmedMs: count.nullable() })
    .optional(),
  /** Since the database was made: in = counted + duplicate + rejected + held. */
  readings: z.object({ in: count, counted: count, duplicate: count, rejected: count, held: count }),
  /**
   * Everything that was lost, left out or made coarser, since the database was made: kind → reason → how often. `rejected`
   * is readings.rejected by reason, `values` single metrics left out of readings that count; `refused` the windows that
   * cannot be delivered as of now. A gateway may know more kinds.
   */
  reasons: few(few(count)).default({}),
});

export type Status = Readonly<z.infer<typeof status>>;

export function encodeStatus(value: Omit<z.input<typeof status>, 'v'>): Uint8Array {
  return Buffer.from(JSON.stringify({ ...value, v: STATUS_VERSION }));
}

export function decodeStatus(bytes: Uint8Array): DecodedMessage<Status> {
  return decodeMessage('status', status, STATUS_VERSION, bytes);
}
