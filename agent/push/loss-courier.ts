/**
 * Takes losses to the cloud, in batches of their own: what is lost is told also where there are no windows, a refusal of the
 * one cannot hold up the other, and neither has to be cut for the other's sake. Pure: time is an argument, of a clock that
 * never jumps.
 *
 * Promises: one such batch at a time, and not often; what has no receipt is told again. Never drops a record.
 */
import type { LossRecord } from '../../shared/loss.js';
import type { UntoldLoss } from '../block.js';

/** The losses of the buffer, as the push stage sees them. */
export interface LossSource {
  /** Some of what the cloud does not know of. */
  untold(maxBytes: number): readonly UntoldLoss[];
  receipted(told: readonly UntoldLoss[]): void;
}

const MAX_BYTES = 16 * 1024;
/** What is lost comes in drops: so many ms are gathered. */
const INTERVAL_MS = 10_000;
const REFUSED_WAIT_MS = 600_000;

export class LossCourier {
  readonly #source: LossSource;
  readonly #receiptTimeoutMs: number;
  /** What the cloud asks for. */
  #patientMs = 0;
  #travelling: { readonly sequence: number; readonly losses: readonly UntoldLoss[] } | undefined;
  #isPosted = false;
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(source: LossSource, receiptTimeoutMs: number) {
    this.#source = source;
    this.#receiptTimeoutMs = receiptTimeoutMs;
  }

  /** The cloud answers within this time. */
  patient(ms: number): void {
    this.#patientMs = ms;
  }

  /** What batch `sequence` is to carry now, if anything. */
  next(sequence: number, nowMs: number): readonly LossRecord[] {
    if (nowMs < this.#nextMs) return [];
    const losses = this.#source.untold(MAX_BYTES);
    if (losses.length === 0) return [];
    this.#travelling = { sequence, losses };
    this.#nextMs = nowMs + Math.max(this.#receiptTimeoutMs, this.#patientMs);
    this.#isPosted = false;
    return losses.map(({ record }) => record);
  }

  /** It was taken, and no receipt will come soon. True where the batch was one of these. */
  posted(sequence: number, nowMs: number, patienceMs: number): boolean {
    if (this.#travelling?.sequence !== sequence) return false;
    this.#nextMs = nowMs + patienceMs;
    this.#isPosted = true;
    return true;
  }

  /** True where the batch was one of these. */
  receipt(sequence: number, nowMs: number): boolean {
    const landed = this.#travelling;
    if (landed?.sequence !== sequence) return false;
    this.#source.receipted(landed.losses);
    this.#travelling = undefined;
    this.#nextMs = nowMs + INTERVAL_MS;
    return true;
  }

  /** True where the batch was one of these. */
  refused(sequence: number, nowMs: number): boolean {
    if (this.#travelling?.sequence !== sequence) return false;
    this.#travelling = undefined;
    this.#nextMs = nowMs + REFUSED_WAIT_MS;
    return true;
  }

  /** Nobody knows whether it arrived. */
  linkLost(): void {
    if (!this.#isPosted) this.recall();
  }

  /** There is a link that brings receipts. */
  recall(): void {
    this.#isPosted = false;
    this.#travelling = undefined;
    this.#nextMs = Number.NEGATIVE_INFINITY;
  }
}
