/**
 * Cuts a CSV file into blocks of whole records, so that after each block the import can say to the byte how far it is.
 * Promises: the same file is cut the same way however the input was chunked, and memory stays bounded: where a quote is
 * never closed a block ends at some end of line, and of a line longer than the limit only the beginning is kept.
 */

export interface CsvBlock {
  readonly bytes: Buffer;
  /** Byte after the block. */
  readonly end: number;
  /** Lines before the block. */
  readonly linesBefore: number;
  /** The block is the beginning of one line that is longer than the limit. */
  readonly overlong: boolean;
}

export interface BlockSizes {
  /** A block is closed at the first record that ends after this many bytes. */
  readonly targetBytes: number;
  /** No block is larger. */
  readonly maxBytes: number;
}

export const BLOCK_SIZES: BlockSizes = { targetBytes: 64 * 1024, maxBytes: 256 * 1024 };

const NEWLINE = 10;

export async function* csvBlocks(
  input: AsyncIterable<Uint8Array>,
  quote: string,
  sizes: BlockSizes = BLOCK_SIZES,
): AsyncGenerator<CsvBlock> {
  const cutter = new BlockCutter(quote.charCodeAt(0), sizes);
  for await (const chunk of input) yield* cutter.push(chunk);
  yield* cutter.finish();
}

class BlockCutter {
  readonly #quote: number;
  readonly #sizes: BlockSizes;
  #pending: Buffer = Buffer.alloc(0);
  /** How much of `pending` was looked at, and whether a quote is open there. */
  #scanned = 0;
  #quoted = false;
  /** After the last line end that no quote is open at, and after the last one of all; 0 if there is none. */
  #recordEnd = 0;
  #lineEnd = 0;
  #end = 0;
  #lines = 0;
  /** In the rest of a line that was too long. */
  #skipping = false;

  constructor(quote: number, sizes: BlockSizes) {
    this.#quote = quote;
    this.#sizes = sizes;
  }

  *push(chunk: Uint8Array): Generator<CsvBlock> {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    for (;;) {
      if (this.#skipping && !this.#skipLine()) return;
      const length = this.#nextLength();
      if (length === 0) return;
      yield this.#cut(length);
    }
  }

  *finish(): Generator<CsvBlock> {
    if (!this.#skipping && this.#pending.length > 0) yield this.#cut(this.#pending.length);
  }

  /** Length of the next block; 0 until its end has come in. */
  #nextLength(): number {
    const { targetBytes, maxBytes } = this.#sizes;
    const bytes = this.#pending;
    const limit = Math.min(bytes.length, maxBytes);
    let at = this.#scanned;
    for (; at < limit; at++) {
      const byte = bytes[at];
      if (byte === this.#quote) this.#quoted = !this.#quoted;
      if (byte !== NEWLINE) continue;
      this.#lineEnd = at + 1;
      if (this.#quoted) continue;
      this.#recordEnd = at + 1;
      if (at + 1 >= targetBytes) return at + 1;
    }
    this.#scanned = at;
    return limit < maxBytes ? 0 : this.#recordEnd || this.#lineEnd || maxBytes;
  }

  #cut(length: number): CsvBlock {
    const bytes = this.#pending.subarray(0, length);
    const linesBefore = this.#lines;
    const overlong = length === this.#sizes.maxBytes && this.#lineEnd === 0;
    this.#skipping = overlong;
    this.#pending = this.#pending.subarray(length);
    this.#end += length;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) this.#lines++;
    this.#scanned = 0;
    this.#recordEnd = 0;
    this.#lineEnd = 0;
    this.#quoted = false;
    return { bytes, end: this.#end, linesBefore, overlong };
  }

  /** True once the line has ended. */
  #skipLine(): boolean {
    const newline = this.#pending.indexOf(NEWLINE);
    const skipped = newline < 0 ? this.#pending.length : newline + 1;
    this.#end += skipped;
    this.#pending = this.#pending.subarray(skipped);
    if (newline >= 0) this.#lines++;
    this.#skipping = newline < 0;
    return newline >= 0;
  }
}
