/**
 * What the processes of a soak took: memory over time, delays of their event loops. Memory is judged over the longest life of
 * each process, where the median of its last quarter is held against that of its second. Pure.
 */
import type { Vitals } from './vitals.js';

export interface Health {
  readonly name: string;
  /** Its longest life, s. */
  readonly seconds: number;
  /** Medians of the second and the last quarter of it, bytes. */
  readonly rss: readonly [second: number, last: number];
  /** Of all its lives: the median of p99 a second, and the largest delay. */
  readonly delayMs: readonly [usual: number, largest: number];
  /** Of one core, over its longest life. */
  readonly cpuShare: number;
}

/** A life shorter than this is still warming up. */
const JUDGED_SECONDS = 300;
const GROWTH = 1.15;
const SLACK_BYTES = 24 * 2 ** 20;

export function healthOf(name: string, lines: readonly string[]): Health {
  const all = lines.map((line) => JSON.parse(line) as Vitals);
  const lives = new Map<number, Vitals[]>();
  for (const vitals of all) lives.set(vitals.pid, [...(lives.get(vitals.pid) ?? []), vitals]);
  const life = [...lives.values()].sort((a, b) => b.length - a.length)[0] ?? [];
  const quarter = (number: number) =>
    life
      .slice(Math.floor((number * life.length) / 4), Math.floor(((number + 1) * life.length) / 4))
      .map(({ rss }) => rss);
  const seconds = life.length === 0 ? 0 : life.at(-1)!.age;
  return {
    name,
    seconds,
    rss: [median(quarter(1)), median(quarter(3))],
    delayMs: [median(all.map(({ p99 }) => p99)), all.reduce((most, { max }) => Math.max(most, max), 0)],
    cpuShare: seconds === 0 ? 0 : life.at(-1)!.cpu / seconds,
  };
}

/** Undefined where memory stays flat, or nothing can be said. */
export function growth({ name, seconds, rss: [second, last] }: Health): string | undefined {
  if (seconds < JUDGED_SECONDS || last <= second * GROWTH + SLACK_BYTES) return undefined;
  return `${name}: memory grows, from ${megabytes(second)} to ${megabytes(last)} MB within ${Math.round(seconds)} s`;
}

export function healthTable(list: readonly Health[]): string[] {
  const rows = list.map(({ name, seconds, rss, delayMs, cpuShare }) => [
    name,
    `${Math.round(seconds)} s`,
    `${megabytes(rss[0])} → ${megabytes(rss[1])} MB`,
    `${delayMs[0].toFixed(1)} / ${Math.round(delayMs[1])} ms`,
    `${Math.round(cpuShare * 100)} %`,
  ]);
  const head = ['', 'longest life', 'memory, 2nd → last quarter', 'loop delay, usual p99 / most', 'of a core'];
  return [head, ...rows].map(([name, ...cells]) => name!.padEnd(14) + cells.map((cell) => cell.padStart(30)).join(''));
}

function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}
