/**
 * For a link that looks up and is not: there is something to send, the link is up, and no receipt comes. Then a new socket,
 * then a new client, at last a new process. Pure: time is an argument, of a clock that never jumps.
 *
 * Only silence while the link is up counts, all of it since the last receipt: a cloud that is down and says so (no link)
 * is waited for, for ever.
 */

export type WatchdogStep = 'new-socket' | 'new-client' | 'exit';

export interface WatchdogLimits {
  /** Silence before the first step, and between the next ones. */
  readonly silenceMs: number;
  /** Silence before the process is given up; undefined: never. */
  readonly exitMs: number | undefined;
}

/** Longer pauses than this between two looks were no silence: the machine slept. */
const MAX_PAUSE_MS = 60_000;
/** From the second new client on, each waits twice as long. */
const MAX_DOUBLINGS = 6;

export class Watchdog {
  readonly #limits: WatchdogLimits;
  #atMs: number | undefined;
  #silentMs = 0;
  #steps = 0;
  #nextMs: number;

  constructor(limits: WatchdogLimits) {
    this.#limits = limits;
    this.#nextMs = limits.silenceMs;
  }

  /** How long nothing has come although it should have. */
  get silentMs(): number {
    return this.#silentMs;
  }

  /** A receipt came, or there is nothing that one could be for. */
  calm(): void {
    this.#silentMs = 0;
    this.#steps = 0;
    this.#nextMs = this.#limits.silenceMs;
    this.#atMs = undefined;
  }

  /** The link is not up: this is no silence. */
  pause(): void {
    this.#atMs = undefined;
  }

  /**
   * The link is up and a receipt is owed. Returns what to do, each step once. `patienceMs`: the cloud gathers its receipts for
   * so long, which is no silence yet.
   */
  silent(nowMs: number, patienceMs = 0): WatchdogStep | undefined {
    if (this.#atMs !== undefined) this.#silentMs += Math.min(Math.max(0, nowMs - this.#atMs), MAX_PAUSE_MS);
    this.#atMs = nowMs;
    const { silenceMs, exitMs } = this.#limits;
    if (exitMs !== undefined && this.#silentMs >= exitMs + patienceMs) return 'exit';
    if (this.#silentMs < this.#nextMs + patienceMs) return undefined;
    this.#steps++;
    this.#nextMs = this.#silentMs - patienceMs + silenceMs * 2 ** Math.min(this.#steps - 1, MAX_DOUBLINGS);
    return this.#steps === 1 ? 'new-socket' : 'new-client';
  }
}
