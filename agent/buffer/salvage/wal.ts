/**
 * The write-ahead log of a database, frame by frame (https://sqlite.org/fileformat2.html#walformat). SQLite takes a log up to
 * the first frame whose checksum does not hold for its end, and forgets what is behind it: right after a power cut, which
 * tears the last transaction, and wrong after damage, which is in the middle. The checksum of a frame goes on from the one that
 * stands in the frame before it, so the frames behind a damaged one can still be told to be whole.
 *
 * Not seen: a log whose end was cut off, or damage in its last transaction; both look like a power cut.
 */
import { readSync } from 'node:fs';

export const WAL_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 24;
const LITTLE_ENDIAN_MAGIC = 0x377f0682;
const BIG_ENDIAN_MAGIC = 0x377f0683;

interface Frame {
  readonly page: number;
  /** Pages of the database after the transaction that ends here; 0 in its middle. */
  readonly commitPages: number;
  readonly offset: number;
  readonly isWhole: boolean;
}

export interface Wal {
  /** Transactions behind a damaged frame are there: SQLite would forget them. */
  readonly isDamaged: boolean;
  /** Of each page, where its newest version is. */
  readonly pages: ReadonlyMap<number, number>;
  /** Pages whose newest version is damaged. */
  readonly lost: ReadonlySet<number>;
  /** A frame is damaged and does not say of which page it is. */
  readonly isUnsure: boolean;
}

const EMPTY: Wal = { isDamaged: false, pages: new Map(), lost: new Set(), isUnsure: false };

/** `file`: an open log of so many bytes; `pageBytes`: of the database. */
export function readWal(file: number, bytes: number, pageBytes: number): Wal {
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const count = Math.floor((bytes - WAL_HEADER_BYTES) / frameBytes);
  if (count < 1) return EMPTY;
  const header = Buffer.alloc(WAL_HEADER_BYTES);
  readSync(file, header, 0, WAL_HEADER_BYTES, 0);
  const magic = header.readUInt32BE(0);
  const isBig = magic === BIG_ENDIAN_MAGIC;
  const isKnown = (isBig || magic === LITTLE_ENDIAN_MAGIC) && holds(header, 24, isBig, [0, 0]);
  const frames: Frame[] = [];
  let salts = header.subarray(16, 24);
  let seed: Sum = [header.readUInt32BE(24), header.readUInt32BE(28)];
  const frame = Buffer.alloc(frameBytes);
  for (let i = 0; i < count; i++) {
    const offset = WAL_HEADER_BYTES + i * frameBytes;
    readSync(file, frame, 0, frameBytes, offset);
    if (i === 0 && !isKnown) salts = Buffer.from(frame.subarray(8, 16));
    const isWhole = frame.compare(salts, 0, 8, 8, 16) === 0 && frameHolds(frame, isBig, seed);
    frames.push({ page: frame.readUInt32BE(0), commitPages: frame.readUInt32BE(4), offset, isWhole });
    seed = [frame.readUInt32BE(16), frame.readUInt32BE(20)];
  }
  return viewOf(frames, isKnown);
}

/** A power cut tears one transaction at most: where two commits stand behind a damaged frame, it was no power cut. */
function viewOf(frames: readonly Frame[], headerHolds: boolean): Wal {
  const firstDamaged = headerHolds ? frames.findIndex(({ isWhole }) => !isWhole) : 0;
  const isCommit = ({ isWhole, commitPages }: Frame) => isWhole && commitPages > 0;
  const isDamaged = firstDamaged >= 0 && frames.slice(firstDamaged).filter(isCommit).length >= 2;
  const end = isDamaged || firstDamaged < 0 ? frames.length : firstDamaged;
  const committed = frames.slice(0, frames.slice(0, end).findLastIndex(isCommit) + 1);
  const pages = new Map<number, number>();
  const lost = new Set<number>();
  const most = committed.reduce(
    (pages, { commitPages, isWhole }) => (isWhole ? Math.max(pages, commitPages) : pages),
    0,
  );
  let isUnsure = false;
  for (const { page, isWhole, offset } of committed) {
    if (isWhole) {
      pages.set(page, offset + FRAME_HEADER_BYTES);
      lost.delete(page);
    } else if (page >= 1 && page <= most) lost.add(page);
    else isUnsure = true;
  }
  return { isDamaged, pages, lost, isUnsure };
}

type Sum = readonly [number, number];

function frameHolds(frame: Buffer, isBig: boolean, seed: Sum): boolean {
  const sum = checksum(frame.subarray(FRAME_HEADER_BYTES), isBig, checksum(frame.subarray(0, 8), isBig, seed));
  return sum[0] === frame.readUInt32BE(16) && sum[1] === frame.readUInt32BE(20);
}

function holds(header: Buffer, length: number, isBig: boolean, seed: Sum): boolean {
  const sum = checksum(header.subarray(0, length), isBig, seed);
  return sum[0] === header.readUInt32BE(length) && sum[1] === header.readUInt32BE(length + 4);
}

function checksum(bytes: Buffer, isBig: boolean, [first, second]: Sum): Sum {
  let one = first;
  let two = second;
  for (let i = 0; i < bytes.length; i += 8) {
    const [x, y] = isBig
      ? [bytes.readUInt32BE(i), bytes.readUInt32BE(i + 4)]
      : [bytes.readUInt32LE(i), bytes.readUInt32LE(i + 4)];
    one = (one + x + two) >>> 0;
    two = (two + y + one) >>> 0;
  }
  return [one, two];
}
