/**
 * A table in memory for the tests that need thousands of them; the conformance suite runs on it as on DynamoDB. Knows the few
 * forms of conditions that the store uses, and throws at others.
 */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Key } from './keys.js';
import type { Capacity, Condition, Item, ItemKind, Requests } from './requests.js';

const PAGE_ITEMS = 100;

export class MemoryTable implements Requests {
  readonly capacity: Capacity = {
    writes: { window: 0, books: 0, 'roll-up': 0, account: 0, names: 0, status: 0, quarantine: 0 },
    reads: 0,
  };
  readonly #partitions = new Map<string, Map<string, Item>>();

  async put(_kind: ItemKind, item: Item, condition?: Condition): Promise<boolean> {
    const partition = this.#partition(item.pk!.S!);
    if (!holds(condition, partition.get(item.sk!.S!))) return false;
    partition.set(item.sk!.S!, structuredClone(item));
    return true;
  }

  async delete(_kind: ItemKind, { pk, sk }: Key, condition?: Condition): Promise<boolean> {
    const partition = this.#partition(pk);
    if (!holds(condition, partition.get(sk))) return false;
    partition.delete(sk);
    return true;
  }

  async get({ pk, sk }: Key): Promise<Item | undefined> {
    return structuredClone(this.#partition(pk).get(sk));
  }

  async getMany(keys: readonly Key[]): Promise<Item[]> {
    return (await Promise.all(keys.map((key) => this.get(key)))).filter((item) => item !== undefined);
  }

  async *query(pk: string, from: string, to: string): AsyncGenerator<Item[]> {
    const found = [...this.#partition(pk)].filter(([sk]) => sk >= from && sk <= to);
    found.sort(([a], [b]) => (a < b ? -1 : 1));
    for (let i = 0; i < found.length; i += PAGE_ITEMS) {
      yield found.slice(i, i + PAGE_ITEMS).map(([, item]) => structuredClone(item));
    }
  }

  async rest(): Promise<void> {}

  close(): void {}

  /** What a table loses when items expire. */
  forget(isGone: (item: Item) => boolean): void {
    for (const partition of this.#partitions.values()) {
      for (const [sk, item] of partition) if (isGone(item)) partition.delete(sk);
    }
  }

  #partition(pk: string): Map<string, Item> {
    let partition = this.#partitions.get(pk);
    if (partition === undefined) {
      partition = new Map();
      this.#partitions.set(pk, partition);
    }
    return partition;
  }
}

function holds(condition: Condition | undefined, item: Item | undefined): boolean {
  if (condition === undefined) return true;
  const { expression, values = {} } = condition;
  return expression.split(' OR ').some((all) => all.split(' AND ').every((one) => isTrue(one, values, item)));
}

function isTrue(comparison: string, values: Item, item: Item | undefined): boolean {
  if (comparison === 'attribute_not_exists(pk)') return item === undefined;
  const [, name, sign, value] = /^\(?(\w+) ([<=]) (:\w+)\)?$/.exec(comparison) ?? [];
  if (name === undefined || value === undefined) throw new Error(`a condition that is not known here: ${comparison}`);
  const number = (attribute: AttributeValue | undefined) => Number(attribute?.N ?? Number.NaN);
  const [stored, given] = [number(item?.[name]), number(values[value])];
  return sign === '<' ? stored < given : stored === given;
}
