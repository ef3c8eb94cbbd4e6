/**
 * The journal of a damaged database. Recovery applies its blocks as ever; it knows by the rows which readings they hold already.
 * Where rows were lost that is not known of a block from before the last save: its readings may be in a lost row, and that row at
 * the cloud. Such a reading, if no row is left of its window, is set aside and told, as counting twice would be worse.
 */

import { utcDayMs } from '../../../shared/window.js';
import { type Block, type BlockReading, emptyTally } from '../../block.js';
import { decodeBlock, encodeBlock } from '../block-codec.js';
import { WindowKeys } from '../window-keys.js';
import type { Work } from './salvage.js';
import type { SalvagedBooks } from './salvage-books.js';
import type { Names } from './salvage-names.js';
import { unreadable } from './salvage-rows.js';
import type { LostRange } from './salvage-windows.js';
import { TableSource } from './table-source.js';
import { putAside, tell } from './told.js';
import type { Gap } from './tree.js';

export function salvageBlocks(work: Work, names: Names, lost: readonly LostRange[], books: SalvagedBooks): void {
  const { file, db, tally } = work;
  const keys = new WindowKeys(db);
  const longestMs = Math.max(0, ...keys.lengths);
  const insert = db.prepare('INSERT OR IGNORE INTO journal VALUES (?, ?)');
  const isLost = ({ device, timeUs, shape }: BlockReading) => {
    const timeMs = Math.floor(timeUs / 1000);
    const reachMs = Math.max(longestMs, shape.windowMs);
    return (
      lost.some(({ fromMs, toMs }) => timeMs >= fromMs && timeMs < toMs + reachMs) &&
      keys.lengthsIn(device, timeMs, timeMs + 1).length === 0
    );
  };
  const gaps = new TableSource(file, db, 'journal').read((row) => {
    const { sequence, block: bytes } = row as { sequence: number; block: Buffer };
    const reason = unreadable(bytes, names);
    if (reason !== undefined) return setAsideBlock(work, sequence, bytes, reason);
    const block = decodeBlock(bytes);
    const uncertain = sequence > books.mayBeFolded ? [] : block.readings.filter(isLost);
    insert.run(sequence, uncertain.length === 0 ? bytes : without(work, sequence, block, uncertain));
    tally.keep('journal');
  });
  for (const gap of gaps) {
    tally.lose('journal', `page ${gap.page}: ${gap.reason}`);
    tell(work, 'journal', { count: blocksIn(gap) });
  }
}

function setAsideBlock(work: Work, sequence: number, bytes: Buffer, reason: string): void {
  putAside(work, { place: 'journal', key: String(sequence), reason, bytes }, { count: readingsIn(bytes) });
}

function readingsIn(bytes: Buffer): number {
  try {
    return decodeBlock(bytes).readings.length;
  } catch {
    return 1;
  }
}

/** The block, of which these readings do not count. */
function without(work: Work, sequence: number, block: Block, uncertain: readonly BlockReading[]): Uint8Array {
  const reason = 'may be in a window that is lost';
  const bytes = Buffer.from(encodeBlock({ readings: uncertain, tally: emptyTally(block.tally.atMs) }));
  putAside(work, { place: 'journal', key: String(sequence), reason, bytes }, { count: 0 });
  for (const { device, timeUs } of uncertain) {
    tell(work, 'journal', { count: 1, dayMs: utcDayMs(Math.floor(timeUs / 1000)), device });
  }
  const left = new Set(block.readings);
  for (const reading of uncertain) left.delete(reading);
  return encodeBlock({ ...block, readings: [...left] });
}

/** Blocks are numbered without a gap. */
function blocksIn({ after, before }: Gap): number {
  const [from, to] = [after?.[0], before?.[0]];
  return typeof from === 'number' && typeof to === 'number' ? Math.max(1, to - from - 1) : 1;
}
