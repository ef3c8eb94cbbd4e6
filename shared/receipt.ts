/**
 * A receipt: the cloud's word that batches are committed in its store, or why they never will be. JSON, QoS 0, several in
 * one message: a receipt is idempotent, and a lost one costs one resend.
 *
 * Promises: reading is total; unknown keys are let through (a newer cloud may say more), a missing or wrong one is refused,
 * a newer version is refused with words. Never: a receipt made up of half of one.
 */

import { z } from 'zod';
import { type DecodedMessage, decodeMessage, epochField } from './message.js';

export const RECEIPT_VERSION = 1;

const MAX_DETAIL = 1000;
const MAX_PATIENCE_MS = 86_400_000;
const countFromOne = z.int().min(1);

const receipt = z.object({
  v: z.literal(RECEIPT_VERSION),
  epoch: epochField,
  committed: z.array(z.object({ session: countFromOne, sequences: z.array(countFromOne) })),
  rejected: z.array(
    z.object({
      session: countFromOne,
      sequence: countFromOne,
      /** A BatchReject, or a word of a newer cloud. */
      reason: z.string().min(1).max(64),
      /** For people. */
      detail: z.string().max(MAX_DETAIL),
    }),
  ),
  timeMs: z.int().min(0),
  /** Of the cloud side's program: another one may take what this one refused. */
  version: z.string().min(1).max(64).optional(),
  /** How many windows of its backlog this gateway may send; a cloud that says nothing of it sets no limit. */
  credit: z.object({ windowsPerSecond: z.number().positive().max(1e9) }).optional(),
  /** This cloud gathers receipts: wait so long for one before sending again. A repetition gets its receipt at once. */
  patienceMs: z.int().min(0).max(MAX_PATIENCE_MS).optional(),
});

export type Receipt = Readonly<z.infer<typeof receipt>>;

/** Cuts details that are too long. */
export function encodeReceipt(value: Omit<Receipt, 'v'>): Uint8Array {
  const rejected = value.rejected.map((reject) => ({ ...reject, detail: reject.detail.slice(0, MAX_DETAIL) }));
  return Buffer.from(JSON.stringify({ ...value, v: RECEIPT_VERSION, rejected }));
}

export function decodeReceipt(bytes: Uint8Array): DecodedMessage<Receipt> {
  return decodeMessage('receipt', receipt, RECEIPT_VERSION, bytes);
}
