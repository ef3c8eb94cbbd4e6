/**
 * Small ids for names: a log in the table that is only added to, each item holding the names that were added together under
 * the id of the first. What was read of it never changes, so a process keeps it, and reads on from there. Of two that add at
 * once one finds the place taken, reads what the other added, and tries again.
 */
import { keyed, textOf } from './attributes.js';
import { ABSENT, type Item, queryAll, type Requests } from './requests.js';

/** Names in one item: a name has 256 bytes at most, an item 400 KB. */
const MAX_NAMES = 400;

export class NameLog<T> {
  readonly #requests: Requests;
  readonly #pk: string;
  readonly #keyOf: (entry: T) => string;
  readonly #entries: T[] = [];
  readonly #ids = new Map<string, number>();

  /** Entries of the same key are one. */
  constructor(requests: Requests, pk: string, keyOf: (entry: T) => string) {
    this.#requests = requests;
    this.#pk = pk;
    this.#keyOf = keyOf;
  }

  /** By id. */
  get entries(): readonly T[] {
    return this.#entries;
  }

  find(key: string): number | undefined {
    return this.#ids.get(key);
  }

  /** Takes in what others added. */
  async refresh(): Promise<void> {
    const { size } = this;
    for (const item of await queryAll(this.#requests, this.#pk, sk(size), sk(Number.MAX_SAFE_INTEGER))) {
      this.#add(firstOf(item), JSON.parse(textOf(item, 'd')) as T[]);
    }
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Gives ids to those that have none yet. */
  async add(entries: readonly T[]): Promise<void> {
    if (this.#unknown(entries).length > 0) await this.refresh();
    for (let rest = this.#unknown(entries); rest.length > 0; rest = this.#unknown(entries)) {
      const next = rest.slice(0, MAX_NAMES);
      const first = this.size;
      const item = { ...keyed({ pk: this.#pk, sk: sk(first) }), d: { S: JSON.stringify(next) } };
      if (await this.#requests.put('names', item, ABSENT)) this.#add(first, next);
      else await this.refresh();
    }
  }

  /** One of each key. */
  #unknown(entries: readonly T[]): T[] {
    return [
      ...new Map(
        entries.map((entry) => [this.#keyOf(entry), entry] as const).filter(([key]) => !this.#ids.has(key)),
      ).values(),
    ];
  }

  /** Of two that read, or wrote and read, at once the second finds it known. */
  #add(first: number, entries: readonly T[]): void {
    if (first !== this.size) return;
    for (const entry of entries) {
      this.#ids.set(this.#keyOf(entry), this.#entries.length);
      this.#entries.push(entry);
    }
  }
}

const PREFIX = 'names#';

function sk(first: number): string {
  return `${PREFIX}${String(first).padStart(16, '0')}`;
}

function firstOf(item: Item): number {
  return Number(textOf(item, 'sk').slice(PREFIX.length));
}
