/** Cells and records of SQLite’s pages (https://sqlite.org/fileformat2.html#b_tree_pages). Whatever cannot be true throws. */
import type { PageFile } from './page-file.js';

export type Value = number | string | Buffer | null;

export interface Cell {
  /** Of an inner page: where what is smaller lies. */
  readonly child: number | undefined;
  /** Of a table with row ids. */
  readonly rowid: number | undefined;
  /** Undefined in the inner pages of a table with row ids. */
  readonly values: readonly Value[] | undefined;
}

export const LEAF_TABLE = 0x0d;
export const INNER_TABLE = 0x05;
export const LEAF_INDEX = 0x0a;
export const INNER_INDEX = 0x02;

export class Unreadable extends Error {}

export interface Page {
  readonly type: number;
  /** Of an inner page: where what is greatest lies. */
  readonly right: number | undefined;
  readonly bytes: Buffer;
  /** Where its cells begin. */
  readonly cells: readonly number[];
}

export function readPage(file: PageFile, number: number): Page {
  const bytes = file.page(number);
  if (bytes === undefined) throw new Unreadable('it is not there');
  const start = number === 1 ? 100 : 0;
  const type = bytes[start]!;
  const isInner = type === INNER_TABLE || type === INNER_INDEX;
  if (!isInner && type !== LEAF_TABLE && type !== LEAF_INDEX) throw new Unreadable('it is no page of a table');
  const count = bytes.readUInt16BE(start + 3);
  const first = start + (isInner ? 12 : 8);
  if (first + 2 * count > bytes.length) throw new Unreadable('it says that it has more than there is room for');
  const cells = Array.from({ length: count }, (_, i) => bytes.readUInt16BE(first + 2 * i));
  return { type, right: isInner ? bytes.readUInt32BE(start + 8) : undefined, bytes, cells };
}

export function readCell(file: PageFile, { type, bytes }: Page, offset: number): Cell {
  const from = new Cursor(bytes, offset);
  const child = type === INNER_TABLE || type === INNER_INDEX ? from.u32() : undefined;
  if (type === INNER_TABLE) return { child, rowid: from.varint(), values: undefined };
  const length = from.varint();
  const rowid = type === LEAF_TABLE ? from.varint() : undefined;
  return { child, rowid, values: readRecord(readPayload(file, from, length, type === LEAF_TABLE)) };
}

function readPayload(file: PageFile, from: Cursor, length: number, isTable: boolean): Buffer {
  const usable = file.pageBytes;
  if (length > file.count * usable) throw new Unreadable('a row is longer than the file');
  const most = isTable ? usable - 35 : Math.floor(((usable - 12) * 64) / 255) - 23;
  if (length <= most) return from.take(length);
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const fitting = least + ((length - least) % (usable - 4));
  const parts = [from.take(fitting <= most ? fitting : least)];
  let left = length - parts[0]!.length;
  let next = from.u32();
  while (left > 0) {
    const page = file.page(next);
    if (page === undefined) throw new Unreadable('the rest of a row is not there');
    parts.push(page.subarray(4, 4 + Math.min(left, usable - 4)));
    left -= parts.at(-1)!.length;
    next = page.readUInt32BE(0);
  }
  return Buffer.concat(parts);
}

function readRecord(payload: Buffer): Value[] {
  const header = new Cursor(payload, 0);
  const headerBytes = header.varint();
  const types: number[] = [];
  while (header.position < headerBytes) types.push(header.varint());
  const body = new Cursor(payload, headerBytes);
  const values = types.map((type) => readValue(body, type));
  if (header.position !== headerBytes || body.position !== payload.length) throw new Unreadable('a row is not whole');
  return values;
}

const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8];

function readValue(from: Cursor, type: number): Value {
  if (type === 0) return null;
  if (type === 7) return from.take(8).readDoubleBE(0);
  if (type === 8) return 0;
  if (type === 9) return 1;
  if (type >= 12) {
    const bytes = from.take((type - 12) >> 1);
    return type % 2 === 0 ? bytes : bytes.toString('utf8');
  }
  const length = INTEGER_BYTES[type];
  if (length === undefined) throw new Unreadable('a value is of no type');
  const bytes = from.take(length);
  const value = length === 8 ? Number(bytes.readBigInt64BE(0)) : bytes.readIntBE(0, length);
  if (!Number.isSafeInteger(value)) throw new Unreadable('a number is larger than any of ours');
  return value;
}

class Cursor {
  position: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, position: number) {
    this.#bytes = bytes;
    this.position = position;
  }

  take(length: number): Buffer {
    if (this.position + length > this.#bytes.length) throw new Unreadable('a row reaches over its end');
    this.position += length;
    return this.#bytes.subarray(this.position - length, this.position);
  }

  u32(): number {
    return this.take(4).readUInt32BE(0);
  }

  varint(): number {
    let value = 0n;
    for (let i = 0; i < 8; i++) {
      const byte = this.take(1)[0]!;
      value = (value << 7n) | BigInt(byte & 0x7f);
      if (byte < 0x80) return asNumber(value);
    }
    return asNumber((value << 8n) | BigInt(this.take(1)[0]!));
  }
}

function asNumber(value: bigint): number {
  const signed = Number(BigInt.asIntN(64, value));
  if (!Number.isSafeInteger(signed)) throw new Unreadable('a number is larger than any of ours');
  return signed;
}
