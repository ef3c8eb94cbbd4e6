/** For tests and benchmarks only: windows as typical sensors make them, the same ones every time. */

import type { Batch } from './batch.js';
import { summarize } from './summary.js';
import type { WindowSummary } from './window.js';

interface Sensor {
  readonly metric: string;
  readonly mean: number;
  /** Standard deviation between devices, from minute to minute, and from reading to reading. */
  readonly spread: number;
  readonly drift: number;
  readonly noise: number;
  readonly decimals: number;
}

/** A room: values hardly change within a minute, so sketches have two or three bins. */
export const CALM: readonly Sensor[] = [
  { metric: 'temperature', mean: 21.4, spread: 1.5, drift: 0.1, noise: 0.08, decimals: 1 },
  { metric: 'humidity', mean: 45, spread: 8, drift: 0.3, noise: 0.3, decimals: 1 },
  { metric: 'pressure', mean: 1013.2, spread: 0.4, drift: 0.05, noise: 0.08, decimals: 2 },
  { metric: 'co2', mean: 620, spread: 150, drift: 8, noise: 6, decimals: 0 },
  { metric: 'battery', mean: 3.3, spread: 0.1, drift: 0.002, noise: 0.004, decimals: 3 },
];

/** A machine: values move by a quarter within a minute, so sketches have some sixteen bins. */
export const LIVELY: readonly Sensor[] = [
  { metric: 'power', mean: 230, spread: 60, drift: 10, noise: 17, decimals: 1 },
  { metric: 'flow', mean: 12.5, spread: 3, drift: 0.5, noise: 0.9, decimals: 2 },
  { metric: 'vibration', mean: 4.2, spread: 1, drift: 0.1, noise: 0.27, decimals: 2 },
  { metric: 'level', mean: 320, spread: 80, drift: 10, noise: 23, decimals: 0 },
  { metric: 'current', mean: 1.85, spread: 0.4, drift: 0.05, noise: 0.12, decimals: 3 },
];

export interface TypicalOptions {
  readonly sensors: readonly Sensor[];
  readonly devices: number;
  readonly minutes?: number;
  readonly readings?: number;
}

const MINUTE_MS = 60_000;
const START_MS = 1_790_000_040_000;

export function typicalWindows({ sensors, devices, minutes = 1, readings = 60 }: TypicalOptions): WindowSummary[] {
  const random = normal();
  const fleet = Array.from({ length: devices }, (_, index) => ({
    group: `zone-${index % 8}`,
    device: `sensor-${String((index * 37) % 1000).padStart(4, '0')}`,
    phaseUs: Math.floor(((index * 7919) % 1000) * Math.min(1000, MINUTE_MS / readings)),
    means: sensors.map(({ mean, spread }) => mean + spread * random()),
  }));
  const windows: WindowSummary[] = [];
  for (let minute = 0; minute < minutes; minute++) {
    const startMs = START_MS + minute * MINUTE_MS;
    for (const { group, device, phaseUs, means } of fleet) {
      const metrics = new Map(
        sensors.map(({ metric, drift, noise, decimals }, index) => {
          means[index]! += drift * random();
          const mean = means[index]!;
          const observations = Array.from({ length: readings }, (_, i) => ({
            timeUs: startMs * 1000 + Math.floor((i * MINUTE_MS * 1000) / readings) + phaseUs,
            value: Number((mean + noise * random()).toFixed(decimals)),
          }));
          return [metric, summarize(observations)];
        }),
      );
      windows.push({ group, device, startMs, lengthMs: MINUTE_MS, part: 0, revision: 1, readings, metrics });
    }
  }
  return windows;
}

export function typicalBatch(windows: readonly WindowSummary[]): Batch {
  const epoch = '00112233445566778899aabbccddeeff';
  return { epoch, session: 1, sequence: 1, sentMs: START_MS + MINUTE_MS, windows, ledger: [], losses: [] };
}

/** Normally distributed, near enough: the sum of twelve from a fixed linear congruential generator. */
function normal(): () => number {
  let state = 1;
  return () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      sum += state / 2 ** 32;
    }
    return sum;
  };
}
