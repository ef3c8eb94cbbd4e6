/**
 * MQTT, and HTTPS in its place while MQTT has not been up for a while. MQTT goes on being tried all the time, more rarely while HTTPS
 * works; as soon as it is up, HTTPS ends.
 */
import type { Logger } from 'pino';
import { EdgetallyError } from '../../shared/errors.js';
import type { Answer } from '../mqtt/ask.js';
import type { Carrier, Link, LinkHandlers, LinkState } from './link.js';

/** A link whose attempts may be made rarer. */
interface Primary extends Link {
  maxBackoffMs: number;
}

export interface FallbackContext {
  readonly mqtt: (handlers: LinkHandlers) => Primary;
  readonly https: (handlers: LinkHandlers) => Link;
  readonly handlers: LinkHandlers;
  /** So long MQTT is waited for. */
  readonly afterMs: number;
  /** How long it waits between two attempts, at most, while HTTPS works. */
  readonly retryMs: number;
  readonly log: Logger;
}

/** A slow start is no blocked network. */
const MIN_FAILURES = 3;
const LOOK_AGAIN_MS = 500;

export class FallbackLink implements Link {
  readonly #context: FallbackContext;
  readonly #mqtt: Primary;
  readonly #usualBackoffMs: number;
  #https: Link | undefined;
  /** Those that were stopped, and are still ending. */
  readonly #ending = new Set<Promise<void>>();
  #up: Link | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Failures of MQTT when it was up last. */
  #failuresBefore = 0;
  #stopped = false;

  constructor(context: FallbackContext) {
    this.#context = context;
    const { handlers } = context;
    this.#mqtt = context.mqtt({
      ...handlers,
      up: (carrier) => this.#mqttUp(carrier),
      down: () => {
        this.#isDown();
        this.#wait(context.afterMs);
      },
    });
    this.#usualBackoffMs = this.#mqtt.maxBackoffMs;
  }

  get state(): LinkState {
    const mqtt = this.#mqtt.state;
    if (this.#https === undefined || this.#up === this.#mqtt) return mqtt;
    const because = mqtt.problem === undefined ? 'MQTT is not up' : `MQTT is not up: ${mqtt.problem}`;
    return { ...this.#https.state, because };
  }

  start(): void {
    this.#mqtt.start();
    this.#wait(this.#context.afterMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#endHttps();
    await Promise.all([this.#mqtt.stop(), ...this.#ending]);
  }

  renew(forget: boolean): void {
    this.#mqtt.renew(forget);
    this.#https?.renew(forget);
  }

  async send(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#up === undefined) throw new EdgetallyError('link-lost', 'the link is down');
    await this.#up.send(topic, payload);
  }

  post(topic: string, payload: Uint8Array, retained: boolean): void {
    this.#up?.post(topic, payload, retained);
  }

  async ask(topic: string, question: string, timeoutMs: number): Promise<Answer> {
    return this.#mqtt.ask(topic, question, timeoutMs);
  }

  async subscribe(topic: string): Promise<void> {
    await this.#up?.subscribe(topic);
  }

  #mqttUp(carrier: Carrier): void {
    clearTimeout(this.#timer);
    this.#failuresBefore = this.#mqtt.state.failures;
    if (this.#https !== undefined) this.#context.log.info('MQTT is up again: HTTPS is no longer needed');
    this.#isDown();
    this.#endHttps();
    this.#up = this.#mqtt;
    this.#context.handlers.up(carrier);
  }

  #isDown(): void {
    if (this.#up === undefined) return;
    this.#up = undefined;
    this.#context.handlers.down();
  }

  #wait(ms: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fallBack(), ms);
  }

  #fallBack(): void {
    const { failures, problem } = this.#mqtt.state;
    if (failures - this.#failuresBefore < MIN_FAILURES) {
      this.#wait(LOOK_AGAIN_MS);
      return;
    }
    const { handlers, https, retryMs, log } = this.#context;
    log.warn({ problem }, 'MQTT does not get through: trying HTTPS');
    const link = https({
      ...handlers,
      up: (carrier) => {
        if (this.#https !== link) return; // MQTT was quicker
        this.#mqtt.maxBackoffMs = retryMs;
        this.#up = link;
        handlers.up(carrier);
      },
      down: () => {
        if (this.#https !== link) return;
        this.#mqtt.maxBackoffMs = this.#usualBackoffMs;
        this.#isDown();
      },
    });
    this.#https = link;
    link.start();
  }

  #endHttps(): void {
    const link = this.#https;
    if (link === undefined) return;
    this.#https = undefined;
    this.#mqtt.maxBackoffMs = this.#usualBackoffMs;
    const ended = link.stop().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }
}
