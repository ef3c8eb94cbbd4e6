/**
 * Makes a new database of what can be read of a damaged one.
 *
 * Promises: the damaged files are only read. No row gets in whose checksum does not hold, or whose device or metrics nobody
 * can name. No reading comes to be counted twice: see `salvage-blocks.ts`; and what is written from now on has names of
 * its own, as after every opening (`part-names.ts`). What is lost is counted, in the losses that the cloud is told, and in a report.
 * The epoch stays, because what left without a receipt may be at the cloud, under this epoch. Whatever happens on the way,
 * the salvage begins anew from the files that were set aside.
 */
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { nameSession, openingOf } from '../../../shared/session.js';
import { isEpoch, type Marker, putInPlace, readEpoch, readMarker, setAside, unmark } from '../damaged-files.js';
import { Meta } from '../meta.js';
import { type Db, explain, openDatabase } from '../schema.js';
import { PageFile } from './page-file.js';
import { addReport, type SalvageReport, Tally } from './report.js';
import { salvageBlocks } from './salvage-blocks.js';
import { salvageBooks } from './salvage-books.js';
import { salvageNames } from './salvage-names.js';
import { copyRows, ROWS_OF_THEIR_OWN } from './salvage-rows.js';
import { forgetUncertain, salvageWindows } from './salvage-windows.js';

const TEMPORARY = ['', '-wal', '-shm', '-journal'] as const;

/** What a step of a salvage works on. */
export interface Work {
  readonly file: PageFile;
  /** The new database, inside a transaction. */
  readonly db: Db;
  readonly meta: Meta;
  readonly tally: Tally;
  readonly nowMs: number;
}

/** Where a salvage is due. Undefined where none is, or where one is done but for its last step. `random`: 32 bits. */
export function salvageIfDue(path: string, nowMs: number, random: number): SalvageReport | undefined {
  const marker = readMarker(path);
  if (marker === undefined) return undefined;
  const report = setAside(path, marker) ? undefined : build(path, marker, nowMs, random);
  unmark(path);
  return report;
}

function build(path: string, marker: Marker, nowMs: number, random: number): SalvageReport {
  const aside = join(dirname(path), marker.name);
  const made = `${path}.salvage`;
  for (const suffix of TEMPORARY) rmSync(`${made}${suffix}`, { force: true });
  const file = new PageFile(aside);
  const db = openDatabase(made);
  try {
    db.pragma('journal_mode = OFF'); // a build that is cut off is thrown away
    db.pragma('synchronous = OFF');
    const work: Work = { file, db, meta: new Meta(db), tally: new Tally(), nowMs };
    const report = db.transaction(() => fill(work, marker, readEpoch(path), random))();
    db.close();
    putInPlace(made, path);
    return report;
  } catch (error) {
    throw explain(error, made);
  } finally {
    db.close();
    file.close();
  }
}

function fill(work: Work, { name, reason }: Marker, keptEpoch: string | undefined, random: number): SalvageReport {
  const { meta, tally } = work;
  const names = salvageNames(work);
  const { lostKeys, lostRanges } = salvageWindows(work, names);
  const fresh = meta.text('epoch')!;
  const isMetaWhole = copyRows(work, 'meta') === 0;
  const stored = meta.text('epoch');
  const known = keptEpoch ?? (isEpoch(stored) && stored !== fresh ? stored : undefined);
  meta.set('epoch', known ?? fresh);
  for (const table of ROWS_OF_THEIR_OWN) copyRows(work, table, names);
  const books = salvageBooks(work, isMetaWhole);
  if (known === undefined) forgetUncertain(work);
  salvageBlocks(work, names, lostRanges, books);
  beginAnew(work, random);
  lostKeys();
  const report: SalvageReport = {
    ...{ atMs: work.nowMs, file: name, reason, epoch: known === undefined ? 'new' : 'kept', books: books.state },
    ...{ kept: tally.kept, lost: tally.lost, details: tally.details },
  };
  addReport(meta, report);
  return report;
}

/** All that was read is frozen; what the journal still holds gets the name of a session that is nobody else's. */
function beginAnew({ db, meta }: Work, random: number): void {
  const greatest = db.prepare('SELECT coalesce(max(part), 0) FROM windows').pluck().get() as number;
  const last = meta.number('session');
  const opening = openingOf(Math.max(Number.isSafeInteger(last) ? last : 0, greatest)) + 1;
  const session = nameSession(opening, random);
  meta.set('session', session);
  meta.set('part_names', JSON.stringify([{ fromBlock: 0, part: session }]));
}
