/**
 * Sends the receipts that are owed for too long: those of gateways that fell silent, for which no further batch calls. What is taken
 * and not sent is lost, which costs one resend.
 */
import { ReceiptOutbox } from '../consolidate/receipts.js';
import type { ReceiptStore } from '../store/store.js';
import type { LambdaHandler } from './function.js';
import type { WriteMetrics } from './metrics.js';
import type { Publisher } from './publisher.js';

export interface SweepServices {
  readonly store: ReceiptStore;
  /** For one invocation. */
  readonly publisher: () => Publisher;
  readonly patienceMs: number | undefined;
  readonly writeMetrics: WriteMetrics;
  readonly now: () => number;
}

export function sweep({ store, patienceMs, now, ...services }: SweepServices): LambdaHandler<void> {
  return async () => {
    const { send, counters } = services.publisher();
    const outbox = new ReceiptOutbox({ send, delayMs: undefined, patienceMs, now });
    let owed = 0;
    for (const { gateway, due } of await store.takeOwed(now())) {
      for (const batch of due) outbox.committed(gateway, batch);
      owed += due.length;
    }
    outbox.flush();
    await outbox.sent();
    services.writeMetrics({ receiptsOwed: owed, receiptsSent: counters.sent, receiptsFailed: counters.failed });
  };
}
