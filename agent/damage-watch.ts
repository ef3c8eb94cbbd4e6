/** Hears of the errors of one opening of the database, and says once that it is damaged. */
import type { Logger } from 'pino';
import { corruptionIn } from './buffer/corruption.js';

export class DamageWatch {
  isFound = false;
  #resolve!: (reason: string) => void;
  /** Resolves when damage is found, with what it is. */
  readonly found = new Promise<string>((resolve) => {
    this.#resolve = resolve;
  });
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Whoever meets an error of the database says so here. */
  noteIn(error: unknown): void {
    const reason = corruptionIn(error);
    if (reason === undefined || this.isFound) return;
    this.isFound = true;
    this.#log.error({ reason }, 'the database is damaged: intake waits until it is salvaged');
    this.#resolve(reason);
  }
}
