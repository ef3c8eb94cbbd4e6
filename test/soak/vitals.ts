/**
 * Loaded into the processes of a soak (`node --import vitals.js?path`): writes a line a second of what it takes to live,
 * and ends the process when the soak that started it is gone.
 */
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Vitals {
  readonly pid: number;
  /** Of this process, s. */
  readonly age: number;
  readonly rss: number;
  /** Of the event loop in the last second, ms. */
  readonly p99: number;
  readonly max: number;
  /** Of this process since its start, s. */
  readonly cpu: number;
}

const EVERY_MS = 1000;
const RESOLUTION_MS = 10;

const path = decodeURIComponent(new URL(import.meta.url).search.slice(1));
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

function write(): void {
  const { user, system } = process.cpuUsage();
  const vitals: Vitals = {
    pid: process.pid,
    age: process.uptime(),
    rss: process.memoryUsage.rss(),
    // the histogram holds the time between two looks, not the delay
    p99: Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS),
    max: Math.max(0, delay.max / 1e6 - RESOLUTION_MS),
    cpu: (user + system) / 1e6,
  };
  delay.reset();
  appendFileSync(path, `${JSON.stringify(vitals)}\n`);
}

setInterval(write, EVERY_MS).unref();
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.channel?.unref();
