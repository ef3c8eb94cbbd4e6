/**
 * What AWS runs between a queue and a function (the event source mapping): takes messages, calls the function with them, several
 * calls at once, deletes what was not reported as failed. A call that fails whole, or dies, leaves its messages to come again.
 * Some calls bring them as a stream would, in the form of Kinesis, and then all from the reported one on come again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue, QueuedMessage } from '../../demo/queue.js';
import type { Dice } from '../dice.js';

export type Invoke = (event: object) => Promise<{ readonly batchItemFailures: readonly { itemIdentifier: string }[] }>;

export interface MappingOptions {
  readonly queue: Queue;
  readonly invokes: readonly Invoke[];
  readonly most: number;
  readonly dice: Dice;
}

export class Mapping {
  readonly #options: MappingOptions;
  readonly counters = { invocations: 0, failed: 0, reported: 0 };
  #stopping = false;
  #workers: Promise<void>[] = [];

  constructor(options: MappingOptions) {
    this.#options = options;
  }

  start(): void {
    this.#workers = this.#options.invokes.map((invoke) => this.#work(invoke));
  }

  /** Ends once the queue is empty. */
  async drain(): Promise<void> {
    while (this.#options.queue.size > 0) await sleep(10);
    this.#stopping = true;
    await Promise.all(this.#workers);
  }

  async #work(invoke: Invoke): Promise<void> {
    const { queue, most, dice } = this.#options;
    while (!this.#stopping) {
      const messages = queue.receive(1 + dice.below(most), performance.now());
      if (messages.length === 0) await sleep(10);
      else await this.#call(invoke, messages);
    }
  }

  async #call(invoke: Invoke, messages: readonly QueuedMessage[]): Promise<void> {
    const { queue, dice } = this.#options;
    const isStream = dice.chance(0.25);
    this.counters.invocations++;
    try {
      const { batchItemFailures } = await invoke(isStream ? kinesisEvent(messages) : sqsEvent(messages));
      const failed = failedOf(messages, batchItemFailures, isStream);
      this.counters.reported += failed.size;
      for (const { id } of messages) {
        if (failed.has(id)) queue.release(id);
        else queue.delete(id);
      }
    } catch {
      this.counters.failed++; // nobody answered for them: they come again when their time is over
    }
  }
}

function failedOf(
  messages: readonly QueuedMessage[],
  failures: readonly { itemIdentifier: string }[],
  isStream: boolean,
): Set<string> {
  const named = failures.map(({ itemIdentifier }) => itemIdentifier);
  if (!isStream) return new Set(named);
  const from = messages.findIndex((_, i) => named.includes(sequenceNumber(i)));
  return new Set(from < 0 ? [] : messages.slice(from).map(({ id }) => id));
}

function sqsEvent(messages: readonly QueuedMessage[]): object {
  return { Records: messages.map(({ id, body }) => ({ eventSource: 'aws:sqs', messageId: id, body })) };
}

function kinesisEvent(messages: readonly QueuedMessage[]): object {
  const Records = messages.map(({ body }, i) => {
    const kinesis = { sequenceNumber: sequenceNumber(i), data: Buffer.from(body).toString('base64') };
    return { eventSource: 'aws:kinesis', kinesis };
  });
  return { Records };
}

function sequenceNumber(i: number): string {
  return String(9 + i);
}
