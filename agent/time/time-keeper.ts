/**
 * The time, as the agent goes by it. Owns the state of trust in the wall clock; says when it changes. Three answers for
 * three questions: what time it is (`trustedMs`: for readings that bring no time, and for what is the future), how much
 * time has passed (`steadyMs`: for whatever closes, expires or is kept for a while), and what the system clock says
 * (`wallMs`: only to be shown).
 */
import type { Logger } from 'pino';
import { RELEASED_MS } from '../../shared/version.js';
import type { Clocks } from './clock.js';
import type { ClockOptions } from './clock-options.js';
import { type Doubt, newestTime, observe, type Trust } from './trusted-time.js';

export interface Now {
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** Running time of the agent, on from where the database left off: goes on evenly, whatever is done to the clock. */
  readonly steadyMs: number;
  /** Wall clock less monotonic clock, as it is believed; undefined while the clock is not. */
  readonly offsetMs: number | undefined;
  readonly trustedMs: number | undefined;
  /** It cannot be earlier, and not later. */
  readonly earliestMs: number;
  readonly latestMs: number;
}

/** What the database remembers of time. */
export interface TimeMarks {
  readonly newestMs: number;
  readonly steadyMs: number;
}

export interface ClockState {
  /** Why the wall clock is not believed; null where it is. */
  readonly doubt: Doubt | null;
  readonly newestMs: number | null;
}

/** How long a gateway may have been switched off; later readings are from the future even for a clock in doubt. */
const SHELF_LIFE_MS = 366 * 86_400_000;
/** Between two times that are written down: an SD card lasts longer so. */
const MARK_EVERY_MS = 600_000;

const DOUBTS: Readonly<Record<Doubt, string>> = {
  'before-release': 'it is before the release of this program',
  'went-back': 'it is before the newest time that this database has seen',
  'not-synchronized': 'no time service has set it yet',
  'just-set': 'it was set just now',
};

export class TimeKeeper {
  readonly #clocks: Clocks;
  readonly #options: ClockOptions;
  readonly #log: Logger;
  readonly #steadyBaseMs: number;
  #newestMs: number;
  #markedMs: number;
  #trust: Trust | undefined;

  constructor(clocks: Clocks, options: ClockOptions, marks: TimeMarks, log: Logger) {
    this.#clocks = clocks;
    this.#options = options;
    this.#log = log;
    this.#newestMs = marks.newestMs;
    this.#markedMs = clocks.monotonicMs();
    this.#steadyBaseMs = marks.steadyMs - this.#markedMs;
  }

  get bootId(): string {
    return this.#clocks.bootId;
  }

  get state(): ClockState {
    this.now();
    return { doubt: this.#trust?.doubt ?? null, newestMs: this.#newestMs || null };
  }

  now(): Now {
    const wallMs = this.#clocks.nowMs();
    const monotonicMs = this.#clocks.monotonicMs();
    const { doubt, offsetMs } = this.#observe(wallMs, monotonicMs);
    const trustedMs = doubt === undefined ? offsetMs + monotonicMs : undefined;
    const earliestMs = trustedMs ?? Math.max(this.#newestMs, RELEASED_MS);
    return {
      wallMs,
      monotonicMs,
      steadyMs: this.#steadyBaseMs + monotonicMs,
      offsetMs: doubt === undefined ? offsetMs : undefined,
      trustedMs,
      earliestMs,
      latestMs: trustedMs ?? earliestMs + SHELF_LIFE_MS,
    };
  }

  /** The newest time, where it should be written down now; call `marked` once it is. */
  toMark(): number | undefined {
    const { monotonicMs } = this.now();
    if (this.#trust === undefined || monotonicMs - this.#markedMs < MARK_EVERY_MS) return undefined;
    return newestTime(this.#trust, monotonicMs, this.#newestMs);
  }

  marked(newestMs: number): void {
    this.#newestMs = newestMs;
    this.#markedMs = this.#clocks.monotonicMs();
  }

  #observe(wallMs: number, monotonicMs: number): Trust {
    const before = this.#trust;
    const { trust, settle } = this.#options;
    const trusted = observe(
      before,
      { wallMs, monotonicMs, evidence: () => this.#clocks.evidence() },
      { trust, settleMs: settle, releasedMs: RELEASED_MS, newestMs: this.#newestMs },
    );
    this.#trust = trusted;
    if (trusted.doubt !== before?.doubt) this.#say(trusted.doubt, wallMs, before !== undefined);
    return trusted;
  }

  #say(doubt: Doubt | undefined, wallMs: number, isNews: boolean): void {
    const clock = new Date(wallMs).toISOString();
    if (doubt === undefined) {
      if (isNews) this.#log.info({ clock }, 'the clock is believed again');
      return;
    }
    this.#log.warn(
      { clock, why: DOUBTS[doubt] },
      'the clock is not believed: readings without a time of their own are kept apart until it is set',
    );
  }
}

export function doubtText(doubt: Doubt): string {
  return DOUBTS[doubt];
}
