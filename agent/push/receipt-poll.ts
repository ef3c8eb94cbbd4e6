/**
 * Asks for receipts by HTTPS, now and then, while nothing else brings them. What it hears is taken like a message on the receipt
 * topic. Failures are told once, and change nothing: the batches wait.
 */
import { Agent } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import { ask } from './https-connection.js';

export interface PollContext {
  /** Whole, with its query. */
  readonly url: URL;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly heard: (receipt: Uint8Array) => void;
  readonly log: Logger;
}

export class ReceiptPoll {
  readonly #context: PollContext;
  readonly #agent: Agent;
  readonly #over = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #asking = false;
  #problem: string | undefined;

  /** Starts to ask. */
  constructor(context: PollContext, tls: SecureContextOptions) {
    this.#context = context;
    this.#agent = new Agent({ ...tls, keepAlive: true, maxSockets: 1 });
    this.#timer = setInterval(() => void this.#poll(), context.everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#over.abort();
    this.#agent.destroy();
  }

  async #poll(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const { url, timeoutMs, heard } = this.#context;
    try {
      const { signal } = this.#over;
      const { status, body } = await ask(url, { agent: this.#agent, signal, timeout: timeoutMs });
      if (signal.aborted) return;
      if (status === 200) heard(body);
      this.#tell(status === 200 || status === 204 ? undefined : `${url.host} answered ${status}`);
    } catch (error) {
      if (!this.#over.signal.aborted) this.#tell(`${url.host}: ${(error as Error).message}`);
    } finally {
      this.#asking = false;
    }
  }

  #tell(problem: string | undefined): void {
    if (problem !== undefined && problem !== this.#problem) this.#context.log.warn({ problem }, 'no receipts by HTTPS');
    this.#problem = problem;
  }
}
