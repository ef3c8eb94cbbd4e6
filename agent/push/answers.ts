/** What the cloud answers: receipts, read and passed on to those whom they concern. Never: half of a receipt. */
import type { Logger } from 'pino';
import { decodeReceipt, type Receipt } from '../../shared/receipt.js';
import type { Credit } from './credit.js';
import type { Outbox } from './outbox.js';

/** Whatever a cloud asks for. */
const MAX_PATIENCE_MS = 3_600_000;

export interface AnswersContext {
  readonly epoch: string;
  readonly session: number;
  readonly outbox: Outbox;
  readonly credit: Credit;
  readonly log: Logger;
}

export class Answers {
  readonly #context: AnswersContext;
  readonly counters = { receipts: 0, badReceipts: 0 };
  /** How long the cloud asked to be waited for in its last receipt. */
  patienceMs = 0;
  /** When the last receipt came, on the clock that never jumps; undefined before the first. */
  lastMs: number | undefined;

  constructor(context: AnswersContext) {
    this.#context = context;
  }

  /** True where it was a receipt for this gateway. */
  take(payload: Uint8Array, nowMs: number): boolean {
    const { log, epoch } = this.#context;
    const decoded = decodeReceipt(payload);
    if (!decoded.ok) {
      this.counters.badReceipts++;
      log.warn({ detail: decoded.detail }, 'receipt not understood; the batches will be sent again');
      return false;
    }
    if (decoded.value.epoch !== epoch) return false;
    try {
      this.#apply(decoded.value, nowMs);
    } catch (error) {
      log.error({ error: (error as Error).message }, 'receipt not written; the windows will be sent again');
    }
    return true;
  }

  #apply(receipt: Receipt, nowMs: number): void {
    const { session, outbox, credit, log } = this.#context;
    this.counters.receipts++;
    this.lastMs = nowMs;
    credit.grant(receipt.credit, nowMs);
    this.patienceMs = Math.min(receipt.patienceMs ?? 0, MAX_PATIENCE_MS);
    outbox.patient(this.patienceMs);
    if (receipt.version !== undefined) outbox.cloudIs(receipt.version);
    for (const committed of receipt.committed) {
      if (committed.session === session) outbox.receipt(committed.sequences, nowMs);
    }
    for (const { session: of, sequence, reason, detail } of receipt.rejected) {
      if (of !== session) continue;
      const window = outbox.rejected(sequence, reason, detail, nowMs);
      log.error({ sequence, reason, detail, window }, 'the cloud refused a batch; what it refuses is kept');
    }
  }
}
