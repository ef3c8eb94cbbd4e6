/**
 * The pages of a database that SQLite may no longer open, with those of its write-ahead log over them. Reads, and never
 * writes: what was set aside stays as it was.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { readWal, type Wal } from './wal.js';

const MAGIC = 'SQLite format 3\0';
const DEFAULT_PAGE_BYTES = 4096;
const NO_WAL: Wal = { isDamaged: false, pages: new Map(), lost: new Set(), isUnsure: false };

export class PageFile {
  readonly pageBytes: number;
  readonly count: number;
  readonly wal: Wal;
  readonly #file: number;
  readonly #walFile: number | undefined;

  constructor(path: string) {
    this.#file = openSync(path, 'r');
    this.#walFile = openIfThere(`${path}-wal`);
    const { size } = fstatSync(this.#file);
    this.pageBytes = this.#readPageBytes();
    const walBytes = this.#walFile === undefined ? 0 : fstatSync(this.#walFile).size;
    this.wal = this.#walFile === undefined ? NO_WAL : readWal(this.#walFile, walBytes, this.pageBytes);
    this.count = Math.max(Math.floor(size / this.pageBytes), ...this.wal.pages.keys(), ...this.wal.lost);
  }

  /** Undefined where it is not there, or only an older version of it. */
  page(number: number): Buffer | undefined {
    if (this.wal.lost.has(number)) return undefined;
    const offset = this.wal.pages.get(number);
    if (offset !== undefined) return this.#read(this.#walFile!, offset);
    return this.#read(this.#file, (number - 1) * this.pageBytes);
  }

  close(): void {
    closeSync(this.#file);
    if (this.#walFile !== undefined) closeSync(this.#walFile);
  }

  #read(file: number, offset: number): Buffer | undefined {
    const page = Buffer.alloc(this.pageBytes);
    try {
      return readSync(file, page, 0, this.pageBytes, offset) === this.pageBytes ? page : undefined;
    } catch {
      return undefined; // a sector that cannot be read: the others may
    }
  }

  /** Databases are made with pages of the default size; a header that is whole may say otherwise. */
  #readPageBytes(): number {
    const header = Buffer.alloc(18);
    readSync(this.#file, header, 0, header.length, 0);
    const bytes = header.readUInt16BE(16);
    const isPower = bytes >= 512 && (bytes & (bytes - 1)) === 0;
    return header.toString('latin1', 0, 16) === MAGIC && isPower ? bytes : DEFAULT_PAGE_BYTES;
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
