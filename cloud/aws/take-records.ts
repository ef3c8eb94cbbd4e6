/**
 * One invocation: every record of it is archived, committed, and answered for. The same consolidation as in the long-running
 * service, with an end.
 *
 * Promises: a receipt leaves only after its batch is in the archive and in the store; a record is reported as failed only for a
 * reason that may pass, and then comes again; what cannot be used is no failure, it is in quarantine and in the queue of dead letters, with its
 * reason. All of it may be repeated, by several invocations at once, and be cut off anywhere.
 */
import type { ArchiveWriter } from '../archive/archive.js';
import { archiveKey, isArchived } from '../archive/key.js';
import type { Committed } from '../consolidate/commit-queue.js';
import type { Consolidator } from '../consolidate/consolidator.js';
import { type Decoded, type Delivery, decodeDelivery, rejected } from '../consolidate/decode.js';
import type { Log } from '../log.js';
import type { Change } from '../store/store.js';
import { type Alert, type RaiseAlerts, together } from './alerts.js';
import type { SendDeadLetter } from './dead-letters.js';
import { forgeryIn } from './origin.js';
import type { QueueRecord } from './records.js';
import { readRuleOutput } from './rule.js';

export interface TakeContext {
  readonly consolidator: Consolidator;
  /** Undefined: nothing is archived. */
  readonly archive: ArchiveWriter | undefined;
  readonly sendDeadLetter: SendDeadLetter;
  readonly raise: RaiseAlerts;
  readonly log: Log;
  readonly now: () => number;
}

export interface Taken {
  /** Those that are to come again. */
  readonly failed: readonly QueueRecord[];
  readonly counts: { readonly archived: number; readonly forged: number; readonly unreadable: number };
}

interface Arrival {
  readonly record: QueueRecord;
  readonly delivery: Delivery;
  readonly decoded: Decoded;
}

/** Reasons of ours, beside those of the decoders. */
const FORGED = 'forged';
const UNREADABLE = 'unreadable-record';

export async function takeRecords(records: readonly QueueRecord[], context: TakeContext): Promise<Taken> {
  const { consolidator, archive, sendDeadLetter, raise } = context;
  const failed: QueueRecord[] = [];
  const pass = passer(failed, context.log);
  const arrivals = records.map((record) => arrivalOf(record, context.now()));
  const archived = await pass(arrivals, (arrival) => put(arrival, archive));
  // In one turn, so that they are committed together.
  const accepted = await pass(
    archived.map(([arrival]) => arrival),
    ({ delivery, decoded }) => consolidator.accept(delivery, decoded),
  );
  const committed = new Map(accepted);
  await pass([...committed.keys()], async (arrival) => {
    const { change } = committed.get(arrival)!;
    if (change.kind !== 'rejected') return;
    const { gateway, reason, detail } = change;
    await sendDeadLetter({ text: arrival.record.text, gateway, reason, detail });
  });
  consolidator.flush();
  await Promise.all([consolidator.idle(), raise(together([...committed.values()].flatMap(alertsOf)))]);
  const rejectedFor = (why: string) => [...committed.values()].filter(({ change }) => reasonOf(change) === why).length;
  return {
    failed,
    counts: {
      archived: archived.filter(([, isArchived]) => isArchived).length,
      forged: rejectedFor(FORGED),
      unreadable: rejectedFor(UNREADABLE),
    },
  };
}

/** Does the work for each of them, and keeps the records for which it failed. */
function passer(failed: QueueRecord[], log: Log) {
  return async <T>(arrivals: readonly Arrival[], work: (arrival: Arrival) => Promise<T>): Promise<[Arrival, T][]> => {
    const results = await Promise.allSettled(arrivals.map(work));
    return results.flatMap((result, i): [Arrival, T][] => {
      const arrival = arrivals[i]!;
      if (result.status === 'fulfilled') return [[arrival, result.value]];
      const { id } = arrival.record;
      log.error({ err: result.reason, record: id }, `a record is to come again: ${String(result.reason)}`);
      if (!failed.includes(arrival.record)) failed.push(arrival.record);
      return [];
    });
  };
}

function reasonOf(change: Change): string | undefined {
  return change.kind === 'rejected' ? change.reason : undefined;
}

function alertsOf({ change, refused }: Committed): Alert[] {
  const gateway = change.gateway === '' ? {} : { gateway: change.gateway };
  if (refused !== undefined) return [{ kind: 'over-quota', severity: 'warning', ...gateway, ...refused, count: 1 }];
  if (change.kind !== 'rejected') return [];
  const { reason, detail } = change;
  if (reason === FORGED) return [{ kind: 'forged-message', severity: 'critical', reason, detail, count: 1 }];
  const kind = reason === UNREADABLE ? 'unreadable-record' : 'message-rejected';
  return [{ kind, severity: 'warning', ...gateway, reason, detail, count: 1 }];
}

function arrivalOf(record: QueueRecord, nowMs: number): Arrival {
  const output = readRuleOutput(record.text);
  if (!output.ok) {
    const delivery = { topic: '', payload: Buffer.from(record.text), retained: false, receivedMs: nowMs };
    return { record, delivery, decoded: rejected(delivery, '', UNREADABLE, output.detail) };
  }
  const { topic, payload, timestampMs: receivedMs } = output.message;
  const delivery = { topic, payload, retained: false, receivedMs };
  const forgery = forgeryIn(output.message);
  // It is no message of the gateway that it names: it gets no receipt, and nothing is counted against it.
  const decoded = forgery === undefined ? decodeDelivery(delivery) : rejected(delivery, '', FORGED, forgery);
  return { record, delivery, decoded };
}

/** Archives it, where it is something to be replayed. */
async function put({ delivery, decoded }: Arrival, archive: ArchiveWriter | undefined): Promise<boolean> {
  const { change, identity, sentMs } = decoded;
  if (archive === undefined || sentMs === undefined) return false;
  const { payload: bytes, receivedMs } = delivery;
  const from = { gateway: change.gateway, sentMs };
  if (change.kind === 'batch' && identity !== undefined) {
    await archive.put({ key: archiveKey({ kind: 'batch', ...from, ...identity }), bytes, receivedMs });
    return true;
  }
  if (change.kind !== 'status' || !isArchived(change.status)) return false;
  const { epoch } = change.status;
  await archive.put({ key: archiveKey({ kind: 'status', ...from, epoch }), bytes, receivedMs });
  return true;
}
