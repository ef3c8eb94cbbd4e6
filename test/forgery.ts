/** Batches that say what no gateway of ours would: their checksums hold, column by column something is changed. */
import { packBody, sealBatch } from '../shared/batch.js';
import { BATCH_COLUMNS } from '../shared/batch-columns.js';
import { encodeBody } from '../shared/batch-encode.js';
import { ByteReader, ByteWriter } from '../shared/bytes.js';
import type { WindowSummary } from '../shared/window.js';

type Column = (typeof BATCH_COLUMNS)[number];
export type Patch = Partial<Record<Column, (column: Buffer) => Uint8Array>>;

export const LIAR_EPOCH = 'e'.repeat(32);

export function forge(sequence: number, windows: readonly WindowSummary[], patch: Patch = {}): Uint8Array {
  const { columns, bits } = encodeBody({
    epoch: LIAR_EPOCH,
    session: 1,
    sequence,
    sentMs: 1,
    windows,
    ledger: [],
    losses: [],
  });
  const reader = new ByteReader(columns.slice());
  const lengths = BATCH_COLUMNS.map(() => reader.varint());
  const changed = BATCH_COLUMNS.map((name, i) => {
    const column = Buffer.from(reader.raw(lengths[i]!));
    return patch[name]?.(column) ?? column;
  });
  const body = new ByteWriter(1024);
  for (const column of changed) body.varint(column.length);
  for (const column of changed) body.raw(column);
  return sealBatch({ epoch: LIAR_EPOCH, session: 1, sequence }, packBody({ columns: body.bytes(), bits }));
}

/** A column that says these numbers. */
export function varints(...values: readonly number[]): () => Uint8Array {
  return () => {
    const writer = new ByteWriter(64);
    for (const value of values) writer.varint(value);
    return writer.bytes().slice();
  };
}

/** The f64 at this place, replaced. */
export function float(index: number, value: number): (column: Buffer) => Uint8Array {
  return (column) => {
    column.writeDoubleBE(value, index * 8);
    return column;
  };
}
