/** Roll-ups as items: put by mark, read by subject and time. */
import { decodeSummary, encodeSummary, ROLL_UP_SPAN_MS } from '../blob.js';
import type { Metrics, Portion, Resolution, RollUp, Span, Subject } from '../store.js';
import { bytes, bytesOf, keyed, number, numberOf, textOf } from './attributes.js';
import type { DynamoDictionary } from './dictionary.js';
import { rollUpSk, subjectPk } from './keys.js';
import { type Item, queryAll, type Requests } from './requests.js';
import { packSources } from './sources.js';

/** Only where the stored one was computed for a lower mark: it may be older than that. */
export async function putRollUp(requests: Requests, dictionary: DynamoDictionary, rollUp: RollUp): Promise<void> {
  const { scope, resolution, subject, startMs, mark, readings, counted, longestMs, metrics, sources = [] } = rollUp;
  const m = number(mark);
  const item = {
    ...keyed({ pk: subjectPk(subject), sk: rollUpSk(resolution, startMs) }),
    m,
    n: number(readings),
    c: number(counted),
    l: number(longestMs),
    d: bytes(encodeSummary(dictionary, metrics, startMs, ROLL_UP_SPAN_MS)),
    ...(scope === 'device' && resolution === 'hour' && { s: packSources(sources, startMs) }),
  };
  await requests.put('roll-up', item, { expression: 'attribute_not_exists(pk) OR m < :m', values: { ':m': m } });
}

/** Those of a subject that start in the span. */
export async function readRollUps(
  requests: Requests,
  subject: Subject,
  resolution: Resolution,
  { fromMs, toMs }: Span,
): Promise<Item[]> {
  const [from, to] = [rollUpSk(resolution, fromMs), rollUpSk(resolution, toMs - 1)];
  return from > to ? [] : queryAll(requests, subjectPk(subject), from, to);
}

export function startOfItem(item: Item): number {
  return Date.parse(textOf(item, 'sk').split('#')[1]!);
}

export function rollUpPortion(dictionary: DynamoDictionary, subject: Subject, item: Item, wanted: Metrics): Portion {
  const startMs = startOfItem(item);
  return {
    subject,
    startMs,
    readings: numberOf(item, 'n'),
    counted: numberOf(item, 'c'),
    longestMs: numberOf(item, 'l'),
    metrics: decodeSummary(dictionary, bytesOf(item, 'd'), startMs, ROLL_UP_SPAN_MS, wanted),
  };
}
