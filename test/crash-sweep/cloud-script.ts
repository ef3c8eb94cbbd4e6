/**
 * The scripted day of the cloud, as data: what arrives in which order and company, when roll-ups are computed, when the
 * process starts again. Amended, repeated, overtaken, cut apart, from two gateways and a replaced one, and not to be used.
 */
import { windowsOf } from '../../cloud/store/samples.js';
import { type Batch, encodeBatch, type LedgerEntry } from '../../shared/batch.js';
import { encodeStatus } from '../../shared/status.js';
import { upTopic } from '../../shared/topics.js';

export const DAY_START_MS = Date.UTC(2026, 2, 1);
const HOUR = 3600;
const DAY = 86_400;

export interface CloudReading {
  readonly gateway: string;
  readonly group: string;
  readonly device: string;
  readonly timeMs: number;
  readonly values: Readonly<Record<string, number>>;
}

export interface CloudMessage {
  readonly index: number;
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Undefined where the message is none. */
  readonly batch: Batch | undefined;
  /** It cannot be used and is kept whole. */
  readonly rejected: boolean;
}

export type CloudStep =
  | { readonly do: 'arrive'; readonly messages: readonly CloudMessage[] }
  | { readonly do: 'rollUps' | 'restart' };

const readings: CloudReading[] = [];
const messages: CloudMessage[] = [];
const EPOCHS = ['a'.repeat(32), 'b'.repeat(32), 'c'.repeat(32)] as const;

function said(gateway: string, device: string, second: number, values: Record<string, number>): CloudReading {
  const reading = { gateway, group: 'hall', device, timeMs: DAY_START_MS + second * 1000, values };
  readings.push(reading);
  return reading;
}

function add(topic: string, payload: Uint8Array, batch?: Batch, rejected = false): CloudMessage {
  const message = { index: messages.length, topic, payload, batch, rejected };
  messages.push(message);
  return message;
}

interface Cut {
  readonly revision?: number;
  readonly part?: number;
  readonly epoch?: string;
  readonly ledger?: readonly number[];
}

let sequence = 0;

/** `ledger`: counted readings of the first reading's device, by UTC day from the first on. */
function batch(list: readonly CloudReading[], { revision = 1, part = 0, epoch = EPOCHS[0], ledger = [] }: Cut = {}) {
  const { gateway, group, device } = list[0]!;
  const windows = windowsOf(list, 60_000, revision, part);
  const entries: LedgerEntry[] = ledger.map((count, day) => ({
    group,
    device,
    dayMs: DAY_START_MS + day * DAY * 1000,
    readings: count,
  }));
  const identity = { epoch, session: 1, sequence: ++sequence };
  const content = { ...identity, sentMs: DAY_START_MS, windows, ledger: entries, losses: [] };
  return add(upTopic(gateway, 'batch'), encodeBatch(content), content);
}

const again = ({ topic, payload, batch: content, rejected }: CloudMessage) => add(topic, payload, content, rejected);
const arrive = (...list: CloudMessage[]): CloudStep => ({ do: 'arrive', messages: list });
const rollUps: CloudStep = { do: 'rollUps' };
const restart: CloudStep = { do: 'restart' };

const early = [said('gw1', 'd1', 1, { x: 21.5, y: 1e15 }), said('gw1', 'd1', 2, { x: -3.125, y: 0.1 })];
const late = said('gw1', 'd1', 3, { x: 7 });
const hours = [said('gw1', 'd1', HOUR, { x: 1 }), said('gw1', 'd1', 2 * HOUR, { x: 2 })];
const lateHour = said('gw1', 'd1', HOUR + 1, { x: 1.5 });
const forgotten = said('gw1', 'd1', 4, { x: 100 });
const replaced = said('gw1', 'd1', 5, { x: -100 });
const other = [said('gw2', 'd1', 6, { x: 0.3 }), said('gw2', 'd1', DAY + 7, { x: 0.6, y: 0.7 })];

const first = batch(early, { ledger: [2] });
const broken = Uint8Array.from(batch(other).payload, (byte, i) => (i === 40 ? byte ^ 1 : byte));
messages.pop();
const status = encodeStatus({
  state: 'online',
  epoch: EPOCHS[0],
  version: '0.1.0',
  sentMs: DAY_START_MS,
  backlog: { windows: 1, bytes: 1, oldestMs: null },
  readings: { in: 1, counted: 1, duplicate: 0, rejected: 0, held: 0 },
});

export const CLOUD_STEPS: readonly CloudStep[] = [
  arrive(first),
  arrive(add(upTopic('gw1', 'status'), status), add(upTopic('gw2', 'batch'), broken, undefined, true)),
  rollUps,
  arrive(batch([...early, late], { revision: 2, ledger: [3] }), batch(other, { epoch: EPOCHS[1], ledger: [1, 1] })),
  restart,
  arrive(again(first)), // the old one last
  arrive(batch([...hours, lateHour], { revision: 2, ledger: [7] })),
  arrive(batch(hours), add('elsewhere', Buffer.from('junk'), undefined, true)), // revision 1 is overtaken
  arrive(batch([forgotten], { part: 5 }), batch([replaced], { epoch: EPOCHS[2], ledger: [1] })),
  rollUps,
  restart,
  arrive(again(first)),
];

export const CLOUD_MESSAGES: readonly CloudMessage[] = messages;
export const CLOUD_TRUTH: readonly CloudReading[] = readings;
