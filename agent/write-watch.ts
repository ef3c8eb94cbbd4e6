/**
 * Watches what the agent writes (/proc/self/io: what it made the kernel send to a disk, in pages; nothing on a file system in memory), and
 * says so once a day. The card itself writes more: the file system's own journal, and what the card moves about inside.
 */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { WriteBudget, type WriteSample, type WriteState } from './write-budget.js';

/** What the agent counts of itself. */
export interface Work {
  readonly readings: number;
  readonly commits: number;
}

const LOOK_MS = 60_000;
const DAY_MS = 86_400_000;
/** The first word is said earlier. */
const FIRST_MS = 3_600_000;

export class WriteWatch {
  readonly #monotonicMs: () => number;
  readonly #work: () => Work;
  readonly #log: Logger;
  readonly #budget: WriteBudget | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sayMs: number;

  constructor(monotonicMs: () => number, work: () => Work, log: Logger) {
    this.#monotonicMs = monotonicMs;
    this.#work = work;
    this.#log = log;
    this.#sayMs = monotonicMs() + FIRST_MS;
    const first = this.#sample();
    this.#budget = first && new WriteBudget(first);
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Null where the system does not tell. */
  get state(): WriteState | null {
    const sample = this.#sample();
    return sample === undefined ? null : (this.#budget?.state(sample) ?? null);
  }

  #look(): void {
    const sample = this.#sample();
    if (sample === undefined || this.#budget === undefined) return;
    this.#budget.note(sample);
    if (sample.monotonicMs < this.#sayMs) return;
    this.#sayMs += DAY_MS;
    this.#log.info({ writes: this.#budget.state(sample) }, 'written to the disk');
  }

  #sample(): WriteSample | undefined {
    const bytes = writtenBytes();
    return bytes === undefined ? undefined : { monotonicMs: this.#monotonicMs(), bytes, ...this.#work() };
  }
}

/** Less what was dropped from memory before it was written. */
function writtenBytes(): number | undefined {
  try {
    const io = readFileSync('/proc/self/io', 'utf8');
    const count = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(io)?.[1] ?? Number.NaN);
    const bytes = count('write_bytes') - count('cancelled_write_bytes');
    return Number.isFinite(bytes) ? bytes : undefined;
  } catch {
    return undefined;
  }
}
