/** Bytes with their CRC-32 behind them. */
import { crc32 } from '../../shared/crc32.js';
import { EdgetallyError, type ErrorCode } from '../../shared/errors.js';

const CHECKSUM_BYTES = 4;

export function seal(bytes: Uint8Array): Uint8Array {
  const sealed = Buffer.allocUnsafe(bytes.length + CHECKSUM_BYTES);
  sealed.set(bytes);
  sealed.writeUInt32BE(crc32(bytes), bytes.length);
  return sealed;
}

export function isWhole(sealed: Uint8Array): boolean {
  const length = sealed.length - CHECKSUM_BYTES;
  if (length < 0) return false;
  const told = new DataView(sealed.buffer, sealed.byteOffset + length).getUint32(0);
  return told === crc32(sealed.subarray(0, length));
}

/** What was sealed; throws an error of that code where the bytes changed. */
export function unseal(sealed: Uint8Array, code: ErrorCode): Uint8Array {
  if (!isWhole(sealed)) throw new EdgetallyError(code, 'stored bytes changed: their checksum does not hold');
  return sealed.subarray(0, -CHECKSUM_BYTES);
}
