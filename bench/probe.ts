/**
 * Preloaded into a process under test (`node --import`): answers over IPC what it has used so far. Costs nothing while
 * it is not asked, and keeps nothing alive.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Usage {
  /** CPU time since the start, of all threads, µs. */
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** 99th percentile of the event loop's delay since the last question, ms. */
  readonly loopP99Ms: number;
  /** What the program counts itself, if it does. */
  readonly counted: number;
}

/** A program under test may count what it has done. */
export const counter = { value: 0 };

const RESOLUTION_MS = 1;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

if (process.send !== undefined) {
  delay.enable();
  process.on('message', (message) => {
    if (message !== 'usage') return;
    const { user, system } = process.cpuUsage();
    const usage: Usage = {
      cpuUs: user + system,
      rssBytes: process.memoryUsage.rss(),
      loopP99Ms: Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS),
      counted: counter.value,
    };
    delay.reset();
    process.send!(usage);
  });
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL')); // whoever measures is gone
  process.channel?.unref();
}
