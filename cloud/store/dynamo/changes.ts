/**
 * Puts changes into the table: names, then windows, then the books, which make them count. The changes of one gateway come
 * one after the other and share one write of its books; gateways do not wait for each other. See table.ts for why that
 * needs no transaction.
 */
import pMap from 'p-map';
import type { BatchIdentity } from '../../../shared/batch.js';
import type { WindowSummary } from '../../../shared/window.js';
import type { Quota } from '../quota.js';
import type { Applied, BatchChange, Change, OwedReceipts } from '../store.js';
import { type Books, enter, type LostReadings, newBooks, type Outcome } from './books.js';
import type { DynamoDictionary } from './dictionary.js';
import { gatewayPk, type Key } from './keys.js';
import { judge } from './late.js';
import { putRejected } from './quarantine.js';
import { refusalOf } from './quota.js';
import { overdue, type ReceiptOptions } from './receipts-owed.js';
import { CONCURRENCY, type Requests } from './requests.js';
import { Spill } from './spill.js';
import { putStatus } from './statuses.js';
import { amend, readVersioned } from './versioned.js';
import { putWindow } from './windows.js';

/** At a time. */
const GATEWAYS = 16;

export interface ChangeOptions {
  /** Payload bytes of rejected messages that are kept of one gateway. */
  readonly maxQuarantineBytes: number;
  readonly quota: Quota;
  readonly now: () => number;
  /** Receipts are due at once where it is left out. */
  readonly receipts?: ReceiptOptions | undefined;
}

export class DynamoChanges {
  readonly #requests: Requests;
  readonly #dictionary: DynamoDictionary;
  readonly #options: ChangeOptions;
  readonly #spill: Spill;

  constructor(requests: Requests, dictionary: DynamoDictionary, options: ChangeOptions) {
    this.#requests = requests;
    this.#dictionary = dictionary;
    this.#options = options;
    this.#spill = new Spill(requests);
  }

  async apply(changes: readonly Change[]): Promise<Applied[]> {
    const applied: Applied[] = Array.from(changes, () => ({ windows: 0 }));
    const byGateway = new Map<string, number[]>();
    for (const [i, { gateway }] of changes.entries()) byGateway.set(gateway, [...(byGateway.get(gateway) ?? []), i]);
    await settled(byGateway, async ([gateway, places]) => {
      const done = await this.#applyOf(
        gateway,
        places.map((i) => changes[i]!),
      );
      for (const [k, i] of places.entries()) applied[i] = done[k]!;
    });
    return applied;
  }

  async takeOwed(nowMs: number): Promise<OwedReceipts[]> {
    const { receipts } = this.#options;
    if (receipts === undefined) return [];
    const gateways = await this.#dictionary.gateways();
    const owed = await pMap(gateways, (gateway) => this.#takeOwedOf(gateway, nowMs, receipts), {
      concurrency: GATEWAYS,
    });
    return owed.filter(({ due }) => due.length > 0);
  }

  async #takeOwedOf(gateway: string, nowMs: number, { delayMs }: ReceiptOptions): Promise<OwedReceipts> {
    let due: readonly BatchIdentity[] = [];
    await amend<Books>(this.#requests, 'books', booksKey(gateway), (books) => {
      const taken = overdue(books?.owed, nowMs, delayMs);
      due = taken.due;
      return books === undefined || due.length === 0 ? undefined : { ...books, owed: taken.owed };
    });
    return { gateway, due };
  }

  async #applyOf(gateway: string, changes: readonly Change[]): Promise<Applied[]> {
    await this.#dictionary.list(gateway);
    const key = booksKey(gateway);
    const before = await readVersioned<Books>(this.#requests, key);
    const draft = before.value === undefined ? newBooks() : structuredClone(before.value);
    const outcomes: { readonly outcome: Outcome; readonly applied: Applied; readonly place: number }[] = [];
    const all: Applied[] = [];
    for (const change of changes) {
      const place = all.push({ windows: 0 }) - 1;
      if (change.kind === 'status') await putStatus(this.#requests, change);
      else {
        const { outcome, applied } = await this.#put(change, draft);
        all[place] = applied;
        if (gateway === '') continue;
        outcomes.push({ outcome, applied, place });
        // For the quota of those that follow.
        if (changes.length > 1) await this.#enter(draft, outcome, before.version + 1);
      }
    }
    if (outcomes.length === 0) return all;
    const enterAll = async (value: Books | undefined, version: number): Promise<Books> => {
      const books = value === undefined ? newBooks() : structuredClone(value);
      for (const { outcome, applied, place } of outcomes) {
        const due = await this.#enter(books, outcome, version);
        all[place] = due === undefined ? applied : { ...applied, due };
      }
      await this.#spill.spill(gateway, books, version);
      return books;
    };
    await amend<Books>(this.#requests, 'books', key, enterAll, before);
    return all;
  }

  async #enter(books: Books, outcome: Outcome, version: number): Promise<readonly BatchIdentity[] | undefined> {
    const { gateway, receivedMs } = outcome.kind === 'rejected' ? outcome.change : outcome.batch;
    const identity = outcome.kind === 'rejected' ? outcome.change.identity : outcome.batch;
    if (identity !== undefined && outcome.kind !== 'refused') {
      await this.#spill.recall(gatewayPk(gateway), books, identity, receivedMs);
    }
    const devices = this.#dictionary.devices(gateway);
    return enter(books, outcome, { devices, version, receipts: this.#options.receipts });
  }

  /** All but the books. */
  async #put(
    change: Exclude<Change, { kind: 'status' }>,
    draft: Books,
  ): Promise<{ outcome: Outcome; applied: Applied }> {
    if (change.kind === 'rejected') {
      await putRejected(this.#requests, change, this.#options.maxQuarantineBytes);
      return { outcome: { kind: 'rejected', change }, applied: { windows: 0 } };
    }
    const refused = await refusalOf(change, draft, this.#dictionary, this.#options.quota);
    if (refused !== undefined) return { outcome: { kind: 'refused', batch: change }, applied: { windows: 0, refused } };
    await this.#putNames(change);
    const { windows, lost } = await this.#putWindows(change);
    return { outcome: { kind: 'batch', batch: change, windows, lost }, applied: { windows } };
  }

  async #putNames({ gateway, windows, ledger, losses }: BatchChange): Promise<void> {
    const named = [...windows, ...ledger, ...losses].flatMap(({ group, device }) =>
      group === undefined || device === undefined ? [] : [[group, device] as const],
    );
    await this.#dictionary.devices(gateway).log.add(named);
    const metrics = new Set(windows.flatMap((window) => [...window.metrics.keys()]));
    await this.#dictionary.addMetrics(gateway, metrics);
  }

  /** How many were not there in that revision or a higher one, and those that cannot be counted any more. */
  async #putWindows(batch: BatchChange): Promise<{ readonly windows: number; readonly lost: readonly LostReadings[] }> {
    let changed = 0;
    const lost: LostReadings[] = [];
    const nowMs = this.#options.now();
    const put = async (window: WindowSummary) => {
      const verdict = await judge(this.#requests, batch, window, nowMs);
      if (verdict === 'put') {
        if (await putWindow(this.#requests, this.#dictionary, batch, window)) changed++;
      } else if (verdict !== 'known') lost.push({ ...window, readings: verdict.lost });
    };
    await settled(batch.windows, put, CONCURRENCY);
    return { windows: changed, lost };
  }
}

export function booksKey(gateway: string): Key {
  return { pk: gatewayPk(gateway), sk: 'books' };
}

/** Throws the first error once nothing is under way any more. */
async function settled<T>(items: Iterable<T>, work: (item: T) => Promise<void>, concurrency = GATEWAYS): Promise<void> {
  try {
    await pMap(items, work, { concurrency, stopOnError: false });
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}
