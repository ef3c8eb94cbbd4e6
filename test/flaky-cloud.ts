/**
 * The cloud side without its process: the consolidator over the real store, and deaths. What dies leaves what it committed,
 * and takes its receipts, its unfinished commit and all it knew with it.
 */
import { pino } from 'pino';
import { Consolidator } from '../cloud/consolidate/consolidator.js';
import { recompute } from '../cloud/store/gather.js';
import { openSqliteStore } from '../cloud/store/sqlite/store.js';
import { type Change, LEVELS, type RollUp, type Store } from '../cloud/store/store.js';
import { EdgetallyError } from '../shared/errors.js';
import type { Dice } from './dice.js';
import type { Message } from './model-gateway.js';

export type Death = 'before the commit' | 'in the commit' | 'after the commit';

const NOW_MS = Date.UTC(2026, 3, 1);

export class FlakyCloud {
  store!: Store;
  consolidator!: Consolidator;
  readonly #path: string;
  readonly #send: (topic: string, payload: Uint8Array) => void;
  #stop!: AbortController;
  #death: Death | undefined;
  /** Computed from older states of the store, put late, again, or never. */
  #late: (readonly RollUp[])[] = [];

  constructor(path: string, send: (topic: string, payload: Uint8Array) => void) {
    this.#path = path;
    this.#send = send;
    this.#open();
  }

  async accept({ topic, payload }: Message): Promise<void> {
    await this.consolidator.accept({ topic, payload, retained: false, receivedMs: NOW_MS });
  }

  /** The broker has its PUBACK, or not; nobody sends this message again but the gateway. */
  async killedDuring(message: Message, death: Death): Promise<void> {
    this.#death = death;
    await this.accept(message).then(
      () => {
        throw new Error('it did not die');
      },
      () => undefined,
    );
    this.#death = undefined;
    this.#stop.abort();
    this.consolidator.flush(); // to nobody: its receipts die with it
    await this.store.close();
    this.#open();
  }

  /** As the keeper of the roll-ups does, but what was computed may be put after later commits, or be lost. */
  async rollUp(dice: Dice): Promise<void> {
    const computed = await this.store.read(async (snapshot) => {
      const level = LEVELS[dice.below(LEVELS.length)]!;
      const dirty = await snapshot.due(level, { staleSinceMs: Number.MAX_SAFE_INTEGER, limit: 1 + dice.below(8) });
      return Promise.all(dirty.map((stale) => recompute(snapshot, stale)));
    });
    if (dice.chance(0.5)) await this.store.putRollUps(computed);
    if (dice.chance(0.5) && this.#late.length > 0) await this.store.putRollUps(dice.draw(this.#late));
    this.#late.push(computed);
  }

  async end(): Promise<void> {
    this.consolidator.flush();
    await this.store.close();
  }

  #open(): void {
    const store = openSqliteStore({ path: this.#path, maxQuarantineBytes: 1e6 });
    const stop = new AbortController();
    this.store = store;
    this.#stop = stop;
    this.consolidator = new Consolidator({
      store: { commit: (changes) => this.#commit(store, changes) },
      send: (topic, payload) => {
        if (!stop.signal.aborted) this.#send(topic, payload);
      },
      receiptDelayMs: 3_600_000,
      log: pino({ level: 'silent' }),
      now: () => NOW_MS,
      signal: stop.signal,
    });
  }

  async #commit(store: Store, changes: readonly Change[]) {
    const death = this.#death;
    if (death === undefined) return store.commit(changes);
    const cut = new EdgetallyError('usage', 'killed');
    if (death === 'after the commit') await store.commit(changes);
    // The transaction has done all its work when it is cut off.
    if (death === 'in the commit') await store.commit([...changes, unfinished]).catch(() => undefined);
    // Receipts that were promised too early would be out by now.
    this.consolidator.flush();
    throw cut;
  }
}

/** A change that the database cannot take: the transaction that it is in is rolled back. */
const unfinished = { kind: 'status', gateway: 'g1', receivedMs: {}, retained: false, status: {} } as unknown as Change;
