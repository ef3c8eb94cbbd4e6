/**
 * How many readings of each device a peer has told upstream. Summaries without an identity are added up, as a consumer has
 * to; of ours the highest revision of a window counts, and raw readings are told apart by device and time. Pure.
 */
import { decodeBatch } from '../../shared/batch.js';
import type { Upstream } from './peer.js';

export interface Told {
  /** Readings of each device, all that was told. */
  readonly counts: Record<string, number>;
  /** Of them, told again: only where readings can be told apart. */
  readonly again: number;
}

export interface Heard extends Told {
  /** Through the sockets of all connections so far. */
  readonly bytes: number;
}

export interface Tally {
  take(topic: string, payload: Buffer): void;
  told(): Told;
}

export function tallyOf(upstream: Upstream): Tally {
  if (upstream === 'batch') return batches();
  return upstream === 'raw' ? rawReadings() : adding(READERS[upstream]);
}

/** For each message: device and readings. */
type Reader = (topic: string, payload: Buffer) => readonly (readonly [string, number])[];

interface TelegrafMetric {
  readonly tags: { readonly device: string };
  readonly fields: Readonly<Record<string, number>>;
}

const READERS: Readonly<Record<Exclude<Upstream, 'batch' | 'raw'>, Reader>> = {
  summary(_topic, payload) {
    const { device, temperature } = JSON.parse(String(payload)) as { device: string; temperature: { n: number } };
    return [[device, temperature.n]];
  },
  // summary/<device>/aggregation-room-num/gauge-<metric>, a metric being a fifth of a reading
  collectd(topic, payload) {
    const [, device, plugin] = topic.split('/');
    if (!plugin!.endsWith('-num')) return [];
    return [[device!, Number(String(payload).replace('\0', '').split(':')[1]) / 5]];
  },
  telegraf(_topic, payload) {
    const told = JSON.parse(String(payload)) as TelegrafMetric | { metrics: TelegrafMetric[] };
    const metrics = 'metrics' in told ? told.metrics : [told];
    return metrics.map(({ tags, fields }) => [tags.device, fields.temperature_count ?? 0] as const);
  },
  ekuiper(_topic, payload) {
    const told = JSON.parse(String(payload)) as { device: string; n: number } | { device: string; n: number }[];
    return (Array.isArray(told) ? told : [told]).map(({ device, n }) => [device, n] as const);
  },
};

function adding(read: Reader): Tally {
  const counts: Record<string, number> = {};
  return {
    take(topic, payload) {
      for (const [device, n] of read(topic, payload)) counts[device] = (counts[device] ?? 0) + n;
    },
    told: () => ({ counts, again: 0 }),
  };
}

function batches(): Tally {
  const windows = new Map<string, { device: string; revision: number; readings: number }>();
  return {
    take(_topic, payload) {
      const decoded = decodeBatch(payload);
      if (!decoded.ok) throw new Error(`${decoded.reason}: ${decoded.detail}`);
      for (const { group, device, startMs, lengthMs, part, revision, readings } of decoded.batch.windows) {
        const key = [group, device, startMs, lengthMs, part].join(' ');
        if (revision > (windows.get(key)?.revision ?? 0)) windows.set(key, { device, revision, readings });
      }
    },
    told() {
      const counts: Record<string, number> = {};
      for (const { device, readings } of windows.values()) counts[device] = (counts[device] ?? 0) + readings;
      return { counts, again: 0 };
    },
  };
}

function rawReadings(): Tally {
  const counts: Record<string, number> = {};
  const seen = new Map<string, Set<number>>();
  let again = 0;
  return {
    take(topic, payload) {
      const device = topic.split('/')[2]!;
      const { ts } = JSON.parse(String(payload)) as { ts: number };
      const times = seen.get(device) ?? new Set();
      seen.set(device, times);
      counts[device] = (counts[device] ?? 0) + 1;
      if (times.has(ts)) again++;
      times.add(ts);
    },
    told: () => ({ counts, again }),
  };
}

export interface Book {
  /** By device. */
  readonly made: Readonly<Record<string, number>>;
  readonly heard: Heard;
}

export interface Balance {
  readonly made: number;
  readonly missing: number;
  readonly doubled: number;
}

/** Readings that were made between two looks and never told, and those told more often than made: device by device. */
export function balanceOf(before: Book, after: Book): Balance {
  const devices = Object.keys({ ...after.made, ...after.heard.counts });
  const grown = (of: (book: Book) => Readonly<Record<string, number>>) => {
    return devices.map((device) => (of(after)[device] ?? 0) - (of(before)[device] ?? 0));
  };
  const made = grown((book) => book.made);
  const told = grown((book) => book.heard.counts);
  const again = after.heard.again - before.heard.again;
  const sum = (values: readonly number[]) => Math.round(values.reduce((total, value) => total + value, 0));
  const short = sum(made.map((n, i) => Math.max(0, n - told[i]!)));
  const over = sum(made.map((n, i) => Math.max(0, told[i]! - n)));
  // where readings can be told apart, one told twice does not make up for one that is missing
  const hidden = Math.max(0, again - over);
  return { made: sum(made), missing: short + hidden, doubled: over + hidden };
}
