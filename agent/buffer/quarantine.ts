/** A few samples of what was rejected, bounded in bytes: the newest of each reason say what to mend. */
import type { Reject } from '../reading.js';
import type { Db } from './schema.js';

const MAX_SAMPLE_BYTES = 4096;
/** Rows cost more than their payload. */
const ROW_BYTES = 128;

export interface QuarantineSample {
  readonly atMs: number;
  readonly topic: string;
  readonly reason: Reject['reason'];
  readonly detail: string;
  /** The first bytes of the message. */
  readonly payload: Uint8Array;
}

export class Quarantine {
  readonly #maxBytes: number;
  readonly #insert;
  readonly #oldest;
  readonly #delete;
  readonly #list;
  #bytes: number;

  constructor(db: Db, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#insert = db.prepare('INSERT INTO quarantine (at_ms, topic, reason, detail, payload) VALUES (?, ?, ?, ?, ?)');
    this.#oldest = db.prepare(
      'SELECT id, length(topic) + length(detail) + length(payload) AS bytes FROM quarantine ORDER BY id LIMIT 1',
    );
    this.#delete = db.prepare('DELETE FROM quarantine WHERE id = ?');
    this.#list = db.prepare(
      'SELECT at_ms AS atMs, topic, reason, detail, payload FROM quarantine ORDER BY id DESC LIMIT ?',
    );
    const total = 'SELECT coalesce(sum(length(topic) + length(detail) + length(payload) + ?), 0) FROM quarantine';
    this.#bytes = db.prepare(total).pluck().get(ROW_BYTES) as number;
  }

  /** Inside a transaction. */
  add(sample: QuarantineSample): void {
    const payload = sample.payload.subarray(0, MAX_SAMPLE_BYTES);
    const topic = sample.topic.slice(0, 256);
    this.#insert.run(sample.atMs, topic, sample.reason, sample.detail, payload);
    this.#bytes += topic.length + sample.detail.length + payload.length + ROW_BYTES;
    while (this.#bytes > this.#maxBytes) {
      const oldest = this.#oldest.get() as { id: number; bytes: number } | undefined;
      if (oldest === undefined) break;
      this.#delete.run(oldest.id);
      this.#bytes -= oldest.bytes + ROW_BYTES;
    }
  }

  newest(limit: number): QuarantineSample[] {
    return this.#list.all(limit) as QuarantineSample[];
  }
}
