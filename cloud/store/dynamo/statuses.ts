/**
 * Statuses of a gateway: the last one, and the one of each epoch with the fullest books. Both are in one item while they are
 * of the same epoch, as they nearly always are: a status costs one write.
 */
import type { Status } from '../../../shared/status.js';
import type { StatusChange } from '../store.js';
import { gatewayPk } from './keys.js';
import type { Requests } from './requests.js';
import type { EpochItem } from './spill.js';
import { amend, readVersioned } from './versioned.js';

/** Databases of one gateway that are known from its status alone: a status is large, and may make up an epoch. */
const MAX_EPOCHS = 1_000;

export interface TimedStatus {
  readonly status: Status;
  readonly statusMs: number;
}

export interface StatusItem {
  readonly last: TimedStatus;
  /** Of the epoch of the last one, where it is another. */
  readonly fullest?: TimedStatus;
  /** When the gateway showed by a status that it lives. */
  readonly seenMs: number;
  /** When the first status of this epoch came. */
  readonly firstMs: number;
  /** Epochs that were moved to items of their own. */
  readonly moved: number;
}

export async function putStatus(requests: Requests, change: StatusChange): Promise<void> {
  const { gateway, receivedMs, retained, status } = change;
  const pk = gatewayPk(gateway);
  const last = { status, statusMs: receivedMs };
  await amend<StatusItem>(requests, 'status', { pk, sk: 'status' }, async (before) => {
    const isSameEpoch = before?.last.status.epoch === status.epoch;
    // A last will comes from the broker, and so does what it remembers.
    const isAlive = !retained && status.state !== 'offline';
    const seenMs = Math.max(before?.seenMs ?? 0, isAlive ? receivedMs : 0);
    if (before !== undefined && later(before.last, last) === before.last) {
      return { ...(await withEarlier(requests, pk, before, last)), seenMs };
    }
    const moved = before === undefined || isSameEpoch ? (before?.moved ?? 0) : await moveOut(requests, pk, before);
    const fullest = isSameEpoch ? fullestOf(before) : undefined;
    return {
      last,
      ...(fullest !== undefined && fuller(fullest, last) === fullest && { fullest }),
      seenMs,
      firstMs: isSameEpoch ? before.firstMs : receivedMs,
      moved,
    };
  });
}

/** A status that was on its way for longer than one that was sent after it. */
async function withEarlier(
  requests: Requests,
  pk: string,
  item: StatusItem,
  earlier: TimedStatus,
): Promise<StatusItem> {
  if (item.last.status.epoch === earlier.status.epoch) {
    const fullest = fuller(earlier, fullestOf(item));
    return fullest === item.last ? item : { ...item, fullest };
  }
  const { seenMs } = item;
  const other = { last: earlier, firstMs: earlier.statusMs, seenMs, moved: item.moved };
  return { ...item, moved: await moveOut(requests, pk, other) };
}

export function fullestOf({ last, fullest }: StatusItem): TimedStatus {
  return fullest ?? last;
}

/** A queue has no order, so it is not the one that comes last; of equal times the second. */
function later(one: TimedStatus, other: TimedStatus): TimedStatus {
  if (one.statusMs !== other.statusMs) return one.statusMs > other.statusMs ? one : other;
  return one.status.sentMs > other.status.sentMs ? one : other;
}

/** Books only grow within an epoch, whatever the gateway's clock does; of equal ones the second. */
export function fuller(one: TimedStatus, other: TimedStatus): TimedStatus {
  const [a, b] = [one.status, other.status];
  if (a.readings.in !== b.readings.in) return a.readings.in > b.readings.in ? one : other;
  return a.sentMs > b.sentMs ? one : other;
}

/** To the item of its epoch. Returns how many have been moved so far. */
async function moveOut(requests: Requests, pk: string, item: StatusItem): Promise<number> {
  const key = { pk, sk: `epoch#${item.last.status.epoch}` };
  const believed = await readVersioned<EpochItem>(requests, key);
  if (believed.value === undefined && item.moved >= MAX_EPOCHS) return item.moved;
  await amend<EpochItem>(
    requests,
    'status',
    key,
    (before) => {
      const fullest = fullestOf(item);
      const known = before?.status && { status: before.status, statusMs: before.statusMs! };
      return {
        lastMs: 0,
        ...before,
        firstMs: Math.min(item.firstMs, before?.firstMs ?? item.firstMs),
        ...(known === undefined ? fullest : fuller(known, fullest)),
      };
    },
    believed,
  );
  return item.moved + (believed.value === undefined ? 1 : 0);
}
