/**
 * Fair turns of the event loop. Node hands over every socket that has something, one after the other, before it does anything
 * else: where a thousand clients send as fast as they can that is half a second, in which no timer fires and no commit ends.
 * So clients are read from for a few ms in a turn; those that come later in it are first in the next.
 */
import type { Clock } from '../time/clock.js';

/** Of one turn, for reading and decoding, and for writing PUBACKs. */
export const TURN_SHARE_MS = 5;

export interface Reader {
  readonly socket: { emit(event: 'readable'): boolean };
}

export class ReadTurns {
  readonly #clock: Clock;
  /** Those that had no turn yet, in the order in which they came. */
  readonly #queue = new Set<Reader>();
  #endMs: number | undefined;
  /** The one whose turn it is. */
  #called: Reader | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** May this one be read from now? If not, it is told (by a `readable`) when it may. */
  mayRead(reader: Reader): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (this.#endMs === undefined) this.#begin(nowMs);
    if (reader === this.#called) return true;
    if (this.#queue.size === 0 && nowMs < this.#endMs!) return true;
    this.#queue.add(reader);
    return false;
  }

  forget(reader: Reader): void {
    this.#queue.delete(reader);
  }

  #begin(nowMs: number): void {
    this.#endMs = nowMs + TURN_SHARE_MS;
    setImmediate(() => this.#next());
  }

  /** At least one, or nothing would ever be read where a turn takes long. */
  #next(): void {
    this.#endMs = undefined;
    if (this.#queue.size === 0) return;
    const nowMs = this.#clock.monotonicMs();
    this.#begin(nowMs);
    for (const reader of this.#queue) {
      this.#queue.delete(reader);
      this.#called = reader;
      reader.socket.emit('readable');
      this.#called = undefined;
      if (this.#clock.monotonicMs() >= this.#endMs!) return;
    }
  }
}
