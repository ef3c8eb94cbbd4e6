/** What is to become of a window that comes for an hour of which windows may have gone. See expiry.ts. */
import type { WindowSummary } from '../../../shared/window.js';
import { floorTo, HOUR_MS } from '../store.js';
import { isLeaving, sealedBefore } from './expiry.js';
import { rollUpSk, subjectPk } from './keys.js';
import type { Requests } from './requests.js';
import { isAtLeast, nameOf, sourcesOf } from './sources.js';
import { areAllThere } from './window-reader.js';
import { type Origin, readWindows, type StoredWindow } from './windows.js';

/** Readings that are left out; `known` means that the hour holds them already. */
export type Verdict = 'put' | 'known' | { readonly lost: number };

export async function judge(
  requests: Requests,
  { gateway, epoch }: Origin,
  window: WindowSummary,
  nowMs: number,
): Promise<Verdict> {
  const hourMs = floorTo(window.startMs, HOUR_MS);
  if (hourMs >= sealedBefore(nowMs)) return 'put';
  const subject = { gateway, group: window.group, device: window.device };
  const hour = await requests.get({ pk: subjectPk(subject), sk: rollUpSk('hour', hourMs) });
  if (hour === undefined) return 'put';
  const sources = sourcesOf(hour, hourMs);
  const own = { ...window, epoch };
  const known = sources.find((source) => nameOf(source) === nameOf(own));
  if (known === undefined) return 'put';
  if (isAtLeast(known, own)) return 'known';
  const there: StoredWindow[] = [];
  const span = { fromMs: hourMs, toMs: hourMs + HOUR_MS };
  for await (const page of readWindows(requests, subject, span)) there.push(...page);
  const staying = there.filter(({ expires }) => !isLeaving(expires, nowMs));
  return areAllThere(sources, staying) ? 'put' : { lost: Math.max(1, window.readings - known.readings) };
}
