/**
 * Names for what a session writes (`WindowKey.part`), such that no other session ever writes under them, not even one of a
 * copy of this database. A card restored from an old image knows its windows as they were then, while the cloud may have
 * more of them; so windows of an earlier session are frozen, and what comes for them is a part of its own.
 *
 * Promises: the name of a window follows from the block that changed it first and from what is on disk, so recovery finds
 * the name that it had (and so does a copy, which then writes no second window but the same one again); a name is not used
 * for a window that had it and was forgotten: when a window of the present name is purged, or gives up the memory of what
 * it counted, the blocks from then on get another name.
 */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { nameSession, openingOf } from '../../shared/session.js';
import type { Meta } from './meta.js';

/** A name, and the first block whose windows get it; ascending. */
const namesSchema = z.array(z.object({ fromBlock: z.int(), part: z.int() }));
type Names = z.infer<typeof namesSchema>;

export class PartNames {
  /** This opening of the database. */
  readonly session: number;
  readonly #meta: Meta;
  /** Of the session that wrote the journal. */
  #names: Names;

  constructor(meta: Meta, readOnly: boolean) {
    const last = meta.number('session');
    this.session = readOnly ? last : nameSession(openingOf(last) + 1, random());
    this.#meta = meta;
    this.#names = namesSchema.parse(JSON.parse(meta.text('part_names') ?? '[]'));
  }

  /** Writes down that there was this session, inside a transaction. */
  note(): void {
    this.#meta.set('session', this.session);
  }

  /** The name of windows that are made now; undefined before the first session has begun. */
  get present(): number | undefined {
    return this.#names.at(-1)?.part;
  }

  /** Whether a window belongs to the session that the journal is of, and so may grow. */
  isOurs(part: number): boolean {
    const { present } = this;
    return present !== undefined && openingOf(part) === openingOf(present);
  }

  /** The name of a window that was first changed by this block. */
  partOf(sequence: number): number {
    const named = this.#names.findLast(({ fromBlock }) => fromBlock <= sequence);
    if (named === undefined) throw new RangeError(`no name for windows of block ${sequence}`);
    return named.part;
  }

  /** From the next block on windows are of this session. Writes inside a transaction; `adopt` after its commit. */
  begin(nextBlock: number): Names {
    return this.#save([{ fromBlock: nextBlock, part: this.session }]);
  }

  /** Another name from the next block on, and names that no block of the journal has are forgotten; as `begin`. */
  renew(oldestBlock: number, nextBlock: number): Names {
    const inUse = this.#names.filter((_, i) => (this.#names[i + 1]?.fromBlock ?? nextBlock) > oldestBlock);
    return this.#save([...inUse, { fromBlock: nextBlock, part: this.fresh() }]);
  }

  /** A name for one window, of the session that the journal is of. */
  fresh(): number {
    return nameSession(openingOf(this.present ?? this.session), random());
  }

  adopt(names: Names): void {
    this.#names = names;
  }

  #save(names: Names): Names {
    this.#meta.set('part_names', JSON.stringify(names));
    return names;
  }
}

function random(): number {
  return randomInt(2 ** 32);
}
