/**
 * decode → keep the highest revision → mark what is above it stale → commit → receipt.
 *
 * Promises: `accept` resolves only once the message is durable, as windows or in quarantine; only then may it be
 * acknowledged to the broker, and only then does the gateway get a receipt. A batch that is committed already changes
 * nothing and gets its receipt again.
 */

import type { BatchIdentity } from '../../shared/batch.js';
import type { Log } from '../log.js';
import type { Refusal } from '../store/quota.js';
import type { Applied, BatchChange, ChangeStore, RejectedChange } from '../store/store.js';
import { CommitQueue, type Committed } from './commit-queue.js';
import type { CreditBook } from './credit.js';
import { type Decoded, type Delivery, decodeDelivery, rejected } from './decode.js';
import { ReceiptOutbox, type SendReceipt } from './receipts.js';

export interface ConsolidatorOptions {
  readonly store: ChangeStore;
  readonly send: SendReceipt;
  /** How long receipts are gathered; undefined: until somebody says `flush`. */
  readonly receiptDelayMs: number | undefined;
  /** How long a gateway is to wait for its next receipts. */
  readonly patienceMs?: number | undefined;
  readonly log: Log;
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** Called after commits that made roll-ups stale. */
  readonly onChanged?: () => void;
  readonly backoffMs?: readonly [number, number];
  /** Without it no receipt speaks of credit. */
  readonly credit?: CreditBook;
  /** Never jumps; only differences mean anything. */
  readonly monotonicMs?: () => number;
}

/** Since the start of the process: messages = batches + statuses + rejected + overQuota. */
export interface ConsolidateBooks {
  readonly messages: number;
  readonly batches: number;
  readonly statuses: number;
  readonly rejected: number;
  /** Batches that their gateway may not put: it has had its share. */
  readonly overQuota: number;
  readonly windowsPut: number;
  /** Windows that were there already, in that revision or a higher one. */
  readonly windowsKnown: number;
}

export class Consolidator {
  readonly #options: ConsolidatorOptions;
  readonly #queue: CommitQueue;
  readonly #receipts: ReceiptOutbox;
  readonly #books = { messages: 0, batches: 0, statuses: 0, rejected: 0, overQuota: 0, windowsPut: 0, windowsKnown: 0 };

  constructor(options: ConsolidatorOptions) {
    this.#options = options;
    this.#queue = new CommitQueue(options);
    const { credit, receiptDelayMs: delayMs, monotonicMs = () => performance.now() } = options;
    const grant = credit && ((gateway: string) => credit.grant(gateway, monotonicMs()));
    this.#receipts = new ReceiptOutbox({ ...options, delayMs, ...(grant && { grant }) });
  }

  get books(): ConsolidateBooks {
    return { ...this.#books };
  }

  /** Deliveries that are accepted in one turn are committed together. Resolves with what became of this one. */
  async accept(delivery: Delivery, decoded: Decoded = decodeDelivery(delivery)): Promise<Committed> {
    const { credit, monotonicMs = () => performance.now() } = this.#options;
    const cameMs = monotonicMs();
    const { change: asked, identity } = decoded;
    const instead = (error: Error) =>
      rejected(delivery, asked.gateway, 'internal', `the store cannot take it: ${error.message}`, identity).change;
    const committed = await this.#queue.put(asked, instead);
    const { change, refused } = committed;
    this.#books.messages++;
    const nowMs = monotonicMs();
    if (refused !== undefined) this.#overQuota(change.gateway, identity, refused);
    else if (change.kind === 'batch') this.#batch(change, committed, decoded, nowMs - cameMs, nowMs);
    else if (change.kind === 'rejected') this.#rejected(change, identity);
    else {
      this.#books.statuses++;
      if (!change.retained) credit?.status(change.gateway, change.status, nowMs);
    }
    return committed;
  }

  #batch(change: BatchChange, applied: Applied, { ages, identity }: Decoded, tookMs: number, nowMs: number): void {
    this.#books.batches++;
    this.#books.windowsPut += applied.windows;
    this.#books.windowsKnown += change.windows.length - applied.windows;
    if (ages !== undefined) this.#options.credit?.batch(change.gateway, ages, tookMs, nowMs);
    const own = identity === undefined ? [] : [identity];
    for (const batch of applied.due ?? own) this.#receipts.committed(change.gateway, batch);
    if (applied.windows > 0 || change.ledger.length > 0) this.#options.onChanged?.();
  }

  #rejected({ gateway, topic, reason, detail }: RejectedChange, identity: BatchIdentity | undefined): void {
    this.#books.rejected++;
    this.#options.log.warn({ gateway, topic, reason, ...identity }, `kept in quarantine, ${reason}: ${detail}`);
    if (identity !== undefined) this.#receipts.rejected(gateway, identity, reason, detail);
  }

  /** Not kept here: the gateway has it, and tries again. */
  #overQuota(gateway: string, identity: BatchIdentity | undefined, { reason, detail }: Refusal): void {
    this.#books.overQuota++;
    this.#options.log.warn({ gateway, reason, ...identity }, `a batch was refused, ${reason}: ${detail}`);
    if (identity !== undefined) this.#receipts.rejected(gateway, identity, reason, detail);
  }

  /** Sends the receipts that are due. */
  flush(): void {
    this.#receipts.flush();
  }

  /** Resolves once nothing is being committed, and what was flushed is sent. */
  async idle(): Promise<void> {
    await this.#queue.idle();
    await this.#receipts.sent();
  }
}
