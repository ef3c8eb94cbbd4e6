/**
 * A gateway and its cloud with no network between: the real pipeline, outbox, consolidator and stores, side by side on one
 * disk. Says, as one line each, what was acknowledged (`ack`), what left (`sent`) and what has a receipt (`receipt`).
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { backlogOf } from '../../agent/backlog.js';
import { bufferSchema } from '../../agent/buffer/options.js';
import { Pipeline } from '../../agent/pipeline.js';
import { Credit } from '../../agent/push/credit.js';
import { Outbox } from '../../agent/push/outbox.js';
import type { Push } from '../../agent/push/push.js';
import { ALWAYS } from '../../agent/time/clock-testing.js';
import { Consolidator } from '../../cloud/consolidate/consolidator.js';
import { openSqliteStore } from '../../cloud/store/sqlite/store.js';
import type { Store } from '../../cloud/store/store.js';
import { encodeBatch } from '../../shared/batch.js';
import { decodeReceipt } from '../../shared/receipt.js';
import { upTopic } from '../../shared/topics.js';
import { decodeReading, deliveries, nowAt, type ReadingId, STEP_MS } from './stream.js';

export const GATEWAY = 'gw';
export const AGENT_FILE = 'edgetally.db';
export const CLOUD_FILE = 'cloud.db';
/** Readings of so many steps may be lost where durability is relaxed. */
export const SYNC_STEPS = 20;

/** Small, so that it checkpoints and forgets in mid-run. */
const OPTIONS = { commitInterval: 100, retention: '8h', maxBytes: '4MB', syncInterval: SYNC_STEPS * STEP_MS };
/** Of the steps, at most, where nothing waits for the disk. */
const PACE_MS = 5;
/** The link comes and goes: up for so many steps of so many. */
const LINK_FOR = 8;
const LINK_EVERY = 40;
const ROUNDS = 1_000;
const RECEIPT_TIMEOUT_MS = 600_000;
/** Receipts are sent when the gateway asks for them. */
const NEVER_MS = 1_000_000;

export type Durability = 'each-commit' | 'relaxed';

export class Gateway {
  readonly pipeline: Pipeline;
  readonly store: Store;
  readonly #consolidator: Consolidator;
  readonly #outbox: Outbox;
  readonly #say: (line: string) => void;
  #step: number;
  #arriving: Promise<void>[] = [];

  constructor(dir: string, durability: Durability, step: number, say: (line: string) => void) {
    this.#say = say;
    this.#step = step;
    const error = (details: { error?: string }, what: string) => say(`fault ${what}: ${details.error}`);
    const log = { debug: quiet, info: quiet, warn: quiet, error } as unknown as Logger;
    const now = () => nowAt(this.#step);
    this.store = openSqliteStore({ path: join(dir, CLOUD_FILE), maxQuarantineBytes: 100_000 });
    this.#consolidator = new Consolidator({
      store: this.store,
      send: (_, payload) => this.#receipt(payload),
      receiptDelayMs: NEVER_MS,
      log,
      now,
      signal: new AbortController().signal,
    });
    this.pipeline = new Pipeline({
      options: bufferSchema.parse({ ...OPTIONS, durability }),
      databasePath: join(dir, AGENT_FILE),
      decode: decodeReading,
      clock: { nowMs: now, monotonicMs: now, bootId: randomUUID(), evidence: () => 'unknown' },
      clockOptions: ALWAYS,
      log,
    });
    this.#outbox = this.#makeOutbox();
  }

  #makeOutbox(): Outbox {
    const { buffer, time } = this.pipeline;
    const { epoch, session } = buffer;
    const credit = new Credit(0);
    credit.grant(undefined, 0);
    const clock = { nowMs: () => time.now().wallMs, steadyMs: () => time.now().steadyMs };
    return new Outbox({
      backlog: backlogOf(buffer, clock),
      limits: { maxInFlight: 10, maxBatchBytes: 4_000, receiptTimeoutMs: RECEIPT_TIMEOUT_MS },
      credit,
      encode: ({ sequence, windows, ledger, losses }) => {
        const summaries = windows.map(({ summary }) => summary);
        return encodeBatch({ epoch, session, sequence, sentMs: clock.nowMs(), windows: summaries, ledger, losses });
      },
    });
  }

  async start(): Promise<void> {
    const saved: Push['saved'] = (windows) => this.#outbox.saved(windows);
    const tick = () => (this.#step % LINK_EVERY < LINK_FOR ? this.#pump() : undefined);
    const push = { start: quiet, stop: async () => undefined, saved, tick };
    await this.pipeline.start([], push as unknown as Push);
  }

  async stop(): Promise<void> {
    await this.pipeline.stop();
    await this.settle();
    await this.store.close();
  }

  /** The readings of one step come, and others with them, in one commit; then what falls due with time. */
  async step(step: number, others: readonly ReadingId[] = []): Promise<void> {
    this.#step = step;
    await Promise.all([...others, ...deliveries(step)].map((id) => this.#deliver(id)));
    await sleep(PACE_MS);
    this.pipeline.work();
  }

  /** What left is in the cloud, and the gateway has its receipts. */
  async settle(): Promise<void> {
    await Promise.all(this.#arriving.splice(0));
    this.#consolidator.flush();
  }

  /** No more readings: what is there goes to the cloud, until nothing is without a receipt or that does not help. */
  async finish(step: number): Promise<void> {
    this.#step = step;
    await this.pipeline.save('all');
    for (let round = 0; round < ROUNDS && this.pipeline.buffer.windows.backlogState().windows > 0; round++) {
      this.#pump();
      await this.settle();
    }
  }

  /** Sends what may be sent. */
  #pump(): void {
    const { steadyMs, wallMs: nowMs } = this.pipeline.time.now();
    this.#outbox.expire(steadyMs);
    for (let out = this.#outbox.next(steadyMs); out !== undefined; out = this.#outbox.next(steadyMs)) {
      const { payload } = out;
      this.#say(`sent ${Buffer.from(payload).toString('base64')}`);
      const delivery = { topic: upTopic(GATEWAY, 'batch'), payload, retained: false, receivedMs: nowMs };
      this.#arriving.push(this.#consolidator.accept(delivery).then(() => undefined));
    }
  }

  #deliver(id: ReadingId): Promise<void> {
    return new Promise((resolve) => {
      const done = (error?: Error) => {
        this.#say(error === undefined ? `ack ${id} ${this.#step}` : `fault ${error}`);
        resolve();
      };
      const message = { topic: 't', payload: Buffer.from(String(id)), arrivalUs: nowAt(this.#step) * 1000 };
      this.pipeline.accept(message, done, true);
    });
  }

  #receipt(payload: Uint8Array): void {
    const receipt = decodeReceipt(payload);
    if (!receipt.ok) throw new Error(receipt.detail);
    const { committed, rejected } = receipt.value;
    for (const { session, sequences } of committed) {
      for (const sequence of sequences) this.#say(`receipt ${session}/${sequence}`);
      if (session === this.pipeline.buffer.session) this.#outbox.receipt(sequences, this.pipeline.time.now().steadyMs);
    }
    for (const { sequence, reason, detail } of rejected)
      this.#say(`fault batch ${sequence} refused: ${reason} ${detail}`);
  }
}

function quiet(): void {}
