/** For tests only: windows and batches of every kind of value and name, and windows as typical sensors make them. */

import fc from 'fast-check';
import type { Batch, LedgerEntry } from './batch.js';
import { isCountable } from './exact.js';
import { LOSS_KINDS, type LossRecord } from './loss.js';
import { isName } from './name.js';
import { type MetricSummary, type Observation, summarize } from './summary.js';
import type { WindowSummary } from './window.js';

const short = fc.integer({ min: -2000, max: 9999 }).map((m) => m / 100);
const close = fc.integer({ min: 205, max: 225 }).map((m) => m / 10);
const large = fc.integer({ min: -1e15, max: 1e15 });
const float32 = fc.float({ noNaN: true, noDefaultInfinity: true });
const double = fc.double({ noNaN: true, min: -1e120, max: 1e120 });
const huge = fc.double({ noNaN: true, min: 1e110, max: 1e120 });
const tiny = fc.double({ noNaN: true, min: 1e-120, max: 1e-100 });
const edge = fc.constantFrom(0, -0, 0.1, 1e-22, 1e-23, 1e15, 1e15 + 1, -1e15, 2 ** 53, 1e120, -1e120, 1e-120, 5e-7);

/** Far from 0 and close to each other, where squares may or may not fit a double. */
const offset = fc
  .tuple(fc.integer({ min: -1e9, max: 1e9 }), fc.constantFrom(1, 10, 1000), fc.integer({ min: 1, max: 1e5 }))
  .chain(([base, power, spread]) => list(fc.integer({ min: base, max: base + spread }).map((m) => m / power)));

/** The values of one metric in one window: mostly of one kind, often repeated. */
const values = fc
  .oneof(
    ...[close, close, short, large, float32, double, huge, tiny, edge].map((one) => list(one)),
    list(fc.oneof(short, double, edge)),
    offset,
    offset,
  )
  .map((all) => all.filter(isCountable))
  .filter((all) => all.length > 0);

function list(value: fc.Arbitrary<number>): fc.Arbitrary<number[]> {
  const repeated = fc.tuple(value, fc.constantFrom(1, 1, 1, 2, 10, 100));
  return fc
    .array(repeated, { minLength: 1, maxLength: 12 })
    .map((pairs) => pairs.flatMap(([x, times]) => Array<number>(times).fill(x)));
}

/** A summary of observations in the window. */
export function summaryIn(startMs: number, lengthMs: number): fc.Arbitrary<MetricSummary> {
  const lengthUs = lengthMs * 1000;
  const unit = fc.constantFrom(1, 1000, 1_000_000);
  return fc.tuple(values, fc.array(fc.tuple(fc.nat(), unit), { minLength: 1, maxLength: 4 })).map(([all, times]) => {
    const offsets = times.map(([at, unit]) => (at * unit) % lengthUs);
    const observations: Observation[] = all.map((value, index) => ({
      timeUs: startMs * 1000 + offsets[index % offsets.length]!,
      value,
    }));
    return summarize(observations);
  });
}

export const name = fc
  .oneof(
    fc.constantFrom(
      'temperature',
      'humidity',
      '__proto__',
      'constructor',
      'toString',
      'Größe/µ',
      '温度',
      '🌡️',
      ' ',
      '0',
    ),
    fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
    fc.constantFrom('a'.repeat(256), 'ä'.repeat(128)),
  )
  .filter(isName);

const windowPlace = fc
  .tuple(fc.constantFrom(1, 250, 1000, 60_000, 77_777, 3_600_000, 86_400_000), fc.integer({ min: -1000, max: 2e12 }))
  .map(([lengthMs, near]) => ({ lengthMs, startMs: Math.floor(near / lengthMs) * lengthMs }));

const RECORD = { noNullPrototype: true };

const window: fc.Arbitrary<WindowSummary> = windowPlace.chain(({ startMs, lengthMs }) =>
  fc
    .record(
      {
        group: fc.oneof(fc.constant(''), name),
        device: name,
        part: fc.oneof(fc.constant(0), fc.nat(), fc.constant(1), fc.constant(Number.MAX_SAFE_INTEGER)),
        revision: fc.oneof(fc.constantFrom(1, 2 ** 32 - 1), fc.integer({ min: 1, max: 300 })),
        extra: fc.oneof(fc.constant(0), fc.nat()),
        metrics: fc
          .array(fc.tuple(name, summaryIn(startMs, lengthMs)), { maxLength: 4 })
          .map((pairs) => new Map(pairs)),
      },
      RECORD,
    )
    .map(({ extra, ...window }) => {
      const readings = Math.max(1, ...[...window.metrics.values()].map(({ n }) => n)) + extra;
      return { ...window, startMs, lengthMs, readings };
    }),
);

const ledgerEntry: fc.Arbitrary<LedgerEntry> = fc.record(
  {
    group: fc.oneof(fc.constant(''), name),
    device: name,
    dayMs: fc.integer({ min: -3, max: 30_000 }).map((day) => day * 86_400_000),
    readings: fc.oneof(fc.nat(), fc.constant(1e12)),
  },
  RECORD,
);

const place = fc.oneof(
  fc.constant({ group: undefined, device: undefined }),
  fc.record({ group: fc.oneof(fc.constant(''), name), device: name }, RECORD),
);

const lossRecord: fc.Arbitrary<LossRecord> = fc
  .record(
    {
      dayMs: fc.integer({ min: -3, max: 30_000 }).map((day) => day * 86_400_000),
      kind: fc.oneof(fc.constantFrom(...LOSS_KINDS), fc.stringMatching(/^[a-z0-9-]{1,64}$/)),
      reason: fc.constantFrom('not-json', 'bad-time', '15m', 'future'),
      place,
      count: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constant(1e12)),
    },
    RECORD,
  )
  .map(({ place, ...loss }) => ({ ...loss, ...place }));

const countFromOne = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(1, Number.MAX_SAFE_INTEGER));

export const batch: fc.Arbitrary<Batch> = fc.record(
  {
    epoch: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    session: countFromOne,
    sequence: countFromOne,
    sentMs: fc.integer({ min: 0, max: 4e12 }),
    windows: fc.uniqueArray(window, {
      maxLength: 8,
      selector: ({ group, device, startMs, lengthMs, part }) =>
        JSON.stringify([group, device, startMs, lengthMs, part]),
    }),
    ledger: fc.uniqueArray(ledgerEntry, {
      maxLength: 4,
      selector: ({ group, device, dayMs }) => JSON.stringify([group, device, dayMs]),
    }),
    losses: fc.uniqueArray(lossRecord, {
      maxLength: 4,
      selector: ({ dayMs, kind, reason, group, device }) => JSON.stringify([dayMs, kind, reason, group, device]),
    }),
  },
  RECORD,
);
