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
import type { ChangeStore } from '../store/store.js';
import { CommitQueue } from './commit-queue.js';
import type { CreditBook } from './credit.js';
import { type Delivery, decodeDelivery, rejected } from './decode.js';
import { ReceiptOutbox } from './receipts.js';

export interface ConsolidatorOptions {
  readonly store: ChangeStore;
  /** QoS 0. */
  readonly send: (topic: string, payload: Uint8Array) => void;
  readonly receiptDelayMs: number;
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

  async accept(delivery: Delivery): Promise<void> {
    const { credit, monotonicMs = () => performance.now() } = this.#options;
    const cameMs = monotonicMs();
    const { change: asked, identity, ages } = decodeDelivery(delivery);
    const instead = (error: Error) =>
      rejected(delivery, asked.gateway, 'internal', `the store cannot take it: ${error.message}`, identity).change;
    const { change, windows, refused } = await this.#queue.put(asked, instead);
    this.#books.messages++;
    const nowMs = monotonicMs();
    if (refused !== undefined) this.#overQuota(change.gateway, identity, refused);
    else if (change.kind === 'status') {
      this.#books.statuses++;
      if (!change.retained) credit?.status(change.gateway, change.status, nowMs);
    } else if (change.kind === 'batch') {
      this.#books.batches++;
      this.#books.windowsPut += windows;
      this.#books.windowsKnown += change.windows.length - windows;
      if (ages !== undefined) credit?.batch(change.gateway, ages, nowMs - cameMs, nowMs);
      if (identity !== undefined) this.#receipts.committed(change.gateway, identity);
      if (windows > 0 || change.ledger.length > 0) this.#options.onChanged?.();
    } else {
      this.#books.rejected++;
      const { gateway, topic, reason, detail } = change;
      this.#options.log.warn({ gateway, topic, reason, ...identity }, `kept in quarantine, ${reason}: ${detail}`);
      if (identity !== undefined) this.#receipts.rejected(gateway, identity, reason, detail);
    }
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

  /** Resolves once nothing is being committed. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }
}
