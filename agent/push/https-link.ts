/**
 * The uplink over HTTPS, for networks that let no MQTT through: each batch is a POST to /topics/<topic>, as AWS IoT Core takes
 * it. Receipts do not come this way, except where they may be polled.
 *
 * Never: carries a status (policies know no thing on HTTPS, and leave it out), or takes an answer 200 for a receipt.
 */
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import { EdgetallyError } from '../../shared/errors.js';
import { downTopic } from '../../shared/topics.js';
import type { Answer } from '../mqtt/ask.js';
import { Lifecycle, WAITS } from '../mqtt/lifecycle.js';
import type { Fallback } from './endpoint.js';
import { HttpsConnection } from './https-connection.js';
import type { Link, LinkHandlers, LinkState } from './link.js';
import type { PushOptions } from './options.js';
import { ReceiptPoll } from './receipt-poll.js';
import type { Sender } from './uplink.js';

export interface HttpsLinkContext {
  readonly options: PushOptions;
  readonly fallback: Fallback;
  readonly sender: Sender;
  readonly handlers: LinkHandlers;
  readonly monotonicMs: () => number;
  readonly log: Logger;
}

export class HttpsLink implements Link {
  readonly #context: HttpsLinkContext;
  readonly #lifecycle: Lifecycle<HttpsConnection>;
  #tls: SecureContextOptions = {};
  #up: HttpsConnection | undefined;
  #poll: ReceiptPoll | undefined;

  constructor(context: HttpsLinkContext) {
    this.#context = context;
    const { options, fallback, handlers, monotonicMs, log } = context;
    const { patience, windowsPerSecond } = options.fallback;
    this.#lifecycle = new Lifecycle({
      name: 'uplink by HTTPS',
      protocol: 'none',
      waits: { ...WAITS, minBackoff: options.minBackoff, maxBackoff: options.maxBackoff },
      handlers: {
        open: (_protocol, signal) => this.#open(signal),
        up: (connection) => {
          this.#up = connection;
          this.#poll = this.#startPoll();
          handlers.up({ transport: 'https', blind: { patienceMs: patience, grant: { windowsPerSecond } } });
        },
        down: () => {
          this.#up = undefined;
          this.#poll?.stop();
          handlers.down();
        },
        explain: (end) => handlers.explain(end, 'https', fallback.origin.host),
      },
      monotonicMs,
      log,
    });
  }

  get state(): LinkState {
    const { state, problem, counters } = this.#lifecycle;
    return { transport: 'https', because: undefined, state, problem, ...counters };
  }

  start(): void {
    this.#lifecycle.start();
  }

  async stop(): Promise<void> {
    await this.#lifecycle.stop();
  }

  renew(forget: boolean): void {
    this.#lifecycle.renew(forget);
  }

  async send(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#up === undefined) throw new EdgetallyError('link-lost', 'the link is down');
    await this.#up.post(`/topics/${encodeURIComponent(topic)}?qos=1`, payload);
  }

  post(): void {
    // see above
  }

  async ask(topic: string): Promise<Answer> {
    throw new EdgetallyError('link-refused', `${topic} is answered over MQTT only`);
  }

  async subscribe(): Promise<void> {
    // nothing is heard
  }

  async #open(signal: AbortSignal): Promise<HttpsConnection> {
    const { handlers, fallback, options } = this.#context;
    const { ca, cert, key } = (await handlers.credentials('https', signal)) as SecureContextOptions;
    signal.throwIfAborted();
    this.#tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
    return new HttpsConnection({ ...fallback, tls: this.#tls, timeoutMs: options.connectTimeout });
  }

  #startPoll(): ReceiptPoll | undefined {
    const { options, sender, handlers, log } = this.#context;
    const { receiptsUrl, receiptsInterval } = options.fallback;
    if (receiptsUrl === undefined) return undefined;
    const url = new URL(receiptsUrl);
    for (const [key, value] of Object.entries(sender)) url.searchParams.set(key, String(value));
    const topic = downTopic(sender.gateway, 'receipt');
    const heard = (receipt: Uint8Array) => handlers.message(topic, receipt);
    return new ReceiptPoll(
      { url, everyMs: receiptsInterval, timeoutMs: options.connectTimeout, heard, log },
      this.#tls,
    );
  }
}
