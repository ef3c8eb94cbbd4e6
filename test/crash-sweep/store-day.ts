/**
 * The real consolidator over the real SQLite store, fed by a script. Says, as one line each: what may be acknowledged to
 * the broker (`ack`), what was given up (`nak`), and which receipts left (`receipt`, `rejected`).
 */
import { join } from 'node:path';
import { Consolidator } from '../../cloud/consolidate/consolidator.js';
import { recompute } from '../../cloud/store/gather.js';
import { openSqliteStore } from '../../cloud/store/sqlite/store.js';
import { LEVELS, type RollUp, type Snapshot, type Store } from '../../cloud/store/store.js';
import { EdgetallyError } from '../../shared/errors.js';
import { decodeReceipt } from '../../shared/receipt.js';
import { type CloudMessage, type CloudStep, DAY_START_MS } from './cloud-script.js';

const ATTEMPTS = 5;
/** So many failed commits in a row, and a person would have stopped it. */
const PATIENCE = 12;
/** Receipts are sent by the script. */
const NEVER_MS = 1_000_000;

export class CloudDay {
  readonly #path: string;
  readonly #say: (line: string) => void;
  readonly #stop = new AbortController();
  #failures = 0;
  #store: Store | undefined;
  #consolidator: Consolidator | undefined;

  constructor(dir: string, say: (line: string) => void) {
    this.#path = join(dir, 'cloud.db');
    this.#say = say;
  }

  get store(): Store {
    return this.#store!;
  }

  /** Tries a few times, as a supervisor does that starts a failed program again. */
  async open(): Promise<void> {
    this.#store = await this.#patiently('open', async () =>
      openSqliteStore({ path: this.#path, maxQuarantineBytes: 100_000 }),
    );
    const { store } = this;
    const quiet = () => undefined;
    this.#consolidator = new Consolidator({
      store,
      send: (_, payload) => this.#receipt(payload),
      receiptDelayMs: NEVER_MS,
      log: {
        debug: quiet,
        info: quiet,
        warn: quiet,
        error: (_: unknown, text?: string) => this.#failed(text ?? ''),
      } as never,
      now: () => DAY_START_MS,
      signal: this.#stop.signal,
      backoffMs: [1, 2],
    });
  }

  async close(): Promise<void> {
    this.#consolidator?.flush();
    try {
      await this.#store?.close();
    } catch (error) {
      this.#say(`fault close: ${(error as Error).message}`);
    }
  }

  async step(step: CloudStep): Promise<void> {
    if (step.do === 'arrive') await this.arrive(step.messages);
    else if (step.do === 'rollUps') await this.rollUps();
    else {
      await this.close();
      await this.open();
    }
  }

  /** In one commit, as far as the queue sees to it. */
  async arrive(messages: readonly CloudMessage[]): Promise<void> {
    await Promise.all(messages.map((message) => this.#arriveOne(message)));
    this.#consolidator!.flush();
    if (this.#stop.signal.aborted) throw new EdgetallyError('database-failed', 'the store does not come back');
  }

  /** As the keeper of the roll-ups does, without its rests: level by level, until none is stale. */
  async rollUps(): Promise<void> {
    while ((await this.#patiently('roll-ups', () => this.#rollUpOnce())) > 0);
  }

  async #rollUpOnce(): Promise<number> {
    const computed = await this.store.read(recomputeFinest);
    if (computed.length > 0) await this.store.putRollUps(computed);
    return computed.length;
  }

  async #patiently<T>(what: string, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        this.#say(`fault ${what}: ${(error as Error).message}`);
        if (attempt === ATTEMPTS) throw error;
      }
    }
  }

  async #arriveOne({ index, topic, payload }: CloudMessage): Promise<void> {
    try {
      await this.#consolidator!.accept({ topic, payload, retained: false, receivedMs: DAY_START_MS });
      this.#failures = 0;
      this.#say(`ack ${index}`);
    } catch (error) {
      this.#say(`nak ${index} ${(error as Error).message}`);
    }
  }

  #failed(text: string): void {
    this.#say(`fault ${text}`);
    if (++this.#failures >= PATIENCE) this.#stop.abort();
  }

  #receipt(payload: Uint8Array): void {
    const receipt = decodeReceipt(payload);
    if (!receipt.ok) throw new Error(receipt.detail);
    const { epoch, committed, rejected } = receipt.value;
    for (const { session, sequences } of committed) {
      for (const sequence of sequences) this.#say(`receipt ${epoch}/${session}/${sequence}`);
    }
    for (const { session, sequence } of rejected) this.#say(`rejected ${epoch}/${session}/${sequence}`);
  }
}

async function recomputeFinest(snapshot: Snapshot): Promise<RollUp[]> {
  const computed: RollUp[] = [];
  for (const level of LEVELS) {
    const stale = await snapshot.due(level, { staleSinceMs: Number.MAX_SAFE_INTEGER, limit: 256 });
    for (const one of stale) computed.push(await recompute(snapshot, one));
    if (stale.length > 0) break;
  }
  return computed;
}
