/**
 * The rows of one table of a damaged database, as objects, each of the types that the table is declared with. Where a table
 * lies its schema says; where that cannot be read, the new database does, because tables are made in the same order in every
 * database of a version.
 */
import type { Db } from '../schema.js';
import type { PageFile } from './page-file.js';
import type { Value } from './records.js';
import { type Entry, type Gap, Tree } from './tree.js';

export type Row = Record<string, Value>;

interface Column {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
  /** Place in the primary key, from 1; 0 where it is not in it. */
  readonly pk: number;
}

export class TableSource {
  /** As in an INSERT. */
  readonly columns: readonly string[];
  readonly #file: PageFile;
  readonly #root: number;
  readonly #keyed: boolean;
  readonly #stored: readonly Column[];

  /** `made`: a new database of the same version. */
  constructor(file: PageFile, made: Db, table: string) {
    this.#file = file;
    this.#root = rootOf(file, made, table);
    const columns = made.pragma(`table_info(${table})`) as Column[];
    const [{ wr } = { wr: 0 }] = made.pragma(`table_list(${table})`) as { wr: number }[];
    this.#keyed = wr === 1;
    this.columns = columns.map(({ name }) => name);
    const keys = columns.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk);
    this.#stored = this.#keyed ? [...keys, ...columns.filter(({ pk }) => pk === 0)] : columns;
  }

  /** Calls `enter` for each row; returns what could not be read. */
  read(enter: (row: Row) => void): readonly Gap[] {
    const misfits: Gap[] = [];
    const { gaps } = new Tree(this.#file, this.#root, this.#keyed, (entry) => {
      const row = this.#rowOf(entry);
      if (row !== undefined) enter(row);
      else
        misfits.push({
          page: this.#root,
          reason: 'a row with values of other types',
          after: undefined,
          before: undefined,
        });
    });
    return [...gaps, ...misfits];
  }

  #rowOf({ rowid, values }: Entry): Row | undefined {
    if (values.length !== this.#stored.length) return undefined;
    const row: Row = {};
    for (const [i, column] of this.#stored.entries()) {
      const value = rowid !== undefined && column.pk > 0 ? rowid : values[i]!;
      if (!isOfType(value, column)) return undefined;
      row[column.name] = value;
    }
    return row;
  }
}

/** The first page of a table or index. */
export function rootOf(file: PageFile, made: Db, name: string): number {
  let root: Value | undefined;
  new Tree(file, 1, false, ({ values }) => {
    if (values[1] === name) root = values[3];
  });
  if (typeof root === 'number') return root;
  return made.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').pluck().get(name) as number;
}

function isOfType(value: Value, { type, notnull, pk }: Column): boolean {
  if (value === null) return notnull === 0 && pk === 0;
  if (type === 'INTEGER') return typeof value === 'number';
  if (type === 'TEXT') return typeof value === 'string';
  return type === '' || Buffer.isBuffer(value);
}
