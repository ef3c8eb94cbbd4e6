/**
 * What the sensors say, step by step and without end: a function of the step alone, so that host and guest agree on it.
 *
 * Each device measures once a step (three minutes), its windows are hours, and the k-th reading of an hour has the value 4^k:
 * the digit k of a window's sum, to the base 4, is how often that reading was counted, whatever else was.
 */
import type { Decoded, Message } from '../../agent/reading.js';

export const START_MS = Date.UTC(2026, 2, 1);
export const HOUR_MS = 3_600_000;
export const STEP_MS = 180_000;
const STEPS_PER_HOUR = HOUR_MS / STEP_MS;
const LATENESS_MS = 60_000;
export const DEVICES = 4;
/** Always late: its windows were sent when its readings come. */
const LATE_DEVICE = 3;
const LATE_STEPS = 45;
/** Now and then so late that its window was forgotten. */
const VERY_LATE_DEVICE = 2;
const VERY_LATE_STEPS = 250;
const VERY_LATE_EVERY = 50;
/** Sent again though it was acknowledged. */
const REPEATED_DEVICE = 1;
const REPEATED_AFTER = 7;
const SENT_AGAIN_STEPS = 10;

/** Number of a reading: what device `id % DEVICES` measured at step `floor(id / DEVICES)`. */
export type ReadingId = number;

export function nowAt(step: number): number {
  return START_MS + step * STEP_MS;
}

/** What is delivered at a step. */
export function deliveries(step: number): ReadingId[] {
  const said: [device: number, step: number][] = [[0, step]];
  said.push([REPEATED_DEVICE, step]);
  if (step % 3 === 0) said.push([REPEATED_DEVICE, step - REPEATED_AFTER]);
  if (step % VERY_LATE_EVERY !== 0) said.push([VERY_LATE_DEVICE, step]);
  if ((step - VERY_LATE_STEPS) % VERY_LATE_EVERY === 0) said.push([VERY_LATE_DEVICE, step - VERY_LATE_STEPS]);
  said.push([LATE_DEVICE, step - LATE_STEPS]);
  return said.filter(([, at]) => at >= 0).map(([device, at]) => at * DEVICES + device);
}

/** What is sent again though it was acknowledged, by sensors whose PUBACK got lost. */
export function sentAgain(step: number): ReadingId[] {
  const steps = Array.from({ length: Math.min(step, SENT_AGAIN_STEPS) }, (_, i) => step - 1 - i);
  return steps.flatMap(deliveries);
}

export function decodeReading({ payload }: Message): Decoded {
  const id = Number(Buffer.from(payload).toString());
  const step = Math.floor(id / DEVICES);
  const reading = {
    group: 'hall',
    device: deviceOf(id),
    timeUs: nowAt(step) * 1000,
    lane: '',
    windowMs: HOUR_MS,
    latenessMs: LATENESS_MS,
    metrics: ['x'],
    values: [4 ** (step % STEPS_PER_HOUR)],
  };
  return { readings: [reading], rejects: [], valueRejects: [] };
}

function deviceOf(id: ReadingId): string {
  return `d${id % DEVICES}`;
}

/** How often each reading was counted, by what one hour of one device sums up to. */
export function countsOf(device: string, hourMs: number, sum: number): Map<ReadingId, number> {
  const counts = new Map<ReadingId, number>();
  const first = (hourMs - START_MS) / STEP_MS;
  let left = BigInt(sum);
  for (let step = first; left > 0n; step++, left /= 4n) {
    if (left % 4n > 0n) counts.set(step * DEVICES + Number(device.slice(1)), Number(left % 4n));
  }
  return counts;
}
