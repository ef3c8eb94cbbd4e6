/**
 * Items that several processes change: read, changed and put on condition that nobody else put them meanwhile; else all over
 * again. The version grows by one with every put. Such items are never deleted but by `amend`, when nothing is left in them.
 */
import { EdgetallyError } from '../../../shared/errors.js';
import { keyed, number, numberOf, packed, unpacked } from './attributes.js';
import type { Key } from './keys.js';
import { ABSENT, type Condition, type ItemKind, type Requests } from './requests.js';

export interface Versioned<T> {
  /** 0 where there is no item. */
  readonly version: number;
  readonly value: T | undefined;
}

/** So many processes do not meet at one gateway but by mistake. */
const MAX_ATTEMPTS = 30;

export async function readVersioned<T>(requests: Requests, key: Key): Promise<Versioned<T>> {
  return versionedOf<T>(await requests.get(key));
}

export function versionedOf<T>(item: Awaited<ReturnType<Requests['get']>>): Versioned<T> {
  if (item === undefined) return { version: 0, value: undefined };
  return { version: numberOf(item, 'v'), value: unpacked(item, 'd') as T };
}

/** False where it is no longer at the version before. */
export function putVersioned<T>(
  requests: Requests,
  kind: ItemKind,
  key: Key,
  version: number,
  value: T,
): Promise<boolean> {
  const item = { ...keyed(key), v: number(version), d: packed(value) };
  return requests.put(kind, item, version === 1 ? ABSENT : at(version - 1));
}

/**
 * Changes an item by a pure function, which may be called several times; what it returns is put, undefined for an item that
 * is to stay as it is, null for one that is to go. Begins with what is believed to be there.
 */
export async function amend<T>(
  requests: Requests,
  kind: ItemKind,
  key: Key,
  change: (value: T | undefined, version: number) => T | undefined | null | Promise<T | undefined | null>,
  believed?: Versioned<T>,
): Promise<Versioned<T>> {
  let before = believed ?? (await readVersioned<T>(requests, key));
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const version = before.version + 1;
    const value = await change(before.value, version);
    if (value === undefined) return before;
    if (value === null) {
      const isGone = before.version === 0 || (await requests.delete(kind, key, at(before.version)));
      if (isGone) return { version: 0, value: undefined };
    } else if (await putVersioned(requests, kind, key, version, value)) return { version, value };
    await requests.rest(attempt);
    before = await readVersioned<T>(requests, key);
  }
  throw new EdgetallyError('database-failed', `${key.pk} ${key.sk} is changed by others all the time`);
}

function at(version: number): Condition {
  return { expression: 'v = :v', values: { ':v': number(version) } };
}
