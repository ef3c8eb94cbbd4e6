/**
 * The windows of a device, as far as they are still there; of hours that may have lost some, what the hour holds of them and
 * the windows that it does not know yet. See expiry.ts.
 */
import { decodeSummary } from '../blob.js';
import { floorTo, HOUR_MS, type Metrics, type Portion, type Source, type Span, type Subject } from '../store.js';
import type { DynamoDictionary } from './dictionary.js';
import { isLeaving, sealedBefore } from './expiry.js';
import type { Item, Requests } from './requests.js';
import { readRollUps, rollUpPortion, startOfItem } from './roll-ups.js';
import { isAtLeast, nameOf, sourcesOf } from './sources.js';
import { readWindows, type StoredWindow } from './windows.js';

/** A window, or an hour that stands for some. */
export type Found = { readonly window: StoredWindow } | { readonly hour: Item; readonly sources: readonly Source[] };

export async function readFound(requests: Requests, subject: Subject, span: Span, nowMs: number): Promise<Found[]> {
  const windows: StoredWindow[] = [];
  for await (const page of readWindows(requests, subject, span)) windows.push(...page);
  const sealedMs = sealedBefore(nowMs);
  if (span.fromMs >= sealedMs) return windows.map((window) => ({ window }));
  const wholeHours = { fromMs: -floorTo(-span.fromMs, HOUR_MS), toMs: floorTo(Math.min(span.toMs, sealedMs), HOUR_MS) };
  const hours = await readRollUps(requests, subject, 'hour', wholeHours);
  const byHour = new Map(hours.map((item) => [startOfItem(item), item]));
  const ofHours = new Map<number, StoredWindow[]>([...byHour.keys()].map((ms) => [ms, []]));
  const found: Found[] = [];
  for (const window of windows) {
    const hourMs = floorTo(window.startMs, HOUR_MS);
    const isWhole = hourMs >= wholeHours.fromMs && hourMs < wholeHours.toMs;
    if (ofHours.has(hourMs)) ofHours.get(hourMs)!.push(window);
    // Of a part of an hour some windows may have gone and others not yet: the same question is to have one answer.
    else if (isWhole || hourMs >= sealedMs || !isLeaving(window.expires, nowMs)) found.push({ window });
  }
  for (const [ms, some] of ofHours) found.push(...foundOf(byHour.get(ms)!, ms, some));
  return found;
}

function foundOf(hour: Item, hourMs: number, windows: readonly StoredWindow[]): Found[] {
  const sources = sourcesOf(hour, hourMs);
  if (areAllThere(sources, windows)) return windows.map((window) => ({ window }));
  const known = new Set(sources.map(nameOf));
  const others = windows.filter((window) => !known.has(nameOf(window)));
  return [{ hour, sources }, ...others.map((window) => ({ window }))];
}

export function areAllThere(sources: readonly Source[], windows: readonly Source[]): boolean {
  const byName = new Map(windows.map((window) => [nameOf(window), window]));
  return sources.every((source) => {
    const window = byName.get(nameOf(source));
    return window !== undefined && isAtLeast(window, source);
  });
}

export function foundPortion(dictionary: DynamoDictionary, subject: Subject, found: Found, wanted: Metrics): Portion {
  if ('hour' in found) return { ...rollUpPortion(dictionary, subject, found.hour, wanted), sources: found.sources };
  const { summary, expires: _, ...source } = found.window;
  const { startMs, lengthMs, readings } = source;
  const metrics = decodeSummary(dictionary, summary, startMs, lengthMs, wanted);
  return { subject, startMs, readings, counted: 0, longestMs: lengthMs, metrics, sources: [source] };
}

export function sourcesIn(found: Found): readonly Source[] {
  return 'hour' in found ? found.sources : [found.window];
}
