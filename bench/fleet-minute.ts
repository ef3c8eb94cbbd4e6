/** A window as another minute would have it: the same statistics, told of other times. */
import type { WindowSummary } from '../shared/window.js';

export function minuteAt(window: WindowSummary, startMs: number): WindowSummary {
  const byUs = (startMs - window.startMs) * 1000;
  const metrics = new Map(
    [...window.metrics].map(([name, summary]) => {
      const first = { ...summary.first, timeUs: summary.first.timeUs + byUs };
      const last = { ...summary.last, timeUs: summary.last.timeUs + byUs };
      return [name, { ...summary, first, last }];
    }),
  );
  return { ...window, startMs, metrics };
}
