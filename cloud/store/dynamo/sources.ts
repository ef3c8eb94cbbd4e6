/** The windows that an hour of a device is made of: a list that packs well, since most of them differ in their start only. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Source } from '../store.js';
import { packed, unpacked } from './attributes.js';
import type { Item } from './requests.js';

interface Packed {
  readonly epochs: readonly string[];
  /** Start from that of the hour, length, part, number of the epoch, revision, readings. */
  readonly rows: readonly (readonly [number, number, number, number, number, number])[];
}

export function packSources(sources: readonly Source[], hourMs: number): AttributeValue {
  const epochs = [...new Set(sources.map(({ epoch }) => epoch))];
  const rows = sources.map(({ startMs, lengthMs, part, epoch, revision, readings }) => {
    return [startMs - hourMs, lengthMs, part, epochs.indexOf(epoch), revision, readings] as const;
  });
  return packed({ epochs, rows: rows.sort((a, b) => a[3] - b[3] || a[2] - b[2] || a[0] - b[0]) } satisfies Packed);
}

export function sourcesOf(item: Item, hourMs: number): Source[] {
  const { epochs, rows } = unpacked(item, 's') as Packed;
  return rows.map(([start, lengthMs, part, epoch, revision, readings]) => {
    return { startMs: hourMs + start, lengthMs, part, epoch: epochs[epoch]!, revision, readings };
  });
}

export function nameOf({ startMs, lengthMs, part, epoch }: Omit<Source, 'revision' | 'readings'>): string {
  return `${startMs}/${lengthMs}/${part}/${epoch}`;
}

/** The one holds all that the other does. */
export function isAtLeast(one: Source, other: Source): boolean {
  return one.revision > other.revision || (one.revision === other.revision && one.readings >= other.readings);
}
