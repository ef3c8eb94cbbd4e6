/**
 * Held readings that count now: from the future, when their time has come; without a time of their own, when the time is
 * known. They go into the next block, and the commit of that block takes them out of where they were held, so that each
 * counts once whenever the power goes; where the commit fails they are still there, and the next round takes them again.
 */
import type { Logger } from 'pino';
import type { BlockBuilder } from './block-builder.js';
import type { EdgeBuffer } from './buffer/buffer.js';
import { bootTimes, dated } from './time/dating.js';
import type { Now } from './time/time-keeper.js';

/** Rows that the next commit takes out. */
export interface Released {
  /** Of readings from the future. */
  readonly released: readonly number[];
  /** Of readings without a time of their own. */
  readonly dated: readonly number[];
}

export class Releases {
  readonly #buffer: EdgeBuffer;
  readonly #builder: BlockBuilder;
  readonly #futureMs: number;
  readonly #log: Logger;
  #released: number[] = [];
  #dated: number[] = [];

  constructor(buffer: EdgeBuffer, builder: BlockBuilder, futureMs: number, log: Logger) {
    this.#buffer = buffer;
    this.#builder = builder;
    this.#futureMs = futureMs;
    this.#log = log;
  }

  /** Whether something was gathered that no commit has taken yet. */
  get areUnderWay(): boolean {
    return this.#released.length + this.#dated.length > 0;
  }

  /** True where something goes into the next block. What was gathered before has to be taken first. */
  gather(now: Now, bootId: string): boolean {
    if (this.areUnderWay) return false;
    for (const { id, reading } of this.#buffer.held.due(now.latestMs + this.#futureMs)) {
      this.#builder.release(reading, now.wallMs);
      this.#released.push(id);
    }
    if (now.offsetMs !== undefined) this.#date(bootId, now.offsetMs, now.wallMs);
    return this.areUnderWay;
  }

  take(): Released {
    const taken = { released: this.#released, dated: this.#dated };
    this.#released = [];
    this.#dated = [];
    return taken;
  }

  #date(bootId: string, offsetMs: number, nowMs: number): void {
    const { undated } = this.#buffer;
    const rows = undated.rows();
    if (rows.length === 0) return;
    const times = bootTimes(undated.boots(), bootId, offsetMs);
    let estimated = 0;
    for (const row of rows) {
      const { offsetMs, isEstimate } = times.get(row.bootId)!;
      for (const reading of row.readings) this.#builder.release(dated(reading, offsetMs), nowMs, isEstimate);
      this.#dated.push(row.id);
      if (isEstimate) estimated += row.readings.length;
    }
    if (estimated === 0) return;
    this.#log.warn(
      { estimated },
      'readings without a time of their own, of a start of this machine that ended before its clock was set: dated as ' +
        'if it had been switched off right before the next start, and counted as estimated',
    );
  }
}
