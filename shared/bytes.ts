/**
 * Bytes written and read one field at a time: the alphabet of docs/wire-format.md.
 *
 * Promises: the reader is bounds-checked and total: any bytes give values or one DecodeError, which the codecs catch at
 * their edge. A varint is LEB128: seven bits a byte, the lowest first, the high bit set on all but the last.
 * Never: allocate by a count that the bytes claim.
 */

import { corrupt } from './decode-error.js';

/** Longest varint: Σx² of values from 1e-120 to 1e120 has up to 1800 bits. */
const MAX_VARINT_BYTES = 288;
/** Bits that go between a bigint and a number at a time: seven bytes of a varint. */
const CHUNK_BITS = 49;
const CHUNK = 2 ** CHUNK_BITS;
const MAX_ZIGZAG = 2 ** 52 - 1;

const double = new DataView(new ArrayBuffer(8));
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class ByteWriter {
  length = 0;
  private buffer: Uint8Array;

  constructor(capacity = 256) {
    this.buffer = new Uint8Array(capacity);
  }

  /** What was written so far; a view that the next write may change. */
  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  /** Forgets what was written, keeps the room. */
  clear(): void {
    this.length = 0;
  }

  byte(value: number): void {
    if (this.length === this.buffer.length) this.grow(1);
    this.buffer[this.length++] = value;
  }

  /** An integer from 0 to 2^53 − 1. */
  varint(value: number): void {
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw new RangeError(`${value} does not fit a varint`);
    if (this.length + 8 > this.buffer.length) this.grow(8);
    const buffer = this.buffer;
    let at = this.length;
    // Bitwise operators know 32 bits only.
    while (value > 0x7fffffff) {
      buffer[at++] = (value % 128) | 128;
      value = Math.floor(value / 128);
    }
    while (value > 127) {
      buffer[at++] = (value & 127) | 128;
      value >>>= 7;
    }
    buffer[at++] = value;
    this.length = at;
  }

  /** A safe integer, as 2·value or −2·value − 1. */
  zigzag(value: number): void {
    if (value <= MAX_ZIGZAG && value >= -MAX_ZIGZAG) this.varint(value < 0 ? -2 * value - 1 : 2 * value);
    else this.bigVarint(value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value));
  }

  /** An integer of any size from 0 on; the same bytes as varint() where it fits one. */
  bigVarint(value: bigint): void {
    if (value < 0n) throw new RangeError(`${value} does not fit a varint`);
    while (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      let chunk = Number(BigInt.asUintN(CHUNK_BITS, value));
      for (let i = 0; i < 7; i++) {
        this.byte((chunk % 128) | 128);
        chunk = Math.floor(chunk / 128);
      }
      value >>= BigInt(CHUNK_BITS);
    }
    this.varint(Number(value));
  }

  /** Big-endian. */
  uint32(value: number): void {
    double.setUint32(0, value);
    for (let i = 0; i < 4; i++) this.byte(double.getUint8(i));
  }

  /** IEEE 754 binary32, big-endian. */
  float32(value: number): void {
    double.setFloat32(0, value);
    for (let i = 0; i < 4; i++) this.byte(double.getUint8(i));
  }

  /** IEEE 754 binary64, big-endian. */
  float64(value: number): void {
    double.setFloat64(0, value);
    for (let i = 0; i < 8; i++) this.byte(double.getUint8(i));
  }

  raw(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.buffer.length) this.grow(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Text behind its length in bytes. */
  string(text: string): void {
    const bytes = encoder.encode(text);
    this.varint(bytes.length);
    this.raw(bytes);
  }

  private grow(by: number): void {
    const larger = new Uint8Array(Math.max(2 * this.buffer.length, this.length + by));
    larger.set(this.bytes());
    this.buffer = larger;
  }
}

export class ByteReader {
  private readonly buffer: Uint8Array;
  private at: number;
  private readonly end: number;

  constructor(buffer: Uint8Array, start = 0, end = buffer.length) {
    this.buffer = buffer;
    this.at = start;
    this.end = end;
  }

  get position(): number {
    return this.at;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  byte(): number {
    if (this.at === this.end) corrupt('ends too early');
    return this.buffer[this.at++]!;
  }

  /** An integer from 0 to 2^53 − 1. */
  varint(): number {
    const value = this.integer();
    if (typeof value !== 'number') corrupt('a number over 2^53');
    return value;
  }

  /** A safe integer. */
  zigzag(): number {
    const coded = this.integer();
    if (typeof coded === 'number') return coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2;
    const value = Number(coded % 2n === 0n ? coded / 2n : -(coded + 1n) / 2n);
    return Number.isSafeInteger(value) ? value : corrupt('a number over 2^53');
  }

  /** An integer from 0 on: a number up to 2^53 − 1, else a bigint. */
  integer(): number | bigint {
    let value = this.byte();
    if (value < 128) return value;
    value -= 128;
    for (let factor = 128; factor < CHUNK; factor *= 128) {
      const byte = this.byte();
      if (byte < 128) return value + byte * factor;
      value += (byte - 128) * factor;
    }
    const byte = this.byte();
    if (byte < 16) return value + byte * CHUNK;
    return this.longInteger(value, byte);
  }

  /** Goes on after eight bytes: `low` came from seven of them, `next` is the eighth. */
  private longInteger(low: number, next: number): bigint {
    let value = BigInt(low);
    let shift = BigInt(CHUNK_BITS);
    let chunk = next & 127;
    let factor = 128;
    for (let bytes = 8; next > 127; bytes++) {
      if (bytes === MAX_VARINT_BYTES) corrupt('an endless number');
      next = this.byte();
      if (factor === CHUNK) {
        value += BigInt(chunk) << shift;
        shift += BigInt(CHUNK_BITS);
        chunk = 0;
        factor = 1;
      }
      chunk += (next & 127) * factor;
      factor *= 128;
    }
    return value + (BigInt(chunk) << shift);
  }

  uint32(): number {
    for (let i = 0; i < 4; i++) double.setUint8(i, this.byte());
    return double.getUint32(0);
  }

  float32(): number {
    for (let i = 0; i < 4; i++) double.setUint8(i, this.byte());
    return double.getFloat32(0);
  }

  float64(): number {
    for (let i = 0; i < 8; i++) double.setUint8(i, this.byte());
    return double.getFloat64(0);
  }

  /** A view of the next `length` bytes. */
  raw(length: number): Uint8Array {
    if (length > this.remaining) corrupt('ends too early');
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }

  /** A reader of its own over the next `length` bytes. */
  part(length: number): ByteReader {
    if (length > this.remaining) corrupt('ends too early');
    this.at += length;
    return new ByteReader(this.buffer, this.at - length, this.at);
  }

  /** Text behind its length in bytes. */
  string(): string {
    return this.text(this.varint());
  }

  /** `length` bytes of UTF-8. */
  text(length: number): string {
    const bytes = this.raw(length);
    // Most names are ASCII and short, where a TextDecoder costs ten times as much.
    if (length <= 64 && bytes.every(isAscii)) return String.fromCharCode(...bytes);
    try {
      return decoder.decode(bytes);
    } catch {
      return corrupt('text that is not UTF-8');
    }
  }
}

function isAscii(byte: number): boolean {
  return byte < 128;
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}
