/**
 * What is forgotten, and when. Windows stay for 35 days from their end, or from their arrival where that is later; DynamoDB
 * deletes them some time after, for nothing. Roll-ups stay: an hour of a device is a KB for sixty windows.
 *
 * A roll-up must never be recomputed from less than it was made of. So an hour of a device knows its windows, by key and
 * revision (`sources`). Once windows of it may have gone, the hour itself stands for those it knows, and what comes later is
 * merged into it (window-reader.ts); a window that comes again is known, whether it is still there or not. One that comes in
 * a higher revision, after the windows beside it have gone, cannot take the place of what is merged already: it is left out,
 * and told among the losses. A gateway sends such a thing only where it had no receipt for 35 days.
 */
import { HOUR_MS } from '../store.js';

const DAY_MS = 24 * HOUR_MS;
export const WINDOWS_KEPT_MS = 35 * DAY_MS;
/** What is looked at together must not go meanwhile. */
const MARGIN_MS = DAY_MS;

/** In seconds, as DynamoDB wants it. */
export function windowExpires(endMs: number, receivedMs: number): number {
  return Math.ceil((Math.max(endMs, receivedMs) + WINDOWS_KEPT_MS) / 1000);
}

/** Of windows that start before then some may have gone. The start of an hour. */
export function sealedBefore(nowMs: number): number {
  return Math.floor((nowMs - WINDOWS_KEPT_MS + MARGIN_MS) / HOUR_MS) * HOUR_MS;
}

/** It goes before long, or should have gone. */
export function isLeaving(expires: number, nowMs: number): boolean {
  return expires * 1000 < nowMs + MARGIN_MS;
}
