/**
 * The durable side of what is known of deliveries (../deliveries.ts). Each is in the block that has its readings; when
 * blocks leave the journal, one row takes theirs, in the same transaction. So an SD card sees no commit more, and a row more where
 * windows are saved. When the rows hold twice as much as is remembered, one row of that takes their place.
 */
import { ByteReader, ByteWriter } from '../../shared/bytes.js';
import type { Block } from '../block.js';
import { Deliveries, type DeliveryRecord, MAX_DELIVERIES, RECORD_BYTES } from '../deliveries.js';
import { readDelivery, writeDelivery } from './delivery-codec.js';
import type { Db } from './schema.js';

const MAX_STORED_BYTES = 2 * MAX_DELIVERIES * RECORD_BYTES;

interface OfBlock {
  readonly sequence: number;
  readonly records: readonly DeliveryRecord[];
}

export class StoredDeliveries {
  readonly known = new Deliveries();
  readonly #statements;
  /** Of blocks in the journal; undefined where they are more than is remembered: then that is written as a whole. */
  #unwritten: OfBlock[] | undefined = [];
  #unwrittenRecords = 0;
  /** In rows. */
  #bytes: number;
  /** As it will be after the transaction that goes on. */
  #next: { readonly unwritten: OfBlock[]; readonly bytes: number } | undefined;

  constructor(db: Db) {
    this.#statements = {
      rows: db.prepare('SELECT records FROM deliveries ORDER BY id').pluck(),
      bytes: db.prepare('SELECT coalesce(sum(length(records)), 0) FROM deliveries').pluck(),
      add: db.prepare('INSERT INTO deliveries (records) VALUES (?)'),
      clear: db.prepare('DELETE FROM deliveries'),
    };
    for (const row of this.#statements.rows.all() as Uint8Array[]) this.known.restore(decode(row));
    this.#bytes = this.#statements.bytes.get() as number;
  }

  /** A block that the journal had when it was opened; in order. */
  recovered(sequence: number, block: Block): void {
    this.known.restore(block.deliveries ?? []);
    this.committed(sequence, block);
  }

  /** The block is in the journal. */
  committed(sequence: number, { deliveries = [] }: Block): void {
    if (deliveries.length === 0) return;
    this.#unwritten?.push({ sequence, records: deliveries });
    this.#unwrittenRecords += deliveries.length;
    if (this.#unwrittenRecords > MAX_DELIVERIES) this.#unwritten = undefined;
  }

  /** Inside the transaction in which the blocks before `oldest` leave the journal. */
  keep(oldest: number): void {
    this.#next = undefined;
    const leaving = this.#unwritten?.filter(({ sequence }) => sequence < oldest);
    if (leaving?.length === 0) return;
    const row = leaving && encode(leaving.flatMap(({ records }) => records));
    if (row === undefined || this.#bytes + row.length > MAX_STORED_BYTES) {
      // with what blocks that stay have: applied once more, it changes nothing
      const all = encode(this.known.records());
      this.#statements.clear.run();
      this.#statements.add.run(all);
      this.#next = { unwritten: [], bytes: all.length };
      return;
    }
    this.#statements.add.run(row);
    const unwritten = this.#unwritten!.filter(({ sequence }) => sequence >= oldest);
    this.#next = { unwritten, bytes: this.#bytes + row.length };
  }

  /** That transaction is committed. */
  kept(): void {
    if (this.#next === undefined) return;
    this.#unwritten = this.#next.unwritten;
    this.#unwrittenRecords = this.#unwritten.reduce((sum, { records }) => sum + records.length, 0);
    this.#bytes = this.#next.bytes;
    this.#next = undefined;
  }
}

function encode(records: Iterable<DeliveryRecord>): Uint8Array {
  const writer = new ByteWriter();
  for (const record of records) writeDelivery(writer, record);
  return writer.bytes();
}

function* decode(bytes: Uint8Array): Iterable<DeliveryRecord> {
  const reader = new ByteReader(bytes);
  for (let left = bytes.length; left >= RECORD_BYTES; left -= RECORD_BYTES) yield readDelivery(reader);
}
