/**
 * Windows that could not be delivered: the cloud refused them, or they fit into no message. They are kept, with the
 * reason, in the buffer; here is when they are tried again: when the agent starts, when the cloud says that it has another
 * version than the one that refused them, and once a day. A window that changed since is tried at once.
 *
 * Promises: a window that was refused once travels alone, so that it never takes others with it again.
 */
import type { WindowId, WindowRef } from '../stored-window.js';
import { type Backlog, keyOf } from './backlog.js';

interface Refusal {
  readonly ref: WindowRef;
  /** On the clock that never jumps. */
  retryMs: number;
}

const RETRY_MS = 86_400_000;

export class Refusals {
  readonly #backlog: Backlog;
  readonly #refusals = new Map<string, Refusal>();
  #cloudVersion: string | undefined;

  constructor(backlog: Backlog) {
    this.#backlog = backlog;
    for (const { ref } of backlog.refused()) this.#refusals.set(keyOf(ref), { ref, retryMs: Number.NEGATIVE_INFINITY });
  }

  get size(): number {
    return this.#refusals.size;
  }

  /** Whether any revision of it was refused. */
  has(window: WindowId): boolean {
    return this.#refusals.has(keyOf(window));
  }

  add(ref: WindowRef, reason: string, detail: string, nowMs: number): void {
    this.#backlog.refuse(ref, reason, detail);
    this.#refusals.set(keyOf(ref), { ref, retryMs: nowMs + RETRY_MS });
  }

  /** The cloud has these after all. */
  forget(refs: readonly WindowRef[]): void {
    if (this.#refusals.size === 0) return;
    for (const ref of refs) this.#refusals.delete(keyOf(ref));
  }

  /** It changed, or nobody knows what became of the last try. */
  tryAgain(window: WindowId): void {
    const refusal = this.#refusals.get(keyOf(window));
    if (refusal !== undefined) refusal.retryMs = Number.NEGATIVE_INFINITY;
  }

  /** What the cloud calls itself; another version may take what this one's predecessor did not. */
  cloudIs(version: string): void {
    const changed = this.#cloudVersion !== undefined && this.#cloudVersion !== version;
    this.#cloudVersion = version;
    if (changed) for (const refusal of this.#refusals.values()) refusal.retryMs = Number.NEGATIVE_INFINITY;
  }

  /** A window to be tried now; each is named once until it is refused again. */
  due(nowMs: number): WindowRef | undefined {
    for (const refusal of this.#refusals.values()) {
      if (refusal.retryMs > nowMs) continue;
      refusal.retryMs = nowMs + RETRY_MS;
      return refusal.ref;
    }
    return undefined;
  }
}
