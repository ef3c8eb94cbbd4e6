/**
 * A set of integers from 0 on, made for those that come mostly in ascending order: times of readings, numbers that a
 * device counts up. In order an addition is a push; out of order it moves one chunk, however many there are.
 */

/** A chunk that grew to twice this is cut in two. */
const CHUNK = 1024;

export class SortedIntegers implements Iterable<number> {
  /** Ascending, and all below `#last`; most sets never need them. */
  #chunks: number[][] | undefined;
  /** Never empty. */
  #last: number[];
  #size = 1;

  constructor(first: number) {
    this.#last = [first];
  }

  get size(): number {
    return this.#size;
  }

  /** False where it is there already. */
  add(value: number): boolean {
    const last = this.#last;
    if (value > last[last.length - 1]!) {
      if (last.length < CHUNK) last.push(value);
      else {
        this.#chunks ??= [];
        this.#chunks.push(last);
        this.#last = [value];
      }
    } else if (!this.#insert(value)) return false;
    this.#size++;
    return true;
  }

  *[Symbol.iterator](): Iterator<number> {
    for (const chunk of this.#chunks ?? []) yield* chunk;
    yield* this.#last;
  }

  #insert(value: number): boolean {
    const chunks = this.#chunks;
    if (chunks === undefined || value >= this.#last[0]!) {
      if (!insert(this.#last, value)) return false;
      if (this.#last.length < 2 * CHUNK) return true;
      this.#chunks ??= [];
      this.#chunks.push(this.#last);
      this.#last = this.#last.splice(CHUNK);
      return true;
    }
    const index = Math.max(0, position(chunks.length, (at) => chunks[at]![0]! <= value) - 1);
    const chunk = chunks[index]!;
    if (!insert(chunk, value)) return false;
    if (chunk.length >= 2 * CHUNK) chunks.splice(index + 1, 0, chunk.splice(CHUNK));
    return true;
  }
}

function insert(values: number[], value: number): boolean {
  const at = position(values.length, (index) => values[index]! < value);
  if (values[at] === value) return false;
  values.splice(at, 0, value);
  return true;
}

/** How many come before: `isBefore` holds up to there and nowhere after. */
function position(length: number, isBefore: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
