/**
 * A standard queue of SQS: every message at least once, in no order, hidden for a while from whoever else asks, delivered
 * again where nobody deleted it by then, and put among the dead letters after so many times. Pure: time and chance are arguments.
 */

export interface QueueOptions {
  /** 0 ≤ random < 1 */
  readonly random: () => number;
  /** How long a message that was received is hidden. */
  readonly visibilityMs: number;
  /** Received so often, and not deleted: it is dead. */
  readonly maxReceives: number;
  /** Of messages that are delivered once more for no reason. */
  readonly duplicateShare: number;
}

export interface QueuedMessage {
  readonly id: string;
  readonly body: string;
}

interface Waiting extends QueuedMessage {
  hiddenUntilMs: number;
  receives: number;
}

export class Queue {
  readonly #options: QueueOptions;
  readonly #waiting = new Map<string, Waiting>();
  #sent = 0;
  readonly dead: QueuedMessage[] = [];
  readonly counters = { delivered: 0, redelivered: 0 };

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Not deleted yet. */
  get size(): number {
    return this.#waiting.size;
  }

  send(body: string): void {
    const id = `message-${++this.#sent}`;
    this.#waiting.set(id, { id, body, hiddenUntilMs: 0, receives: 0 });
  }

  /** Some that are not hidden, in any order. */
  receive(most: number, nowMs: number): QueuedMessage[] {
    const { random, visibilityMs, maxReceives, duplicateShare } = this.#options;
    const visible = [...this.#waiting.values()].filter(({ hiddenUntilMs }) => hiddenUntilMs <= nowMs);
    const received: QueuedMessage[] = [];
    while (visible.length > 0 && received.length < most) {
      const [message] = visible.splice(Math.floor(random() * visible.length), 1);
      if (message === undefined) break;
      const { id, body } = message;
      if (message.receives++ >= maxReceives) {
        this.#waiting.delete(id);
        this.dead.push({ id, body });
        continue;
      }
      this.counters.delivered++;
      if (message.receives > 1) this.counters.redelivered++;
      message.hiddenUntilMs = random() < duplicateShare ? nowMs : nowMs + visibilityMs;
      received.push({ id, body });
    }
    return received;
  }

  /** It was dealt with. Again, or of an unknown one, does nothing. */
  delete(id: string): void {
    this.#waiting.delete(id);
  }

  /** It was reported as failed: others may have it at once. */
  release(id: string): void {
    const message = this.#waiting.get(id);
    if (message !== undefined) message.hiddenUntilMs = 0;
  }
}
