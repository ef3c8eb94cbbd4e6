/**
 * Receipts on their way out: gathered for a moment, so that a gateway that sends ten batches gets one message. A receipt is
 * idempotent and may be lost: the gateway sends the batch again, and gets it again.
 *
 * Never: a receipt for what is not committed; its callers see to that.
 */
import type { BatchIdentity } from '../../shared/batch.js';
import { encodeReceipt, type Receipt } from '../../shared/receipt.js';
import { downTopic } from '../../shared/topics.js';
import { VERSION } from '../../shared/version.js';

/** By then a message is sent without waiting for more: far below the 128 KB that IoT Core takes. */
const MAX_ENTRIES = 500;
const MAX_REJECTED = 50;
const MAX_DETAIL = 1000;

interface Pending {
  readonly gateway: string;
  readonly epoch: string;
  readonly sessions: Map<number, Set<number>>;
  readonly rejected: Map<string, Receipt['rejected'][number]>;
  entries: number;
}

/** QoS 0. What cannot be sent is the sender's to tell; its promise never rejects. */
export type SendReceipt = (topic: string, payload: Uint8Array) => void | Promise<void>;

export interface ReceiptOutboxOptions {
  readonly send: SendReceipt;
  /** How long receipts are gathered; undefined: until somebody says `flush`. */
  readonly delayMs: number | undefined;
  /** How long a gateway is to wait for its next receipts. */
  readonly patienceMs?: number | undefined;
  readonly now: () => number;
  /** Windows of its backlog a second that a gateway may send. */
  readonly grant?: (gateway: string) => number;
}

export class ReceiptOutbox {
  readonly #options: ReceiptOutboxOptions;
  readonly #pending = new Map<string, Pending>();
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(options: ReceiptOutboxOptions) {
    this.#options = options;
  }

  committed(gateway: string, { epoch, session, sequence }: BatchIdentity): void {
    const pending = this.#pendingOf(gateway, epoch);
    let sequences = pending.sessions.get(session);
    if (sequences === undefined) {
      sequences = new Set();
      pending.sessions.set(session, sequences);
    }
    sequences.add(sequence);
    if (++pending.entries >= MAX_ENTRIES) this.flush();
  }

  rejected(gateway: string, { epoch, session, sequence }: BatchIdentity, reason: string, detail: string): void {
    const pending = this.#pendingOf(gateway, epoch);
    const entry = { session, sequence, reason, detail: detail.slice(0, MAX_DETAIL) };
    pending.rejected.set(`${session}/${sequence}`, entry);
    if (pending.rejected.size >= MAX_REJECTED) this.flush();
  }

  /** Resolves once what was flushed is sent. */
  sent(): Promise<void> {
    return this.#sending;
  }

  /** Sends what is gathered; idempotent. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { patienceMs } = this.#options;
    const timeMs = this.#options.now();
    for (const { gateway, epoch, sessions, rejected } of this.#pending.values()) {
      const committed = [...sessions].map(([session, sequences]) => ({ session, sequences: [...sequences] }));
      const windowsPerSecond = this.#options.grant?.(gateway);
      const receipt = encodeReceipt({
        epoch,
        committed,
        rejected: [...rejected.values()],
        timeMs,
        version: VERSION,
        ...(windowsPerSecond !== undefined && { credit: { windowsPerSecond } }),
        ...(patienceMs !== undefined && { patienceMs }),
      });
      this.#send(downTopic(gateway, 'receipt'), receipt);
    }
    this.#pending.clear();
  }

  #send(topic: string, receipt: Uint8Array): void {
    const sent = this.#options.send(topic, receipt);
    if (sent !== undefined) this.#sending = Promise.all([this.#sending, sent]).then(() => undefined);
  }

  #pendingOf(gateway: string, epoch: string): Pending {
    const key = `${gateway}/${epoch}`;
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = { gateway, epoch, sessions: new Map(), rejected: new Map(), entries: 0 };
      this.#pending.set(key, pending);
    }
    const { delayMs } = this.#options;
    if (delayMs !== undefined) this.#timer ??= setTimeout(() => this.flush(), delayMs);
    return pending;
  }
}
