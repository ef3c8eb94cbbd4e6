/** What one machine said over all its lives, and what must therefore be true. */
import { type Batch, decodeBatch } from '../../shared/batch.js';
import { DEVICES, deliveries, type ReadingId } from './stream.js';

const inWords = (_: string, value: unknown) =>
  typeof value === 'bigint' ? `${value}n` : value instanceof Map ? [...value] : value;

export interface Said {
  readonly acknowledged: number;
  readonly faults: readonly string[];
  /** Revisions of windows, and sequences of sessions, that had another content before. */
  readonly reused: readonly string[];
}

export class History {
  /** What the gateway answers for, and at which step it was acknowledged first. */
  readonly acknowledged = new Map<ReadingId, number>();
  /** session/sequence → the batch */
  readonly sent = new Map<string, Batch>();
  readonly receipted = new Set<string>();
  /** The step of the last acknowledgement. */
  lastStep = 0;
  /** Never sent again, except on purpose. */
  readonly #done = new Set<ReadingId>();
  readonly #contents = new Map<string, string>();

  /** What was said in one life. */
  add(lines: readonly string[]): Said {
    const faults: string[] = [];
    let acknowledged = 0;
    const reused: string[] = [];
    for (const line of lines) {
      const [word, a = '', b = ''] = line.split(' ');
      if (word === 'ack') {
        acknowledged++;
        this.lastStep = Number(b);
        if (!this.acknowledged.has(Number(a))) this.acknowledged.set(Number(a), this.lastStep);
        this.#done.add(Number(a));
      } else if (word === 'receipt') this.receipted.add(a);
      else if (word === 'sent') reused.push(...this.#send(a));
      else if (word === 'fault') faults.push(line);
    }
    return { acknowledged, faults, reused };
  }

  /** The first step, from this one on, of which something is not acknowledged. */
  nextStep(from: number): number {
    let step = from;
    while (deliveries(step).every((id) => this.#done.has(id))) step++;
    return step;
  }

  /** To try out how it might go on. */
  clone(): History {
    const copy = new History();
    for (const [name, content] of this.#contents) copy.#contents.set(name, content);
    return copy;
  }

  /** These are lost, which is told once. */
  forget(lost: readonly ReadingId[], unkept: readonly string[]): void {
    for (const id of lost) this.acknowledged.delete(id);
    for (const name of unkept) this.receipted.delete(name);
  }

  /** A revision of a window, and a sequence of a session, is one content for ever. */
  #send(base64: string): string[] {
    const decoded = decodeBatch(Buffer.from(base64, 'base64'));
    if (!decoded.ok) return []; // the power went in mid-line
    const { batch } = decoded;
    const { session, sequence, windows } = batch;
    this.sent.set(`${session}/${sequence}`, batch);
    return [
      ...this.#once(`batch ${session}/${sequence}`, windows),
      ...windows.flatMap((window) => {
        const { device, startMs, lengthMs, part, revision } = window;
        return this.#once(`revision ${device}/${startMs}/${lengthMs}/${part}/${revision}`, window);
      }),
    ];
  }

  #once(name: string, value: unknown): string[] {
    const content = JSON.stringify(value, inWords);
    const known = this.#contents.get(name);
    this.#contents.set(name, known ?? content);
    return known === undefined || known === content ? [] : [`${name} has two contents: ${known} and ${content}`];
  }
}

export function nameOf(id: ReadingId): string {
  return `d${id % DEVICES}/${Math.floor(id / DEVICES)}`;
}
