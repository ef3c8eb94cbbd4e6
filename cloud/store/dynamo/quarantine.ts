/**
 * Rejected messages, kept whole until newer ones of the same gateway need the room: each gateway has its own, so that one
 * that went mad neither pushes out what another's failed on nor makes others wait at one item.
 *
 * A list says which are kept; the messages lie in items of their own. A process that dies in between leaves a message that
 * is not listed, which nobody misses: it comes again.
 */
import { createHash } from 'node:crypto';
import type { RejectedChange } from '../store.js';
import { bytes, keyed, packed } from './attributes.js';
import { gatewayPk, quarantinePk } from './keys.js';
import type { Requests } from './requests.js';
import { amend } from './versioned.js';

/** Of one gateway, however small: the list is written with each. */
const MAX_KEPT = 500;
/** An item has 400 KB; a message may have more where the broker lets it through. */
const PART_BYTES = 350 * 1024;

type Kept = readonly [digest: string, bytes: number];

export interface QuarantineItem {
  /** The oldest first. */
  readonly kept: readonly Kept[];
  /** That had to make room. */
  readonly evicted: number;
}

export async function putRejected(requests: Requests, change: RejectedChange, maxBytes: number): Promise<void> {
  const { gateway, payload } = change;
  const digest = createHash('sha256').update(payload).digest('base64url').slice(0, 22);
  if (payload.length <= maxBytes) await putParts(requests, quarantinePk(gateway, digest), change);
  let evicted: readonly Kept[] = [];
  await amend<QuarantineItem>(requests, 'quarantine', { pk: gatewayPk(gateway), sk: 'quarantine' }, (before) => {
    evicted = [];
    if (before?.kept.some(([known]) => known === digest)) return undefined;
    const kept: Kept[] = [...(before?.kept ?? []), [digest, payload.length]];
    const room = roomNeeded(kept, maxBytes);
    evicted = kept.splice(0, room);
    return { kept, evicted: (before?.evicted ?? 0) + room };
  });
  for (const [gone, size] of evicted) {
    for (let part = 0; part * PART_BYTES < Math.max(1, size); part++) {
      await requests.delete('quarantine', { pk: quarantinePk(gateway, gone), sk: `part#${part}` });
    }
  }
}

/** How many of the oldest have to go. */
function roomNeeded(kept: readonly Kept[], maxBytes: number): number {
  let left = kept.reduce((sum, [, size]) => sum + size, 0);
  let gone = 0;
  while (left > maxBytes || kept.length - gone > MAX_KEPT) left -= kept[gone++]![1];
  return gone;
}

async function putParts(requests: Requests, pk: string, change: RejectedChange): Promise<void> {
  const { payload, receivedMs, topic, reason, detail } = change;
  for (let part = 0; part * PART_BYTES < Math.max(1, payload.length); part++) {
    const d = bytes(payload.subarray(part * PART_BYTES, (part + 1) * PART_BYTES));
    const about = packed({ receivedMs, topic, reason, detail });
    await requests.put('quarantine', { ...keyed({ pk, sk: `part#${part}` }), about, d });
  }
}
