/**
 * The columns of a batch's body, in the order in which they travel: one value a row in each, so that equal things are
 * neighbours and deflate finds them. Behind them, not deflated, are the bits: they are dense already.
 */

import { SUMMARY_COLUMNS } from './summary-columns.js';

export const BATCH_COLUMNS = [
  'counts', // of the whole batch: time sent, then how many of each
  'textLength',
  'text', // groups, devices, metrics
  'deviceGroup',
  'shape', // which metrics come together: their number, then their indexes
  'partName', // those that are not the batch's session
  'device',
  'windowShape',
  'length',
  'start',
  'part',
  'revision',
  'readings',
  'ledgerDevice',
  'ledgerDay',
  'ledgerReadings',
  'loss', // loss records, a row behind the other: they are few
  ...SUMMARY_COLUMNS,
] as const;

export type BatchColumns<T> = { readonly [name in (typeof BATCH_COLUMNS)[number]]: T };

export function columnsOf<T>(make: () => T): BatchColumns<T> {
  return Object.fromEntries(BATCH_COLUMNS.map((name) => [name, make()])) as BatchColumns<T>;
}

export const DAY_MS = 86_400_000;
/** Over any number of windows that can be, sums of such counts are safe integers. */
export const MAX_READINGS = 1e12;
export const MAX_REVISION = 2 ** 32 - 1;
