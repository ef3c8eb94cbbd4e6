/**
 * The memory of which readings of one window were counted, so that each counts once.
 *
 * A reading is known by its record id, or by its observation time within its lane (see `Reading.lane`). Times are kept as
 * sorted integers. A record id that ends in digits is a prefix and an integer (`pump-000123` is `pump-000` and 123), so
 * that what a device counts up is as small as its times; other ids are kept as they are below 16 bytes, else as 128 bits
 * of their SHA-256.
 *
 * Stored form: version 2 | lanes: count, then each name and integers (µs from the window's start, see seen-codec.ts) | and
 * where there are record ids: prefixes: count, then each text and integers | short ids: count, then each text | hashes
 * to the end.
 *
 * Promises: decode is total: a memory of at most as many readings as it is told, or an EdgetallyError.
 */
import { createHash } from 'node:crypto';
import { ByteReader, ByteWriter } from '../../shared/bytes.js';
import { corrupt, DecodeError, invalid } from '../../shared/decode-error.js';
import { EdgetallyError } from '../../shared/errors.js';
import { readIntegers, writeIntegers } from './seen-codec.js';
import { SortedIntegers } from './seen-integers.js';

const VERSION = 2;
const HASH_BYTES = 16;
/** Ids whose prefixes are as many as they are no counters. */
const MAX_PREFIXES = 16;
/** So that prefix and integer are an id again: 10^15 is a safe integer. */
const MAX_DIGITS = 15;

export class Seen {
  /** Offsets from the window's start, µs, of the lane ''; most windows have nothing else. */
  #common: SortedIntegers | undefined;
  #lanes: Map<string, SortedIntegers> | undefined;
  #numbered: Map<string, SortedIntegers> | undefined;
  /** Bytes as characters: 16 are a hash, fewer the UTF-8 of an id. */
  #named: Set<string> | undefined;

  /** Remembers a reading; false where it is known already. */
  add(lane: string, offsetUs: number, recordId: string | undefined): boolean {
    // A lane and an id are two names: the separator cannot stand in a lane, which holds no control characters.
    if (recordId !== undefined) return this.#addId(lane === '' ? recordId : `${lane}\u0000${recordId}`);
    if (lane !== '') {
      this.#lanes ??= new Map();
      return addTo(this.#lanes, lane, offsetUs);
    }
    if (this.#common !== undefined) return this.#common.add(offsetUs);
    this.#common = new SortedIntegers(offsetUs);
    return true;
  }

  #addId(id: string): boolean {
    // by name is looked first: it may have come when there was no room for its prefix, or from a memory merged into this
    let name: string | undefined;
    if (this.#named !== undefined) {
      name = nameOf(id);
      if (this.#named.has(name)) return false;
    }
    const split = splitId(id);
    const prefix = id.slice(0, split);
    if (split < id.length && this.#mayNumber(prefix)) {
      this.#numbered ??= new Map();
      return addTo(this.#numbered, prefix, Number(id.slice(split)));
    }
    this.#named ??= new Set();
    this.#named.add(name ?? nameOf(id));
    return true;
  }

  #mayNumber(prefix: string): boolean {
    return this.#numbered === undefined || this.#numbered.size < MAX_PREFIXES || this.#numbered.has(prefix);
  }

  /** Takes up what another window has seen, which starts `byUs` after this one. */
  merge(other: Seen, byUs: number): void {
    for (const offset of other.#common ?? []) this.add('', offset + byUs, undefined);
    for (const [lane, offsets] of other.#lanes ?? []) {
      for (const offset of offsets) this.add(lane, offset + byUs, undefined);
    }
    for (const [prefix, numbers] of other.#numbered ?? []) for (const n of numbers) this.#addId(`${prefix}${n}`);
    if (other.#named === undefined) return;
    this.#named ??= new Set();
    for (const name of other.#named) this.#named.add(name);
  }

  encode(): Uint8Array {
    writer.clear();
    writer.varint(VERSION);
    const lanes = [...(this.#lanes ?? [])];
    if (this.#common !== undefined) lanes.unshift(['', this.#common]);
    writeNamedIntegers(writer, lanes);
    if (this.#numbered === undefined && this.#named === undefined) return writer.bytes().slice();
    writeNamedIntegers(writer, [...(this.#numbered ?? [])]);
    const named = [...(this.#named ?? [])];
    const short = named.filter((name) => name.length < HASH_BYTES);
    writer.varint(short.length);
    for (const name of short) {
      writer.byte(name.length);
      writer.raw(Buffer.from(name, 'latin1'));
    }
    for (const name of named) if (name.length === HASH_BYTES) writer.raw(Buffer.from(name, 'latin1'));
    return writer.bytes().slice();
  }

  /** What `encode` gave; throws EdgetallyError where it remembers more than `atMost` readings, or is damaged. */
  static decode(bytes: Uint8Array, atMost: number): Seen {
    try {
      return Seen.#read(new ByteReader(bytes), atMost);
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause;
      const code = cause.kind === 'newer-version' ? 'database-newer' : 'window-damaged';
      throw new EdgetallyError(code, `The memory of what a window counted cannot be read: ${cause.message}.`, {
        cause,
      });
    }
  }

  static #read(from: ByteReader, atMost: number): Seen {
    const version = from.varint();
    if (version > VERSION) throw new DecodeError('newer-version', `layout ${version}, this program knows ${VERSION}`);
    if (version < VERSION) corrupt(`layout ${version}`);
    const seen = new Seen();
    const lanes = readNamedIntegers(from, atMost);
    seen.#common = lanes.get('');
    lanes.delete('');
    if (lanes.size > 0) seen.#lanes = lanes;
    if (from.remaining === 0) return seen;
    const numbered = readNamedIntegers(from, atMost);
    if (numbered.size > 0) seen.#numbered = numbered;
    const named = new Set<string>();
    for (let short = from.varint(); short > 0; short--) {
      const length = from.byte();
      if (length >= HASH_BYTES) corrupt('a long short id');
      addName(named, from.raw(length));
    }
    while (from.remaining > 0) addName(named, from.raw(HASH_BYTES));
    if (named.size > atMost) invalid('more readings remembered than there are');
    if (named.size > 0) seen.#named = named;
    return seen;
  }
}

/** Kept for its room. */
const writer = new ByteWriter(1024);

function addTo(sets: Map<string, SortedIntegers>, key: string, value: number): boolean {
  const set = sets.get(key);
  if (set !== undefined) return set.add(value);
  sets.set(key, new SortedIntegers(value));
  return true;
}

/** Where the integer begins that an id ends in: no leading zeros, so that prefix and integer are the id again. */
function splitId(id: string): number {
  const { length } = id;
  const least = Math.max(0, length - MAX_DIGITS);
  let at = length;
  while (at > least && isDigit(id.charCodeAt(at - 1))) at--;
  while (at < length - 1 && id.charCodeAt(at) === ZERO) at++;
  return at;
}

const ZERO = 48;

function isDigit(code: number): boolean {
  return code >= ZERO && code <= ZERO + 9;
}

function nameOf(id: string): string {
  const bytes = Buffer.from(id);
  const short = bytes.length < HASH_BYTES ? bytes : createHash('sha256').update(bytes).digest().subarray(0, HASH_BYTES);
  return short.toString('latin1');
}

function addName(named: Set<string>, bytes: Uint8Array): void {
  const name = Buffer.from(bytes).toString('latin1');
  if (named.has(name)) invalid('an id twice');
  named.add(name);
}

function writeNamedIntegers(to: ByteWriter, sets: readonly (readonly [string, SortedIntegers])[]): void {
  to.varint(sets.length);
  for (const [name, integers] of sets) {
    to.string(name);
    writeIntegers(to, integers);
  }
}

function readNamedIntegers(from: ByteReader, atMost: number): Map<string, SortedIntegers> {
  const sets = new Map<string, SortedIntegers>();
  let left = atMost;
  for (let count = from.varint(); count > 0; count--) {
    const name = from.string();
    if (sets.has(name)) invalid('a name twice');
    const integers = readIntegers(from, left);
    left -= integers.size;
    sets.set(name, integers);
  }
  return sets;
}
