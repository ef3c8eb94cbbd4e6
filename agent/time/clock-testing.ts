/** Clocks for tests: they show what they are told. */
import type { Clocks } from './clock.js';
import type { Evidence } from './clock-evidence.js';
import { type ClockOptions, clockSchema } from './clock-options.js';

/** Believed at once, whatever it shows. */
export const ALWAYS: ClockOptions = clockSchema.parse({ trust: 'always' });

/** Of a machine that is never set: both clocks show the same number, which the test moves on. */
export function clocksOf(now: { readonly ms: number }): Clocks {
  return { nowMs: () => now.ms, monotonicMs: () => now.ms, bootId: 'boot', evidence: () => 'unknown' };
}

/** Of a machine whose clock may be wrong, be set, and start anew with a restart. */
export class TestClocks implements Clocks {
  bootId = 'boot-0';
  says: Evidence = 'unknown';
  #wallMs: number;
  #monotonicMs = 5_000;
  #boots = 0;

  constructor(wallMs: number) {
    this.#wallMs = wallMs;
  }

  readonly nowMs = (): number => this.#wallMs;
  readonly monotonicMs = (): number => this.#monotonicMs;
  readonly evidence = (): Evidence => this.says;

  pass(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
  }

  set(wallMs: number): void {
    this.#wallMs = wallMs;
  }

  /** The machine starts again, and its clock shows this. */
  boot(wallMs: number): void {
    this.bootId = `boot-${++this.#boots}`;
    this.#wallMs = wallMs;
    this.#monotonicMs = 5_000;
    this.says = 'unknown';
  }
}
