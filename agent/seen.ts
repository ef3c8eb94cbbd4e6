/**
 * The memory of which readings of one window were counted, so that each counts once.
 *
 * A reading is known by its record id, or by its observation time within its lane (see `Reading.lane`). Times are kept
 * sorted; on disk they are runs of equal steps, so a regular sensor costs a few bytes a window. Record ids are kept as
 * they are up to 22 characters, longer ones as 128 bits of their SHA-256.
 *
 * Stored form, version 1: lanes (count, then each: name, run count, runs of (step, repeats) in µs from the window's
 * start), ids (count, then each as text).
 */
import { createHash } from 'node:crypto';
import { ByteReader, ByteWriter } from '../shared/bytes.js';
import { EdgetallyError } from '../shared/errors.js';

const VERSION = 1;
const MAX_ID_LENGTH = 22; // of base64url for 128 bits

export class Seen {
  /** Offsets from the window's start, µs, ascending; the lane '' is the common one. */
  readonly #common: number[] = [];
  readonly #lanes = new Map<string, number[]>();
  readonly #ids = new Set<string>();

  /** Remembers a reading; false where it is known already. */
  add(lane: string, offsetUs: number, recordId: string | undefined): boolean {
    if (recordId !== undefined) return this.#addId(lane, recordId);
    if (lane === '') return insert(this.#common, offsetUs);
    let offsets = this.#lanes.get(lane);
    if (offsets === undefined) {
      offsets = [];
      this.#lanes.set(lane, offsets);
    }
    return insert(offsets, offsetUs);
  }

  #addId(lane: string, recordId: string): boolean {
    // A lane and an id are two names: the separator cannot stand in a lane, which holds no control characters.
    const name = lane === '' ? recordId : `${lane}\u0000${recordId}`;
    const id =
      name.length <= MAX_ID_LENGTH
        ? name
        : `#${createHash('sha256').update(name).digest().subarray(0, 16).toString('base64url')}`;
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    return true;
  }

  /** Takes up what another window has seen, which starts `byUs` after this one. */
  merge(other: Seen, byUs: number): void {
    for (const offset of other.#common) insert(this.#common, offset + byUs);
    for (const [lane, offsets] of other.#lanes) for (const offset of offsets) this.add(lane, offset + byUs, undefined);
    for (const id of other.#ids) this.#ids.add(id);
  }

  encode(): Uint8Array {
    const writer = new ByteWriter();
    writer.varint(VERSION);
    writer.varint(1 + this.#lanes.size);
    writeTimes(writer, '', this.#common);
    for (const [lane, offsets] of this.#lanes) writeTimes(writer, lane, offsets);
    writer.varint(this.#ids.size);
    for (const id of this.#ids) writer.string(id);
    return writer.bytes().slice();
  }

  static decode(bytes: Uint8Array): Seen {
    const reader = new ByteReader(bytes);
    const version = reader.varint();
    if (version !== VERSION) {
      throw new EdgetallyError('database-newer', `memory of seen readings has version ${version}, expected ${VERSION}`);
    }
    const seen = new Seen();
    for (let lanes = reader.varint(); lanes > 0; lanes--) {
      const lane = reader.string();
      const offsets = readTimes(reader);
      if (lane === '') for (const offset of offsets) seen.#common.push(offset);
      else seen.#lanes.set(lane, offsets);
    }
    for (let ids = reader.varint(); ids > 0; ids--) seen.#ids.add(reader.string());
    return seen;
  }
}

/** Inserts into an ascending list; false where it is there already. Readings mostly come in order. */
function insert(offsets: number[], offset: number): boolean {
  const length = offsets.length;
  if (length === 0 || offset > offsets[length - 1]!) {
    offsets.push(offset);
    return true;
  }
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (offsets[middle]! < offset) low = middle + 1;
    else high = middle;
  }
  if (offsets[low] === offset) return false;
  offsets.splice(low, 0, offset);
  return true;
}

function writeTimes(writer: ByteWriter, lane: string, offsets: readonly number[]): void {
  writer.string(lane);
  const runs: { step: number; repeats: number }[] = [];
  let previous = 0;
  for (const offset of offsets) {
    const step = offset - previous;
    const run = runs.at(-1);
    if (run !== undefined && run.step === step) run.repeats++;
    else runs.push({ step, repeats: 1 });
    previous = offset;
  }
  writer.varint(runs.length);
  for (const { step, repeats } of runs) {
    // most runs of an irregular sensor are one long: two bits of the step would not pay, one flag does
    writer.varint(step * 2 + (repeats > 1 ? 1 : 0));
    if (repeats > 1) writer.varint(repeats);
  }
}

function readTimes(reader: ByteReader): number[] {
  const offsets: number[] = [];
  let offset = 0;
  for (let runs = reader.varint(); runs > 0; runs--) {
    const head = reader.varint();
    const step = Math.floor(head / 2);
    const repeats = head % 2 === 1 ? reader.varint() : 1;
    for (let i = 0; i < repeats; i++) {
      offset += step;
      offsets.push(offset);
    }
  }
  return offsets;
}
