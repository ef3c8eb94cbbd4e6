/**
 * What the stages of the agent hand to each other. A reading is what one device said at one observation time: one or
 * more metrics. Decoding is total: a message becomes readings and rejections, never a throw.
 */

/** A message as it came from a source, before it is decoded. */
export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** When it arrived, µs by the monotonic clock. */
  readonly arrivalUs: number;
  /** Where its sender keeps it until it is acknowledged (QoS 1 and 2). */
  readonly delivery?: Delivery | undefined;
}

/** By what a message is known when its sender delivers it again. */
export interface Delivery {
  readonly from: Sender;
  readonly packetId: number;
  /** DUP: the sender has delivered it before, or tried to. */
  readonly isRedelivered: boolean;
}

/** One connection of one sender. */
export interface Sender {
  /** Of the source and the client: the same on its next connection. */
  readonly name: string;
  /** The connection is over, and its client knows that all it sent is acknowledged. */
  isSettled: boolean;
}

export interface Reading {
  /** The zone or site the device belongs to; '' where there is none. */
  readonly group: string;
  readonly device: string;
  /** Observation time, whole µs since 1970 UTC (a safe integer); of an undated reading its arrival by the monotonic clock. */
  readonly timeUs: number;
  /** The device sent no time: it is observed when it arrives, whatever time that turns out to be. */
  readonly undated?: boolean;
  /**
   * Identity of the reading within its device and window. Two readings with the same (lane, recordId ?? timeUs) are the same reading
   * and count once. `lane` is '' except where a message carries a single named metric: then it is the metric's name, so
   * that temperature and humidity sent apart with one time stay two readings.
   */
  readonly lane: string;
  /** The record id, where the device sends one. */
  readonly recordId?: string;
  /** Window length and allowed lateness of the route, ms. */
  readonly windowMs: number;
  readonly latenessMs: number;
  /** Parallel arrays, at least one entry, names unique. Values are finite, and 0 or 1e-120 ≤ |v| ≤ 1e120. */
  readonly metrics: readonly string[];
  readonly values: readonly number[];
}

/** Why a reading (or a message that holds none) was not counted. One counter each. */
export const REJECT_REASONS = [
  'no-route', // no route matches the topic
  'too-large', // payload over the limit
  'not-text', // payload is not UTF-8
  'not-json', // payload is not valid JSON
  'too-deep', // JSON nested deeper than the limit
  'wrong-shape', // valid JSON of a shape that the route does not describe
  'no-device', // no device name, or one that is not allowed
  'bad-name', // a group, device, metric or record id that is too long or has control characters
  'bad-time', // an observation time that cannot be read
  'bad-number', // a metric that is not a number, or NaN, infinite, or outside ±1e120 / ±1e-120
  'no-metrics', // not one usable metric
  'too-many-metrics', // more metrics than the limit
  'too-many-devices', // a new device, where there are `buffer.maxDevices` already
  'too-many-names', // a new metric, where there are `buffer.maxMetricNames` already
] as const;

export type RejectReason = (typeof REJECT_REASONS)[number];

/** A reading (or whole message) that is not counted; the pipeline counts it and keeps a sample in quarantine. */
export interface Reject {
  readonly reason: RejectReason;
  /** For people: which field, what was found, what was expected. At most 200 characters. */
  readonly detail: string;
  /** Whose reading it was, where that could be read. */
  readonly of?: { readonly group: string; readonly device: string };
}

/**
 * A message decoded. Every reading that the message holds is in exactly one of the two lists, so that
 * in = readings + rejects. `valueRejects` are single metrics left out of readings that otherwise count.
 */
export interface Decoded {
  readonly readings: readonly Reading[];
  readonly rejects: readonly Reject[];
  readonly valueRejects: readonly Reject[];
}

/**
 * How a source hands a message to the pipeline. `done` is called once, after the commit that holds the message (or the
 * record of its rejection): only then may the source acknowledge it. With an error nothing was stored: do not acknowledge.
 * `urgent` asks for a commit without waiting for company (a source that can hold only one message at a time).
 */
export type Accept = (message: Message, done: (error?: Error) => void, urgent?: boolean) => void;

/** A place readings come from. Constructors assign, start() acts, stop() is idempotent. */
export interface Source {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** For `status`: one line of state and numbers. */
  describe(): SourceState;
}

export interface SourceState {
  readonly name: string;
  readonly state: 'up' | 'down' | 'stopped';
  readonly detail: string;
  readonly counters: Readonly<Record<string, number>>;
}
