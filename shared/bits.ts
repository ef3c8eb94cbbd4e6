/**
 * Bits written and read one number at a time, the highest bit first: the dense part of docs/wire-format.md. Two codes:
 * `below` for a number whose bound both sides know, `golomb` for one that is likely small.
 *
 * Promises: the reader is bounds-checked and total, like ByteReader. Never: a number over 2^53 − 1.
 */

import { corrupt } from './decode-error.js';

/** At most so many bits go through the accumulator at once: with seven that wait they fit 31. */
const STEP_BITS = 24;
const STEP = 2 ** STEP_BITS;
const MAX_BITS = 53;

/** Bits that a number from 0 to 2^53 − 1 has; 0 has none. */
export function bitLength(value: number): number {
  return value < 2 ** 32 ? 32 - Math.clz32(value) : 64 - Math.clz32(value / 2 ** 32);
}

/** Bits that golomb() takes. */
export function golombLength(value: number, k: number): number {
  return 2 * bitLength(Math.floor(value / 2 ** k) + 1) - 1 + k;
}

export class BitWriter {
  private buffer: Uint8Array;
  private length = 0;
  /** Bits that are no byte yet, 7 at most. */
  private waiting = 0;
  private waitingBits = 0;

  constructor(capacity = 256) {
    this.buffer = new Uint8Array(capacity);
  }

  /** What was written so far, with 0 bits up to a whole byte; a view that the next write may change. */
  bytes(): Uint8Array {
    if (this.waitingBits === 0) return this.buffer.subarray(0, this.length);
    this.buffer[this.length] = this.waiting << (8 - this.waitingBits);
    return this.buffer.subarray(0, this.length + 1);
  }

  clear(): void {
    this.length = 0;
    this.waiting = 0;
    this.waitingBits = 0;
  }

  /** The lowest `width` bits of an integer from 0 to 2^width − 1. */
  bits(value: number, width: number): void {
    if (width > STEP_BITS) {
      this.bits(Math.floor(value / STEP), width - STEP_BITS);
      this.bits(value % STEP, STEP_BITS);
      return;
    }
    // Room for this and for the byte that bytes() may add.
    if (this.length + 5 > this.buffer.length) this.grow();
    let waiting = (this.waiting << width) | value;
    let count = this.waitingBits + width;
    while (count >= 8) {
      count -= 8;
      this.buffer[this.length++] = waiting >>> count;
      waiting &= (1 << count) - 1;
    }
    this.waiting = waiting;
    this.waitingBits = count;
  }

  /** Truncated binary: an integer from 0 to bound − 1. */
  below(value: number, bound: number): void {
    if (!(value >= 0 && value < bound)) throw new RangeError(`${value} is not below ${bound}`);
    const width = bitLength(bound) - 1;
    const short = 2 * 2 ** width - bound;
    if (value < short) this.bits(value, width);
    else this.bits(value + short, width + 1);
  }

  /** Exponential Golomb code of order k: an integer from 0 to 2^53 − 1, in about k + 1 bits where it is about 2^k. */
  golomb(value: number, k: number): void {
    if (!(value >= 0 && value < Number.MAX_SAFE_INTEGER)) throw new RangeError(`${value} does not fit`);
    const power = 2 ** k;
    const high = Math.floor(value / power) + 1;
    const width = bitLength(high);
    this.bits(0, width - 1);
    this.bits(high, width);
    this.bits(value % power, k);
  }

  private grow(): void {
    const larger = new Uint8Array(2 * this.buffer.length + 8);
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
}

export class BitReader {
  private readonly buffer: Uint8Array;
  private at = 0;
  private waiting = 0;
  private waitingBits = 0;

  constructor(buffer: Uint8Array) {
    this.buffer = buffer;
  }

  /** Whether all is read but the 0 bits of the last byte. */
  get done(): boolean {
    return this.at === this.buffer.length && this.waiting === 0;
  }

  bits(width: number): number {
    if (width > STEP_BITS) {
      const high = this.bits(width - STEP_BITS);
      return high * STEP + this.bits(STEP_BITS);
    }
    while (this.waitingBits < width) {
      if (this.at === this.buffer.length) corrupt('ends too early');
      this.waiting = (this.waiting << 8) | this.buffer[this.at++]!;
      this.waitingBits += 8;
    }
    this.waitingBits -= width;
    const value = this.waiting >>> this.waitingBits;
    this.waiting &= (1 << this.waitingBits) - 1;
    return value;
  }

  /** Skips the 0 bits before the next 1. */
  private zeros(): number {
    let zeros = 0;
    while (this.waiting === 0) {
      zeros += this.waitingBits;
      if (this.at === this.buffer.length) corrupt('ends too early');
      if (zeros > MAX_BITS) corrupt('an endless number');
      this.waiting = this.buffer[this.at++]!;
      this.waitingBits = 8;
    }
    const here = this.waitingBits - (32 - Math.clz32(this.waiting));
    this.waitingBits -= here;
    return zeros + here;
  }

  below(bound: number): number {
    const width = bitLength(bound) - 1;
    const short = 2 * 2 ** width - bound;
    const value = this.bits(width);
    return value < short ? value : 2 * value + this.bits(1) - short;
  }

  golomb(k: number): number {
    const width = this.zeros();
    // The 1 behind the zeros is the highest bit of what follows.
    const high = this.bits(width + 1) - 1;
    if (k + width < STEP_BITS) return (high << k) | this.bits(k);
    const value = high * 2 ** k + this.bits(k);
    return value < Number.MAX_SAFE_INTEGER ? value : corrupt('a number over 2^53');
  }
}
