/** Windows as items: put by revision, read by device and time. */
import type { WindowSummary } from '../../../shared/window.js';
import { encodeSummary } from '../blob.js';
import type { Source, Span, Subject } from '../store.js';
import { bytes, bytesOf, keyed, number, numberOf, textOf } from './attributes.js';
import type { DynamoDictionary } from './dictionary.js';
import { windowExpires } from './expiry.js';
import { subjectPk, timeKey, windowSk } from './keys.js';
import type { Item, Requests } from './requests.js';
import { TTL_ATTRIBUTE } from './table.js';

/** Where a window comes from, and when it came. */
export interface Origin {
  readonly gateway: string;
  readonly epoch: string;
  readonly receivedMs: number;
}

/** True where it was not there in that revision or a higher one. */
export function putWindow(
  requests: Requests,
  dictionary: DynamoDictionary,
  { gateway, epoch, receivedMs }: Origin,
  window: WindowSummary,
): Promise<boolean> {
  const { group, device, startMs, lengthMs, part, revision, readings, metrics } = window;
  const key = { pk: subjectPk({ gateway, group, device }), sk: windowSk(startMs, lengthMs, part, epoch) };
  const r = number(revision);
  const n = number(readings);
  const d = bytes(encodeSummary(dictionary, metrics, startMs, lengthMs));
  return requests.put(
    'window',
    { ...keyed(key), r, n, d, [TTL_ATTRIBUTE]: number(windowExpires(startMs + lengthMs, receivedMs)) },
    { expression: 'attribute_not_exists(pk) OR r < :r OR (r = :r AND n < :n)', values: { ':r': r, ':n': n } },
  );
}

export interface StoredWindow extends Source {
  readonly summary: Uint8Array;
  readonly expires: number;
}

/** Those of a device that start in the span. */
export async function* readWindows(requests: Requests, subject: Subject, span: Span): AsyncGenerator<StoredWindow[]> {
  const [from, to] = [`window#${timeKey(span.fromMs)}`, `window#${timeKey(span.toMs)}`];
  for await (const page of requests.query(subjectPk(subject), from, to)) yield page.map(windowOf);
}

function windowOf(item: Item): StoredWindow {
  const [, start, length, part, epoch] = textOf(item, 'sk').split('#') as [string, string, string, string, string];
  return {
    startMs: Date.parse(start),
    lengthMs: Number(length),
    part: Number(part),
    epoch,
    revision: numberOf(item, 'r'),
    readings: numberOf(item, 'n'),
    summary: bytesOf(item, 'd'),
    expires: numberOf(item, TTL_ATTRIBUTE),
  };
}
