/**
 * The push stage: takes the backlog, sends it in batches, frees what the cloud has committed.
 *
 * Promises: nothing is freed by a PUBACK or by a publish that went out, only by a receipt (see `outbox.ts`); the caps on
 * publishes, bytes and batches in flight hold; a lost link costs a resend and nothing else; a jump of the wall clock moves
 * no deadline.
 */
import type { IClientOptions } from 'mqtt';
import type { Logger } from 'pino';
import { encodeBatch } from '../../shared/batch.js';
import { downTopic, type UpKind, upTopic } from '../../shared/topics.js';
import type { WindowId } from '../stored-window.js';
import { Answers } from './answers.js';
import type { Backlog } from './backlog.js';
import { Credit } from './credit.js';
import { isNucleus, largestBatch } from './endpoint.js';
import type { Carrier, Link, LinkHandlers, LinkState } from './link.js';
import { type PushOptions, statusIntervalMs } from './options.js';
import { Outbox } from './outbox.js';
import { Pacer } from './pacer.js';
import { makeUplink } from './uplink.js';
import { Watchdog, type WatchdogStep } from './watchdog.js';

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
  readonly credentials: LinkHandlers['credentials'];
  readonly explain: LinkHandlers['explain'];
  /** Told what shows that the credentials are good. */
  readonly witness?: { up(): void; receipt(): void };
  /** The link has been useless for so long that only a new process may help. */
  giveUp(): void;
}

export interface PushState {
  readonly link: LinkState;
  readonly inFlight: number;
  /** Windows that were taken over a link that brings no receipts, and wait for theirs. */
  readonly postedWindows: number;
  /** How long the last receipt is ago, ms; null before the first. */
  readonly receiptAgeMs: number | null;
  /** How long a receipt is owed on a link that is up, ms. */
  readonly silentMs: number;
  /** What the cloud grants, windows of the backlog a second; null where it sets no limit. */
  readonly credit: number | null;
  readonly counters: Readonly<Record<string, number>>;
}

export class Push {
  readonly #context: PushContext;
  readonly link: Link;
  readonly #outbox: Outbox;
  readonly #answers: Answers;
  readonly #credit: Credit;
  readonly #pacer: Pacer;
  readonly #watchdog: Watchdog;
  /** The link is up, and where it brings receipts they would be heard. */
  #ready: Carrier | undefined;
  #isStopped = false;
  /** When something was sent last. */
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #statusAtMs = Number.NEGATIVE_INFINITY;
  readonly #counters = { publishedBytes: 0, newSockets: 0, newClients: 0, exits: 0 };

  constructor(context: PushContext) {
    const { options, backlog, clock, log, epoch, session } = context;
    this.#context = context;
    this.#credit = new Credit(options.drainJitter);
    this.#outbox = new Outbox({
      backlog,
      limits: {
        maxInFlight: options.maxInFlight,
        maxBatchBytes: largestBatch(options),
        receiptTimeoutMs: options.receiptTimeout,
      },
      credit: this.#credit,
      encode: ({ sequence, windows, ledger, losses }) => {
        const summaries = windows.map(({ summary }) => summary);
        const sentMs = Math.max(0, clock.nowMs());
        return encodeBatch({ epoch, session, sequence, sentMs, windows: summaries, ledger, losses });
      },
    });
    this.#answers = new Answers({ epoch, session, outbox: this.#outbox, credit: this.#credit, log });
    this.#pacer = new Pacer(options.maxPublishesPerSecond, options.maxBytesPerSecond, clock.steadyMs());
    this.#watchdog = new Watchdog({
      silenceMs: options.watchdog,
      // a link to a nucleus is up whether the nucleus is online or not: that no receipt comes is no reason to end
      exitMs: options.exitAfter === 0 || isNucleus(options) ? undefined : options.exitAfter,
    });
    const handlers: LinkHandlers = {
      credentials: (transport, signal) => this.#clientOptions(transport, signal),
      explain: context.explain,
      up: (carrier) => void this.#up(carrier),
      down: () => this.#down(),
      message: (topic, payload) => this.#message(topic, payload),
    };
    this.link = makeUplink(
      options,
      { gateway: context.gateway, epoch, session },
      handlers,
      () => clock.steadyMs(),
      log,
    );
  }

  get state(): PushState {
    const receiptAtMs = this.#answers.lastMs;
    return {
      link: this.link.state,
      inFlight: this.#outbox.inFlight,
      postedWindows: this.#outbox.postedWindows,
      receiptAgeMs: receiptAtMs === undefined ? null : Math.round(this.#context.clock.steadyMs() - receiptAtMs),
      silentMs: Math.round(this.#watchdog.silentMs),
      credit: this.#credit.perSecond ?? null,
      counters: { ...this.#outbox.counters, ...this.#answers.counters, ...this.#counters },
    };
  }

  start(): void {
    this.link.start();
  }

  /** Says goodbye and closes the link; what has no receipt stays in the buffer. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    if (this.#ready !== undefined) this.#publishStatus('stopped');
    this.#ready = undefined;
    await this.link.stop();
  }

  /** These windows were saved: they may go. */
  saved(windows: readonly WindowId[]): void {
    this.#outbox.saved(windows);
    this.#pump();
  }

  /** Deadlines and the status message. Call a few times a second. */
  tick(): void {
    const nowMs = this.#context.clock.steadyMs();
    const expired = this.#outbox.expire(nowMs);
    if (expired > 0) this.#context.log.warn({ batches: expired }, 'no receipt in time, sending again');
    if (this.#ready !== undefined && nowMs - this.#statusAtMs >= statusIntervalMs(this.#context.options))
      this.#publishStatus('online', 'renewed');
    this.#watch(nowMs);
    this.#pump();
  }

  #watch(nowMs: number): void {
    const mayHear = this.link.state.state === 'up' && this.#ready?.blind === undefined;
    if (!mayHear) this.#watchdog.pause();
    else if (this.#ready !== undefined && !this.#isOwed) this.#watchdog.calm();
    else this.#act(this.#watchdog.silent(nowMs, this.#answers.patienceMs));
  }

  /** Something was sent, and no receipt came since. */
  get #isOwed(): boolean {
    return this.#sentAtMs > (this.#answers.lastMs ?? Number.NEGATIVE_INFINITY);
  }

  #act(step: WatchdogStep | undefined): void {
    if (step === undefined) return;
    const silentMs = Math.round(this.#watchdog.silentMs);
    if (step === 'exit') {
      this.#counters.exits++;
      this.#watchdog.calm();
      this.#context.log.error({ silentMs }, 'the link is up and no receipt comes, nothing helps: giving up');
      this.#context.giveUp();
      return;
    }
    this.#counters[step === 'new-socket' ? 'newSockets' : 'newClients']++;
    this.#context.log.warn({ silentMs, step }, 'the link is up and no receipt comes: connecting anew');
    this.link.renew(step === 'new-client');
  }

  async #clientOptions(...attempt: Parameters<LinkHandlers['credentials']>): Promise<IClientOptions> {
    const { gateway, options } = this.#context;
    return {
      clientId: options.clientId ?? gateway,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: options.password }),
      ...(await this.#context.credentials(...attempt)),
      will: {
        topic: upTopic(gateway, 'status'),
        payload: Buffer.from(this.#context.status('offline').slice()),
        qos: 1,
        retain: true,
      },
    };
  }

  async #up(carrier: Carrier): Promise<void> {
    const topic = downTopic(this.#context.gateway, 'receipt');
    try {
      // before the first batch, or its receipt would find nobody
      await this.link.subscribe(topic);
    } catch (error) {
      this.#context.log.error({ topic, error: (error as Error).message }, 'no receipts: subscription failed');
      this.link.renew(false);
      return;
    }
    if (this.#isStopped) return; // while it subscribed
    this.#ready = carrier;
    const { blind, transport } = carrier;
    if (transport === 'mqtt') this.#context.witness?.up();
    if (blind === undefined) this.#outbox.recall();
    this.#outbox.linkUp();
    this.#credit.linkUp(this.#context.clock.steadyMs(), Math.random(), blind?.grant);
    this.#publishStatus('online');
    this.#pump();
  }

  #down(): void {
    this.#ready = undefined;
    clearTimeout(this.#timer);
    this.#outbox.linkLost();
  }

  /** What is retained says online or offline. While that does not change, and there is a rule, the books go to it alone. */
  #publishStatus(state: StatusWord, how: 'new' | 'renewed' = 'new'): void {
    const isRetained = how === 'new' || this.#context.options.basicIngestRule === undefined;
    const topic = isRetained ? upTopic(this.#context.gateway, 'status') : this.#ingestTopic('status');
    this.#statusAtMs = this.#context.clock.steadyMs();
    this.link.post(topic, this.#context.status(state), isRetained);
  }

  #ingestTopic(kind: UpKind): string {
    const topic = upTopic(this.#context.gateway, kind);
    const rule = this.#context.options.basicIngestRule;
    return rule === undefined ? topic : `$aws/rules/${rule}/${topic}`;
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
    while (this.#ready !== undefined) {
      const nowMs = this.#context.clock.steadyMs();
      const waitMs = this.#pacer.waitMs(nowMs);
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), waitMs);
        return;
      }
      if (!this.#send(nowMs)) return;
    }
  }

  #send(nowMs: number): boolean {
    const outgoing = this.#outbox.next(nowMs);
    if (outgoing === undefined) return false;
    const { payload, sequence } = outgoing;
    const topic = this.#ingestTopic('batch');
    const blind = this.#ready?.blind;
    this.link.send(topic, payload).then(
      () => blind && this.#outbox.posted(sequence, this.#context.clock.steadyMs(), blind.patienceMs),
      (error: Error) => this.#context.log.debug({ topic, error: error.message }, 'a batch was not taken'),
    );
    this.#sentAtMs = nowMs;
    this.#pacer.spend(payload.length + topic.length);
    this.#counters.publishedBytes += payload.length;
    return true;
  }

  #message(topic: string, payload: Uint8Array): void {
    if (topic !== downTopic(this.#context.gateway, 'receipt')) return;
    if (this.#answers.take(payload, this.#context.clock.steadyMs())) {
      this.#watchdog.calm();
      if (this.#ready?.transport === 'mqtt') this.#context.witness?.receipt();
    }
    this.#pump();
  }
}
