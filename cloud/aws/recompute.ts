/** Brings roll-ups up to date until nothing is due, or shortly before the function’s time is over. Several may run at once. */
import { RollUpSlices } from '../consolidate/roll-up-slices.js';
import type { Log } from '../log.js';
import type { RollUpStore } from '../store/store.js';
import { deadline, type LambdaHandler } from './function.js';
import type { WriteMetrics } from './metrics.js';

export interface RecomputeServices {
  readonly store: RollUpStore;
  readonly writeMetrics: WriteMetrics;
  readonly log: Log;
  readonly now: () => number;
}

const RESERVE_MS = 10_000;
const SLICE_MS = 5_000;
/** A roll-up that changes often is computed once in this time. */
const SETTLE_MS = 60_000;
/** What goes on is read from its windows: computing it over and over would be writes. */
const REFRESH_MS = Number.POSITIVE_INFINITY;

export function recompute({ store, writeMetrics, log, now }: RecomputeServices): LambdaHandler<void> {
  return async (_event, context) => {
    const signal = deadline(context, RESERVE_MS);
    const slices = new RollUpSlices({
      store,
      log,
      settleMs: SETTLE_MS,
      refreshMs: REFRESH_MS,
      sliceMs: SLICE_MS,
      now,
      signal,
    });
    try {
      while (!signal.aborted && (await slices.next()) !== undefined);
    } finally {
      writeMetrics({ rollUps: slices.recomputed });
    }
  };
}
