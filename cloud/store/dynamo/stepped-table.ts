/**
 * A table whose requests wait until somebody lets them go on, one by one: so a test decides in which order the requests of
 * several processes come, and after which of them a process dies.
 */
import type { Key } from './keys.js';
import type { Capacity, Condition, Item, ItemKind, Requests } from './requests.js';

interface Pending {
  readonly actor: string;
  readonly request: string;
  readonly go: () => Promise<void>;
  readonly die: () => void;
}

export class Steps {
  readonly pending: Pending[] = [];

  /** The same table as one process sees it. */
  tableOf(actor: string, table: Requests): Requests {
    return new SteppedTable(actor, table, this);
  }

  /** Resolves once nothing happens without a step. */
  async quiet(): Promise<void> {
    for (let before = -1; before !== this.pending.length; ) {
      before = this.pending.length;
      for (let i = 0; i < 8; i++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async go(place: number): Promise<void> {
    const [one] = this.pending.splice(place, 1);
    await one!.go();
    await this.quiet();
  }

  /** None of the requests of this process that wait is ever done. */
  async kill(actor: string): Promise<void> {
    const own = this.pending.filter((one) => one.actor === actor);
    this.pending.splice(0, this.pending.length, ...this.pending.filter((one) => one.actor !== actor));
    for (const one of own) one.die();
    await this.quiet();
  }
}

export class Died extends Error {}

class SteppedTable implements Requests {
  readonly #actor: string;
  readonly #table: Requests;
  readonly #steps: Steps;

  constructor(actor: string, table: Requests, steps: Steps) {
    this.#actor = actor;
    this.#table = table;
    this.#steps = steps;
  }

  get capacity(): Capacity {
    return this.#table.capacity;
  }

  put(kind: ItemKind, item: Item, condition?: Condition): Promise<boolean> {
    return this.#step(`put ${item.sk!.S}`, () => this.#table.put(kind, item, condition));
  }

  delete(kind: ItemKind, key: Key, condition?: Condition): Promise<boolean> {
    return this.#step(`delete ${key.sk}`, () => this.#table.delete(kind, key, condition));
  }

  get(key: Key): Promise<Item | undefined> {
    return this.#step(`get ${key.sk}`, () => this.#table.get(key));
  }

  getMany(keys: readonly Key[]): Promise<Item[]> {
    return this.#step('get many', () => this.#table.getMany(keys));
  }

  async *query(pk: string, from: string, to: string): AsyncGenerator<Item[]> {
    const pages = this.#table.query(pk, from, to)[Symbol.asyncIterator]();
    for (;;) {
      const page = await this.#step(`query ${from}`, () => pages.next());
      if (page.done === true) return;
      yield page.value;
    }
  }

  rest(): Promise<void> {
    return this.#step('rest', async () => undefined);
  }

  close(): void {}

  #step<T>(request: string, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const go = () => work().then(resolve, reject);
      this.#steps.pending.push({ actor: this.#actor, request, go, die: () => reject(new Died(request)) });
    });
  }
}
