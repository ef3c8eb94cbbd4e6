/**
 * Which windows a device has in a stretch of time. Rows lie in the order of time and not of devices: what is saved, sent and
 * receipted together is of one minute, and would else be on as many pages as there are devices (measured: 15 kB written for a
 * window instead of 0.6). So a device's windows are looked up one by one: they are aligned to their length, and every
 * length there is is known, so there are not many places where one can be.
 */
import type { Db } from './schema.js';

export interface WindowPlace {
  readonly startMs: number;
  readonly lengthMs: number;
  readonly part: number;
  readonly attempted: number;
}

export class WindowKeys {
  /** Every length that a row has or might have had. */
  readonly lengths: Set<number>;
  readonly #addLength;
  readonly #at;
  readonly #startingIn;

  constructor(db: Db) {
    this.lengths = new Set(db.prepare('SELECT length_ms FROM window_lengths').pluck().all() as number[]);
    this.#addLength = db.prepare('INSERT OR IGNORE INTO window_lengths VALUES (?)');
    this.#at = db.prepare('SELECT 1 FROM windows WHERE start_ms = ? AND device = ? AND length_ms = ? LIMIT 1');
    this.#startingIn = db.prepare(
      `SELECT device, start_ms AS startMs, length_ms AS lengthMs, part, attempted FROM windows
         WHERE start_ms >= ? AND start_ms < ?`,
    );
  }

  /** Inside the transaction of a window of that length: every time, for the one in which it was new may have failed. */
  addLength(lengthMs: number): void {
    this.lengths.add(lengthMs);
    this.#addLength.run(lengthMs);
  }

  /** Lengths of those that overlap `[fromMs, toMs)`. */
  lengthsIn(device: number, fromMs: number, toMs: number): number[] {
    return [...this.lengths].filter((lengthMs) => {
      for (let startMs = floorTo(fromMs, lengthMs); startMs < toMs; startMs += lengthMs) {
        if (this.#at.get(startMs, device, lengthMs) !== undefined) return true;
      }
      return false;
    });
  }

  /** Whether one that starts before an instant reaches over it. */
  reachesOver(device: number, atMs: number): boolean {
    for (const lengthMs of this.lengths) {
      const startMs = floorTo(atMs, lengthMs);
      if (startMs < atMs && this.#at.get(startMs, device, lengthMs) !== undefined) return true;
    }
    return false;
  }

  /** Those of every device that start in `[fromMs, toMs)`. */
  startingIn(fromMs: number, toMs: number): Map<number, WindowPlace[]> {
    const places = new Map<number, WindowPlace[]>();
    const rows = this.#startingIn.iterate(fromMs, toMs) as IterableIterator<WindowPlace & { device: number }>;
    for (const { device, ...place } of rows) {
      const list = places.get(device);
      if (list === undefined) places.set(device, [place]);
      else list.push(place);
    }
    return places;
  }
}

function floorTo(ms: number, lengthMs: number): number {
  return Math.floor(ms / lengthMs) * lengthMs;
}
