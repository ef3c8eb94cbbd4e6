/**
 * The push stage: takes the backlog, sends it in batches, frees what the cloud has committed.
 *
 * Promises: nothing is freed by a PUBACK or by a publish that went out, only by a receipt (see `outbox.ts`); the caps on
 * publishes, bytes and batches in flight hold; a lost link costs a resend and nothing else.
 */
import type { IClientOptions } from 'mqtt';
import type { Logger } from 'pino';
import { encodeBatch, encodedSizeHint } from '../../shared/batch.js';
import type { EdgetallyError } from '../../shared/errors.js';
import type { MqttEnd } from '../../shared/mqtt-reasons.js';
import { decodeReceipt, type Receipt } from '../../shared/receipt.js';
import { downTopic, upTopic } from '../../shared/topics.js';
import type { WindowId } from '../stored-window.js';
import { Link, type LinkState } from './link.js';
import type { PushOptions } from './options.js';
import { type Backlog, Outbox } from './outbox.js';
import { Pacer } from './pacer.js';

/** `offline` is for the last will; `stopped` is said by the gateway itself, when it is stopped on purpose. */
export type StatusWord = 'online' | 'offline' | 'stopped';

export interface PushClock {
  /** What the system clock says: to be shown. */
  nowMs(): number;
  /** Goes on evenly, whatever is done to the clock: for deadlines. */
  steadyMs(): number;
}

export interface PushContext {
  readonly gateway: string;
  readonly epoch: string;
  readonly session: number;
  readonly options: PushOptions;
  readonly backlog: Backlog;
  readonly clock: PushClock;
  readonly log: Logger;
  /** The status message of this moment. */
  status(state: StatusWord): Uint8Array;
  /** TLS files, read and checked. */
  credentials(): Promise<IClientOptions>;
  explain(end: MqttEnd): EdgetallyError;
}

export interface PushState {
  readonly link: LinkState;
  readonly inFlight: number;
  readonly setAside: number;
  readonly lastReceiptMs: number | null;
  /** The reason of the last refusal by the cloud. */
  readonly lastRejection: string | null;
  readonly counters: Readonly<Record<string, number>>;
}

/** Reasons that concern the batch as such, so that cutting it in halves would not help. */
const WHOLE = new Set(['newer-version', 'not-a-batch', 'checksum']);

export class Push {
  readonly #context: PushContext;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #pacer: Pacer;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #ready = false;
  #timer: NodeJS.Timeout | undefined;
  #statusAtMs = Number.NEGATIVE_INFINITY;
  #lastReceiptMs: number | null = null;
  #lastRejection: string | null = null;
  readonly #counters = { publishedBytes: 0, receipts: 0, badReceipts: 0 };

  constructor(context: PushContext) {
    const { options, backlog, clock, log } = context;
    this.#context = context;
    this.#outbox = new Outbox(
      backlog,
      {
        maxInFlight: options.maxInFlight,
        maxBatchBytes: options.maxBatchBytes,
        receiptTimeoutMs: options.receiptTimeout,
      },
      (window) => encodedSizeHint(window.summary),
    );
    this.#pacer = new Pacer(options.maxPublishesPerSecond, options.maxBytesPerSecond, clock.steadyMs());
    this.#link = new Link(
      options,
      {
        credentials: () => this.#clientOptions(),
        explain: context.explain,
        up: () => void this.#up(),
        down: () => this.#down(),
        message: (topic, payload) => this.#message(topic, payload),
      },
      log,
    );
  }

  get state(): PushState {
    return {
      link: this.#link.state,
      inFlight: this.#outbox.inFlight,
      setAside: this.#outbox.setAside,
      lastReceiptMs: this.#lastReceiptMs,
      lastRejection: this.#lastRejection,
      counters: { ...this.#outbox.counters, ...this.#counters },
    };
  }

  start(): void {
    this.#running ??= this.#link.run(this.#stop.signal);
    this.#running.catch((error: Error) => this.#context.log.error({ error: error.message }, 'uplink stopped'));
  }

  /** Says goodbye and closes the link; what has no receipt stays in the buffer. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#ready) this.#publishStatus('stopped');
    this.#ready = false;
    this.#stop.abort(); // first, so that the end of the link is no news
    await this.#link.close();
    await this.#running?.catch(() => undefined);
  }

  /** These windows were saved: they may go. */
  saved(windows: readonly WindowId[]): void {
    this.#outbox.saved(windows);
    this.#pump();
  }

  /** Deadlines and the status message. Call a few times a second. */
  tick(): void {
    const steadyMs = this.#context.clock.steadyMs();
    const expired = this.#outbox.expire(steadyMs);
    if (expired > 0) this.#context.log.warn({ batches: expired }, 'no receipt in time, sending again');
    if (this.#ready && steadyMs - this.#statusAtMs >= this.#context.options.statusInterval) {
      this.#publishStatus('online');
    }
    this.#pump();
  }

  async #clientOptions(): Promise<IClientOptions> {
    const { gateway, options } = this.#context;
    return {
      clientId: options.clientId ?? gateway,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: options.password }),
      ...(await this.#context.credentials()),
      will: {
        topic: upTopic(gateway, 'status'),
        payload: Buffer.from(this.#context.status('offline').slice()),
        qos: 1,
        retain: true,
      },
    };
  }

  async #up(): Promise<void> {
    const topic = downTopic(this.#context.gateway, 'receipt');
    try {
      // before the first batch, or its receipt would find nobody
      await this.#link.subscribe(topic);
    } catch (error) {
      this.#context.log.error({ topic, error: (error as Error).message }, 'no receipts: subscription failed');
      await this.#link.close();
      return;
    }
    this.#ready = true;
    this.#publishStatus('online');
    this.#pump();
  }

  #down(): void {
    this.#ready = false;
    clearTimeout(this.#timer);
    this.#outbox.linkLost();
  }

  #publishStatus(state: StatusWord): void {
    this.#statusAtMs = this.#context.clock.steadyMs();
    this.#link.publish(upTopic(this.#context.gateway, 'status'), this.#context.status(state), { qos: 1, retain: true });
  }

  /** Sends what may be sent now. A fault of the disk is a passing one: the next tick tries again. */
  #pump(): void {
    clearTimeout(this.#timer);
    try {
      this.#sendAll();
    } catch (error) {
      this.#context.log.error({ error: (error as Error).message }, 'sending failed');
    }
  }

  /** Comes back for the rest when the caps allow. */
  #sendAll(): void {
    while (this.#ready) {
      const steadyMs = this.#context.clock.steadyMs();
      const waitMs = this.#pacer.waitMs(steadyMs);
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), waitMs);
        return;
      }
      if (!this.#send(steadyMs)) return;
    }
  }

  #send(steadyMs: number): boolean {
    const outgoing = this.#outbox.next(steadyMs);
    if (outgoing === undefined) return false;
    const { gateway, epoch, session, options } = this.#context;
    const payload = encodeBatch({
      epoch,
      session,
      sequence: outgoing.sequence,
      sentMs: Math.max(0, this.#context.clock.nowMs()),
      windows: outgoing.windows.map((window) => window.summary),
      ledger: outgoing.ledger,
      losses: [],
    });
    const topic = upTopic(gateway, 'batch');
    const rule = options.basicIngestRule;
    this.#link.publish(rule === undefined ? topic : `$aws/rules/${rule}/${topic}`, payload, { qos: 1 });
    this.#pacer.spend(payload.length + topic.length);
    this.#counters.publishedBytes += payload.length;
    return true;
  }

  #message(topic: string, payload: Uint8Array): void {
    if (topic !== downTopic(this.#context.gateway, 'receipt')) return;
    const decoded = decodeReceipt(payload);
    if (!decoded.ok) {
      this.#counters.badReceipts++;
      this.#context.log.warn({ detail: decoded.detail }, 'receipt not understood; the batches will be sent again');
      return;
    }
    try {
      this.#receipt(decoded.value);
    } catch (error) {
      this.#context.log.error(
        { error: (error as Error).message },
        'receipt not written; the windows will be sent again',
      );
    }
    this.#pump();
  }

  #receipt(receipt: Receipt): void {
    const { epoch, session, clock, log } = this.#context;
    if (receipt.epoch !== epoch) return;
    this.#counters.receipts++;
    for (const committed of receipt.committed) {
      if (committed.session !== session) continue;
      if (this.#outbox.receipt(committed.sequences) > 0) this.#lastReceiptMs = clock.nowMs();
    }
    for (const rejected of receipt.rejected) {
      if (rejected.session !== session) continue;
      this.#lastRejection = `${rejected.reason}: ${rejected.detail}`;
      log.error({ reason: rejected.reason, detail: rejected.detail }, 'the cloud refused a batch; it is kept');
      this.#outbox.rejected(rejected.sequence, WHOLE.has(rejected.reason), clock.steadyMs());
    }
  }
}
