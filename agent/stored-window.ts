/** A window as the buffer keeps it and the aggregator takes it up again; devices and metrics by dictionary id. */
import type { MetricSummary } from '../shared/summary.js';
import type { WindowSummary } from '../shared/window.js';

export interface WindowId {
  readonly device: number;
  readonly startMs: number;
  readonly lengthMs: number;
  readonly part: number;
}

export interface StoredWindow extends WindowId {
  readonly revision: number;
  /** Last block of the journal whose readings are in. */
  readonly folded: number;
  readonly readings: number;
  readonly metrics: ReadonlyMap<number, MetricSummary>;
  /** Which readings were counted; undefined where that was given up to save room. */
  readonly seen: Uint8Array | undefined;
}

/** What is stored of the interval that holds an instant: one window in one or several parts. */
export interface StoredInterval {
  readonly device: number;
  readonly startMs: number;
  readonly lengthMs: number;
  /** Last block of the journal whose readings are in one of the parts. */
  readonly folded: number;
  /** The part that what comes now is added to; where there is none, it goes to a new one. */
  readonly growing: StoredWindow | undefined;
  /** Which readings the other parts have counted, of those that remember it. */
  readonly frozen: readonly { readonly readings: number; readonly seen: Uint8Array }[];
}

/** A window to be saved. */
export interface WindowSave extends StoredWindow {
  /** Readings since it was last saved. */
  readonly gained: number;
  /** When it may be sent, ms on the steady clock: after its end and the lateness. */
  readonly closesMs: number;
}

/** One revision of one window: what a batch carries and a receipt names. */
export interface WindowRef extends WindowId {
  readonly revision: number;
}

/** A window without a receipt, as it may be sent now. */
export interface BacklogWindow {
  readonly ref: WindowRef;
  readonly summary: WindowSummary;
  /** Of its metrics as they are stored: about what they take in a batch before it is compressed. */
  readonly bytes: number;
}

/** A revision that cannot be delivered, and why. */
export interface RefusedWindow {
  readonly ref: WindowRef;
  /** A word: of the cloud's receipt, or `too-large` where it does not fit into a message. */
  readonly reason: string;
  /** For people. */
  readonly detail: string;
  /** When, wall clock. */
  readonly atMs: number;
}

export interface BacklogState {
  readonly windows: number;
  readonly bytes: number;
  /** Start of the oldest window, ms; null where there is none. */
  readonly oldestMs: number | null;
}
