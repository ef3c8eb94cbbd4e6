/**
 * The scripted day of a gateway, as data: what is delivered when, when windows are saved, when receipts come, when the
 * agent starts again. Small, and with everything in it that moves data between journal, windows, cloud and oblivion.
 */
const SECOND_US = 1_000_000;

/** Midnight UTC, so that windows of every length are aligned to it. */
export const DAY_START_MS = Date.UTC(2026, 2, 1);

export interface ScriptReading {
  readonly device: string;
  readonly timeUs: number;
  readonly windowMs: number;
  readonly values: readonly [x: number, y: number];
  /** Sent without its time: it is the one at which it arrives. */
  readonly undated?: boolean;
}

export interface ScriptMessage {
  readonly index: number;
  /** Undefined where the message is junk. */
  readonly reading: ScriptReading | undefined;
}

export type Step =
  | { readonly do: 'clock'; readonly seconds: number }
  | { readonly do: 'deliver'; readonly messages: readonly ScriptMessage[] }
  | { readonly do: 'receipts'; readonly lost?: boolean }
  | { readonly do: 'tick' | 'save' | 'restart' };

const messages: ScriptMessage[] = [];

function add(reading: ScriptReading | undefined): ScriptMessage {
  const message = { index: messages.length, reading };
  messages.push(message);
  return message;
}

/** Device a has windows of 1 minute, b of 5; of c the length was changed by somebody. */
function said(
  device: 'a' | 'b' | 'c',
  second: number,
  x: number,
  y: number,
  windowSeconds = device === 'b' ? 300 : 60,
) {
  const timeUs = DAY_START_MS * 1000 + second * SECOND_US;
  return add({ device, timeUs, windowMs: windowSeconds * 1000, values: [x, y] });
}

/** Without a time of its own, but with a record id; arrives at this second, however often it is sent. */
function undated(second: number, x: number) {
  const timeUs = DAY_START_MS * 1000 + second * SECOND_US;
  return add({ device: 'd', timeUs, windowMs: 60_000, values: [x, -x], undated: true });
}

const again = (message: ScriptMessage) => add(message.reading);
const clock = (seconds: number): Step => ({ do: 'clock', seconds });
const deliver = (...list: ScriptMessage[]): Step => ({ do: 'deliver', messages: list });
const tick: Step = { do: 'tick' };
const receipts: Step = { do: 'receipts' };
const restart: Step = { do: 'restart' };

const first = said('a', 1, 21.5, 1013.25);
const second = said('a', 2, -3.125, 0.1);
const unknown = undated(3, 1.5);

/** Until then no time service has set the clock. */
export const BELIEVED_MS = DAY_START_MS + 65_000;

export const STEPS: readonly Step[] = [
  clock(3),
  deliver(first, said('b', 1, 1e-7, 12345678901), second, unknown),
  deliver(again(first), again(unknown), add(undefined)), // repeated, junk
  clock(62),
  tick, // the first window of a goes out
  deliver(said('a', 61, 22, 1013), said('c', 5, 0.3, -0.3), undated(62, 2.5)),
  receipts,
  clock(70),
  tick, // the clock is believed: what waited for it has its time
  deliver(said('a', 30, 20.25, 999.5), again(second), undated(70, 3)), // late for a window that was sent
  deliver(said('a', 400, 7, 7)), // from the future
  clock(80),
  tick, // revision 2
  { do: 'receipts', lost: true },
  deliver(said('b', 40, 4.5, 5)),
  { do: 'save' },
  restart,
  deliver(said('a', 31, 19, 998), said('c', 50, 0.7, 2, 300), again(first)), // late again; another length
  clock(130),
  tick,
  deliver(said('a', 100, 1e15, 1e-9), said('b', 299, 6, 7)),
  clock(302),
  tick, // the windows of b and c, and what was held is in time
  receipts,
  restart,
  deliver(said('b', 200, 2.5, 3)),
  clock(402),
  tick,
  clock(470),
  tick,
  receipts,
  clock(1200),
  tick, // forgets what has its receipt
  clock(1212),
  tick, // and again, should the first time have failed
  restart,
  deliver(said('a', 33, 5, 6), said('b', 201, 7, 8), said('c', 7, 9, 10)), // late for windows that were forgotten
  clock(1220),
  tick,
  deliver(said('a', 34, 6, 7), said('a', 1219, 1, 1)),
  receipts,
];

/** In the order of their index. */
export const MESSAGES: readonly ScriptMessage[] = messages;

/** Readings as a batch job would see them: each once. */
export function truth(): readonly ScriptReading[] {
  const distinct = new Map<string, ScriptReading>();
  for (const { reading } of MESSAGES) {
    if (reading === undefined) continue;
    const key = `${reading.device}/${reading.timeUs}`;
    if (!distinct.has(key)) distinct.set(key, reading);
  }
  return [...distinct.values()];
}
