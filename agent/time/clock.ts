/** The one file of the agent that reads the clocks; everything else is told the time. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { type Evidence, TimeService } from './clock-evidence.js';

export interface Clock {
  /** What the system clock says, ms since 1970 UTC. It may be wrong, and may be set at any moment. */
  nowMs(): number;
  /** Time since the machine was started (without the time it slept), ms. Never set; goes on when this program restarts. */
  monotonicMs(): number;
}

export interface Clocks extends Clock {
  /** Of which start of the machine `monotonicMs` counts. */
  readonly bootId: string;
  /** Whether somebody says that the system clock is set. */
  evidence(): Evidence;
}

/** `performance.now()` is CLOCK_MONOTONIC less the start of this process; that start is the same for every call. */
const PROCESS_START_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export function systemClocks(): Clocks {
  const service = new TimeService();
  const monotonicMs = () => PROCESS_START_MS + performance.now();
  return {
    nowMs: () => Date.now(),
    monotonicMs,
    bootId: readBootId(),
    evidence: () => service.evidence(monotonicMs()),
  };
}

/** Where the system has no such thing, each run of this program counts as a start of the machine. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return randomUUID();
  }
}
