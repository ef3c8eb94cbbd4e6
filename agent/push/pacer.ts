/**
 * Keeps publishes and bytes a second under a cap: token buckets that hold a tenth of a second. IoT Core silently
 * discards what is above its limits, so the caps sit below them. Pure: time is an argument.
 */
export class Pacer {
  readonly #perSecond: number;
  readonly #bytesPerSecond: number;
  #publishes: number;
  #bytes: number;
  #atMs: number;

  constructor(perSecond: number, bytesPerSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#bytesPerSecond = bytesPerSecond;
    this.#publishes = Math.max(1, perSecond / 10);
    this.#bytes = bytesPerSecond / 10;
    this.#atMs = nowMs;
  }

  /** How long to wait before the next publish, ms; 0 where it may go now. */
  waitMs(nowMs: number): number {
    const passed = Math.max(0, nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    this.#publishes = Math.min(Math.max(1, this.#perSecond / 10), this.#publishes + passed * this.#perSecond);
    this.#bytes = Math.min(this.#bytesPerSecond / 10, this.#bytes + passed * this.#bytesPerSecond);
    const forPublish = this.#publishes >= 1 ? 0 : (1 - this.#publishes) / this.#perSecond;
    const forBytes = this.#bytes > 0 ? 0 : (1 - this.#bytes) / this.#bytesPerSecond;
    return Math.ceil(Math.max(forPublish, forBytes) * 1000);
  }

  /** A publish went out; a large one goes into debt and the next one waits. */
  spend(bytes: number): void {
    this.#publishes -= 1;
    this.#bytes -= bytes;
  }
}
