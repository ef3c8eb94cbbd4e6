/** For tests only: a small batch, of which every byte is known. */

import type { Batch } from './batch.js';
import { nameSession } from './session.js';
import { type MetricSummary, summarize } from './summary.js';
import type { WindowSummary } from './window.js';

export const START = 1_790_000_040_000;
export const identity = {
  epoch: 'c0ffee00c0ffee00c0ffee00c0ffee00',
  session: nameSession(3, 0x0ddba11),
  sequence: 70_000,
};

/** Of these values, a second apart. */
export function of(...values: number[]): MetricSummary {
  return summarize(values.map((value, index) => ({ timeUs: START * 1000 + index * 1_000_000, value })));
}

export const window: WindowSummary = {
  group: 'hall',
  device: 'sensor',
  startMs: START,
  lengthMs: 60_000,
  part: identity.session,
  revision: 2,
  readings: 4,
  metrics: new Map([
    ['temperature', of(21.4, 21.5, 21.3, 21.5)],
    ['odd', of(0.1 + 0.2, 1 / 3)],
  ]),
};
export const small: Batch = {
  ...identity,
  sentMs: START + 61_000,
  windows: [window],
  ledger: [{ group: 'hall', device: 'sensor', dayMs: 1_789_948_800_000, readings: 4 }],
  losses: [],
};
