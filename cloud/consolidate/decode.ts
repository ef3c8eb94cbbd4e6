/**
 * From a message to a change of the store, and to what the gateway is told once the change is committed. Total: bytes that
 * cannot be used become a rejected change, which is kept whole. The gateway's name is the topic's, never the payload's.
 */
import { type Batch, type BatchIdentity, decodeBatch } from '../../shared/batch.js';
import { decodeStatus } from '../../shared/status.js';
import { parseUpTopic } from '../../shared/topics.js';
import type { WindowSummary } from '../../shared/window.js';
import type { Change } from '../store/store.js';
import { type Ages, LIVE_MS } from './credit.js';

/** A message as it came from the broker. */
export interface Delivery {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Sent from the broker's memory at subscription. */
  readonly retained: boolean;
  readonly receivedMs: number;
}

export interface Decoded {
  readonly change: Change;
  /** The batch that a receipt can name; undefined where there is none. */
  readonly identity?: BatchIdentity;
  /** Of a batch. */
  readonly ages?: Ages;
  /** When a batch or status was sent, by the gateway’s clock. */
  readonly sentMs?: number;
}

/** Longer topics are not ours; keep of them what a person needs. */
const MAX_TOPIC = 256;

export function decodeDelivery(delivery: Delivery): Decoded {
  const place = parseUpTopic(delivery.topic);
  if (place?.kind === 'batch') return decodeBatchDelivery(delivery, place.gateway);
  if (place?.kind === 'status') {
    const { receivedMs, retained, payload } = delivery;
    const status = decodeStatus(payload);
    if (!status.ok) return rejected(delivery, place.gateway, status.reason, status.detail);
    const change = { kind: 'status', gateway: place.gateway, receivedMs, retained, status: status.value } as const;
    return { change, sentMs: status.value.sentMs };
  }
  return rejected(delivery, place?.gateway ?? '', 'unknown-topic', 'a topic that no gateway reports to');
}

function decodeBatchDelivery(delivery: Delivery, gateway: string): Decoded {
  const decoded = decodeBatch(delivery.payload);
  if (!decoded.ok) return rejected(delivery, gateway, decoded.reason, decoded.detail, decoded.header);
  const { epoch, session, sequence, windows, ledger, losses } = decoded.batch;
  const identity = { epoch, session, sequence };
  const ages = agesOf(decoded.batch);
  const content = { windows, ledger, losses, isUrgent: ages.backlog > 0 };
  return {
    change: { kind: 'batch', gateway, receivedMs: delivery.receivedMs, ...identity, ...content },
    identity,
    ages,
    sentMs: decoded.batch.sentMs,
  };
}

/** By the gateway’s own clock, which may be wrong but is one. */
function agesOf({ windows, sentMs }: Batch): Ages {
  const isLive = ({ startMs, lengthMs }: WindowSummary) => sentMs - startMs - lengthMs <= LIVE_MS + 2 * lengthMs;
  const live = windows.filter(isLive).length;
  return { live, backlog: windows.length - live };
}

/** What becomes of a message that cannot be used. */
export function rejected(
  { topic, payload, receivedMs }: Delivery,
  gateway: string,
  reason: string,
  detail: string,
  identity?: BatchIdentity,
): Decoded {
  const named = identity && { identity };
  const kept = { gateway, receivedMs, topic: topic.slice(0, MAX_TOPIC), reason, detail, payload };
  return { change: { kind: 'rejected', ...kept, ...named }, ...named };
}
