/** Stands in for the pipeline where a source is tested: takes messages, and says when they are committed. */
import { pino } from 'pino';
import type { SourceContext } from '../agent/accept/source-context.js';
import type { Accept } from '../agent/reading.js';
import { systemClocks } from '../agent/time/clock.js';

export interface Delivery {
  readonly topic: string;
  readonly text: string;
  readonly arrivalUs: number;
  readonly urgent: boolean;
  readonly done: (error?: Error) => void;
}

export class Inbox {
  /** Every message, in the order of arrival. */
  readonly all: Delivery[] = [];
  /** Commit at once. */
  auto = false;
  readonly logged: string[] = [];
  readonly #unread: Delivery[] = [];
  #wake: (() => void) | undefined;
  #listening: (() => void) | undefined;

  readonly accept: Accept = (message, tell, urgent = false) => {
    const { topic, arrivalUs } = message;
    let told = false;
    const done = (error?: Error): void => {
      if (!told) tell(error);
      told = true;
    };
    const delivery = { topic, arrivalUs, urgent, done, text: Buffer.from(message.payload).toString() };
    this.all.push(delivery);
    this.#unread.push(delivery);
    if (this.auto) done();
    this.#wake?.();
  };

  async next(): Promise<Delivery> {
    while (this.#unread.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#unread.shift()!;
  }

  async take(count: number): Promise<Delivery[]> {
    const taken: Delivery[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  /** When a line of the log matches, from now on or already. */
  async said(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = this.logged.find((one) => pattern.test(one));
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => {
        this.#listening = resolve;
      });
    }
  }

  get unread(): number {
    return this.#unread.length;
  }

  context(more: Partial<SourceContext> = {}): SourceContext {
    const write = (line: string): void => {
      this.logged.push(line);
      this.#listening?.();
    };
    const log = pino({ level: 'debug' }, { write });
    return {
      accept: this.accept,
      gateway: 'gw',
      number: 1,
      filters: ['#'],
      clock: systemClocks(),
      log,
      ...more,
    };
  }
}
