/**
 * All that can be read of one table or index, page by page from its root, in the order of its keys. A page or a row that cannot
 * be read is a gap; the rest is read as if it were not there.
 */
import type { PageFile } from './page-file.js';
import {
  type Cell,
  INNER_INDEX,
  INNER_TABLE,
  LEAF_INDEX,
  LEAF_TABLE,
  readCell,
  readPage,
  Unreadable,
  type Value,
} from './records.js';

/** Row ids as one value. */
export type Key = readonly Value[];

export interface Entry {
  readonly rowid: number | undefined;
  readonly values: readonly Value[];
}

/** What was between these keys cannot be read; undefined: from the beginning, to the end. */
export interface Gap {
  readonly page: number;
  readonly reason: string;
  readonly after: Key | undefined;
  readonly before: Key | undefined;
}

interface Bounds {
  readonly after: Key | undefined;
  readonly before: Key | undefined;
}

export class Tree {
  readonly gaps: Gap[] = [];
  readonly #file: PageFile;
  readonly #keyed: boolean;
  readonly #enter: (entry: Entry) => void;
  readonly #visited = new Set<number>();

  /** `keyed`: a table without row ids, or an index. */
  constructor(file: PageFile, root: number, keyed: boolean, enter: (entry: Entry) => void) {
    this.#file = file;
    this.#keyed = keyed;
    this.#enter = enter;
    this.#walk(root, { after: undefined, before: undefined });
  }

  #walk(number: number, bounds: Bounds): void {
    try {
      if (this.#visited.has(number)) throw new Unreadable('it is there twice');
      this.#visited.add(number);
      const page = readPage(this.#file, number);
      const types = this.#keyed ? [LEAF_INDEX, INNER_INDEX] : [LEAF_TABLE, INNER_TABLE];
      if (!types.includes(page.type)) throw new Unreadable('it is of another table');
      const cells = page.cells.map((offset) => this.#cell(page, offset));
      for (const i of misplaced(cells, bounds)) cells[i] = { ...cells[i]!, key: undefined };
      this.#enterAll(number, cells, page.right, bounds);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      this.gaps.push({ page: number, reason: error.message, ...bounds });
    }
  }

  #enterAll(number: number, cells: readonly Read[], right: number | undefined, bounds: Bounds): void {
    let after = bounds.after;
    for (const [i, { cell, key, child }] of cells.entries()) {
      const next = cells.slice(i).find(({ key }) => key !== undefined)?.key ?? bounds.before;
      if (child !== undefined) this.#walk(child, { after, before: next });
      if (key === undefined) this.gaps.push({ page: number, reason: 'a row of it', after, before: next });
      else if (cell?.values !== undefined) this.#enter({ rowid: cell.rowid, values: cell.values });
      after = key ?? after;
    }
    if (right !== undefined) this.#walk(right, { after, before: bounds.before });
  }

  #cell(page: Parameters<typeof readCell>[1], offset: number): Read {
    const isInner = page.right !== undefined;
    // where a row is unreadable, what is below it may not be
    const child = isInner && offset + 4 <= page.bytes.length ? page.bytes.readUInt32BE(offset) : undefined;
    try {
      const cell = readCell(this.#file, page, offset);
      return { cell, child, key: this.#keyed ? cell.values : [cell.rowid!] };
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      return { cell: undefined, child, key: undefined };
    }
  }
}

interface Read {
  readonly cell: Cell | undefined;
  readonly child: number | undefined;
  readonly key: Key | undefined;
}

/** Rows whose key is not between those of their neighbours, where these agree with each other. */
function misplaced(cells: readonly Read[], { after, before }: Bounds): number[] {
  const keys = cells.flatMap(({ key }, i) => (key === undefined ? [] : [{ key, i }]));
  return keys.flatMap(({ key, i }, at) => {
    const least = keys[at - 1]?.key ?? after;
    const most = keys[at + 1]?.key ?? before;
    const fits = (least === undefined || compare(least, key) < 0) && (most === undefined || compare(key, most) <= 0);
    const agree = least === undefined || most === undefined || compare(least, most) < 0;
    return fits || !agree ? [] : [i];
  });
}

/** In the order of SQLite: nothing, numbers, texts, bytes. */
export function compare(a: Key, b: Key): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [x, y] = [a[i]!, b[i]!];
    const order = rank(x) - rank(y) || compareValues(x, y);
    if (order !== 0) return order;
  }
  return 0;
}

function rank(value: Value): number {
  if (value === null) return 0;
  return typeof value === 'number' ? 1 : typeof value === 'string' ? 2 : 3;
}

function compareValues(a: Value, b: Value): number {
  if (typeof a === 'number') return a - (b as number);
  return a === null ? 0 : Buffer.compare(Buffer.from(a as string), Buffer.from(b as string));
}
