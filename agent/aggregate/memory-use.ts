/** What windows take in memory, about, so that it can be bounded: each is charged as it grows, and never less than it takes. */
import type { BlockReading } from '../block.js';
import type { OpenWindow } from './open-window.js';

const WINDOW_BYTES = 700;
/** An accumulator row and the first bins of its sketch. */
const ROW_BYTES = 600;
/** A remembered reading; besides its record id. */
const SEEN_BYTES = 16;
/** A value that needs a bin of its own. */
const VALUE_BYTES = 16;

export class MemoryUse {
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  opened(window: OpenWindow): void {
    window.chargedRows = window.rows.length;
    this.#charge(window, WINDOW_BYTES + ROW_BYTES * window.chargedRows + SEEN_BYTES * window.readings);
  }

  counted(window: OpenWindow, { shape, recordId }: BlockReading): void {
    let bytes = SEEN_BYTES + (recordId?.length ?? 0) + VALUE_BYTES * shape.metrics.length;
    const rows = Math.max(window.rows.length, shape.metrics.length);
    if (rows > window.chargedRows) {
      bytes += ROW_BYTES * (rows - window.chargedRows);
      window.chargedRows = rows;
    }
    this.#charge(window, bytes);
  }

  forgotten(window: OpenWindow): void {
    this.#bytes -= window.bytes;
  }

  #charge(window: OpenWindow, bytes: number): void {
    window.bytes += bytes;
    this.#bytes += bytes;
  }
}
