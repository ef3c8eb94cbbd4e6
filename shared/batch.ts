/**
 * A batch: summaries travelling together in one message, from gateway to cloud. docs/wire-format.md has every byte.
 *
 * This file owns the envelope: magic, version, identity, checksums, compression. The identity (epoch, session, sequence) is
 * outside of the compressed body, under a checksum of its own and in the same place in every version, so that a batch that
 * cannot be read can still be named in a receipt.
 *
 * Promises: decodeBatch is total: any bytes give a batch or a reason; it never throws, never decompresses or allocates more
 * than its limits, and what it returns could have been observed. Never: an identity without a checksum.
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { decodeBody } from './batch-decode.js';
import { type BatchBody, encodeBody } from './batch-encode.js';
import { BitReader } from './bits.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { crc32 } from './crc32.js';
import { DecodeError, type DecodeFailure, invalid } from './decode-error.js';
import type { LossRecord } from './loss.js';
import type { WindowSummary } from './window.js';

/** The gateway's own total of counted readings of a device and UTC day, sent with windows of that day; the greatest wins. */
export interface LedgerEntry {
  readonly group: string;
  readonly device: string;
  readonly dayMs: number;
  readonly readings: number;
}

export interface BatchIdentity {
  /** Of the gateway's database: 32 lower-case hex digits. */
  readonly epoch: string;
  /** The opening of that database: see `nameSession`. */
  readonly session: number;
  /** From 1 on, without a gap within a session. */
  readonly sequence: number;
}

export interface Batch extends BatchIdentity {
  readonly sentMs: number;
  readonly windows: readonly WindowSummary[];
  readonly ledger: readonly LedgerEntry[];
  readonly losses: readonly LossRecord[];
}

/** What a receiver is willing to hold. */
export interface BatchLimits {
  /** Of the message. */
  readonly maxBytes: number;
  /** Of its body, decompressed. */
  readonly maxBodyBytes: number;
  /** Also of ledger entries, and of loss records. A gateway puts at most 2,000 windows into a batch. */
  readonly maxWindows: number;
  /** Of all windows together. */
  readonly maxSummaries: number;
}

export const BATCH_LIMITS: BatchLimits = {
  maxBytes: 1024 * 1024,
  maxBodyBytes: 4 * 1024 * 1024,
  maxWindows: 4_096,
  maxSummaries: 65_536,
};

export type BatchReject = DecodeFailure;

export type DecodedBatch =
  | { readonly ok: true; readonly batch: Batch }
  | {
      readonly ok: false;
      readonly reason: BatchReject;
      /** For people. */
      readonly detail: string;
      /** Where its own checksum holds. */
      readonly header?: BatchIdentity;
    };

export const BATCH_VERSION = 1;
/** "ETB" */
const MAGIC = Uint8Array.of(0x45, 0x54, 0x42);
const EPOCH = /^[0-9a-f]{32}$/;

/** Throws RangeError for what cannot be told: a name that is none, a window that is not aligned, more than BATCH_LIMITS. */
export function encodeBatch(batch: Batch): Uint8Array {
  const { epoch, session, sequence } = batch;
  if (!EPOCH.test(epoch)) throw new RangeError(`not an epoch: ${epoch}`);
  if (!(session >= 1 && sequence >= 1)) throw new RangeError('session and sequence count from 1');
  const most = Math.max(batch.windows.length, batch.ledger.length, batch.losses.length);
  if (most > BATCH_LIMITS.maxWindows) throw new RangeError(`over ${BATCH_LIMITS.maxWindows} of a kind`);
  return sealBatch(batch, packBody(encodeBody(batch)));
}

export function packBody({ columns, bits }: BatchBody): Uint8Array {
  // Level 6 makes it 1 % smaller in twice the time.
  const packed = deflateRawSync(columns, { level: 1 });
  const content = new ByteWriter(16 + packed.length + bits.length);
  content.varint(columns.length);
  content.varint(packed.length);
  content.raw(packed);
  content.raw(bits);
  return content.bytes();
}

/** Puts a packed body into its envelope. */
export function sealBatch(identity: BatchIdentity, packed: Uint8Array, version = BATCH_VERSION): Uint8Array {
  const message = new ByteWriter(64 + packed.length);
  message.raw(MAGIC);
  message.byte(version);
  message.raw(Buffer.from(identity.epoch, 'hex'));
  message.varint(identity.session);
  message.varint(identity.sequence);
  message.uint32(crc32(message.bytes()));
  message.uint32(crc32(packed));
  message.raw(packed);
  return message.bytes();
}

export function decodeBatch(bytes: Uint8Array, limits: Partial<BatchLimits> = {}): DecodedBatch {
  let header: BatchIdentity | undefined;
  try {
    const reader = new ByteReader(bytes);
    const version = readMagic(reader);
    header = readIdentity(reader, bytes);
    const batch = readBatch(reader, version, header, { ...BATCH_LIMITS, ...limits });
    return { ok: true, batch };
  } catch (error) {
    const [reason, detail] =
      error instanceof DecodeError ? [error.kind, error.message] : (['corrupt', `unreadable: ${error}`] as const);
    return { ok: false, reason, detail, ...(header && { header }) };
  }
}

function refuse(kind: DecodeFailure, message: string): never {
  throw new DecodeError(kind, message);
}

function readMagic(reader: ByteReader): number {
  for (const byte of MAGIC) {
    if (reader.remaining === 0 || reader.byte() !== byte) refuse('not-a-batch', 'does not begin with ETB');
  }
  return reader.byte();
}

function readIdentity(reader: ByteReader, bytes: Uint8Array): BatchIdentity {
  const epoch = Buffer.from(reader.raw(16)).toString('hex');
  const identity = { epoch, session: reader.varint(), sequence: reader.varint() };
  const checked = bytes.subarray(0, reader.position);
  if (reader.uint32() !== crc32(checked)) refuse('checksum', 'the header changed on its way');
  if (identity.session < 1 || identity.sequence < 1) invalid('session and sequence count from 1');
  return identity;
}

function readBatch(reader: ByteReader, version: number, identity: BatchIdentity, limits: BatchLimits): Batch {
  if (version > BATCH_VERSION) {
    refuse('newer-version', `batch format ${version}, this program reads up to ${BATCH_VERSION}: upgrade it first`);
  }
  if (version < BATCH_VERSION) refuse('corrupt', 'batch format 0');
  if (reader.position + reader.remaining > limits.maxBytes) refuse('too-large', `over ${limits.maxBytes} bytes`);
  const checksum = reader.uint32();
  const content = reader.raw(reader.remaining);
  if (checksum !== crc32(content)) refuse('checksum', 'the body changed on its way');
  const body = new ByteReader(content);
  const length = body.varint();
  if (length > limits.maxBodyBytes) refuse('too-large', `a body of ${length} bytes, limit ${limits.maxBodyBytes}`);
  const columns = inflate(body.raw(body.varint()), length);
  return decodeBody(columns, new BitReader(body.raw(body.remaining)), identity, limits);
}

function inflate(packed: Uint8Array, length: number): Uint8Array {
  let body: Uint8Array | undefined;
  try {
    // The cap holds whatever the stream says; the chunk saves growing.
    body = inflateRawSync(packed, { maxOutputLength: Math.max(length, 1), chunkSize: Math.max(length, 64) });
  } catch (error) {
    refuse('corrupt', `the body does not decompress: ${error instanceof Error ? error.message : error}`);
  }
  if (body.length !== length) refuse('corrupt', 'the body has another length than it says');
  return body;
}
