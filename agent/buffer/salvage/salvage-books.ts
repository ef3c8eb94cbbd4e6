/** The books of a damaged database: kept where they can be read, else begun anew so that they balance. */
import { type Books, booksSchema, emptyBooks } from '../../books.js';
import { UNBALANCED } from '../damage.js';
import type { Work } from './salvage.js';

export interface SalvagedBooks {
  readonly state: 'kept' | 'new';
  /** The last block that may be in a row; Infinity where nobody knows. */
  readonly mayBeFolded: number;
}

export function salvageBooks({ db, meta, file }: Work, isMetaWhole: boolean): SalvagedBooks {
  const folded = db.prepare('SELECT coalesce(max(folded), 0) FROM windows').pluck().get() as number;
  const kept = readBooks(meta.text('books'));
  const told = meta.text('sequence');
  const isKnown = told !== undefined || (isMetaWhole && !file.wal.isUnsure);
  const known = Number(told ?? 0);
  const sequence = Math.max(folded, Number.isSafeInteger(known) ? known : 0);
  meta.set('sequence', sequence);
  const isNew = kept === undefined && !(isMetaWhole && meta.text('books') === undefined);
  if (isNew) {
    const readings = db.prepare('SELECT coalesce(sum(readings), 0) FROM windows').pluck().get() as number;
    const books: Books = { ...emptyBooks(), in: readings, counted: readings };
    meta.set('books', JSON.stringify(books));
  }
  meta.set(UNBALANCED, 1);
  return { state: isNew ? 'new' : 'kept', mayBeFolded: isKnown ? sequence : Number.POSITIVE_INFINITY };
}

function readBooks(text: string | undefined): Books | undefined {
  try {
    return text === undefined ? undefined : booksSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
