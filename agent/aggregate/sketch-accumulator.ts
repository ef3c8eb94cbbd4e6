/** The quantile sketch of one open (window, metric): a short sorted list of bins, since sensors stay in a few. */
import { binOf, type Sketch } from '../../shared/sketch.js';

export class SketchAccumulator {
  #keys: Int32Array = new Int32Array(4);
  #counts: Float64Array = new Float64Array(4);
  #used = 0;
  /** Where the last value went: the next one often goes there too. */
  #hit = 0;

  add(value: number): void {
    const key = binOf(value);
    const hit = this.#hit;
    if (this.#used > 0 && this.#keys[hit] === key) {
      this.#counts[hit]! += 1;
      return;
    }
    const at = this.#lowerBound(key);
    this.#hit = at;
    if (at < this.#used && this.#keys[at] === key) this.#counts[at]! += 1;
    else this.#insert(at, key);
  }

  sketch(): Sketch {
    return { keys: this.#keys.slice(0, this.#used), counts: this.#counts.slice(0, this.#used) };
  }

  load(sketch: Sketch): void {
    this.#keys = sketch.keys.slice();
    this.#counts = sketch.counts.slice();
    this.#used = sketch.keys.length;
    this.#hit = 0;
  }

  /** First position whose key is not below `key`. */
  #lowerBound(key: number): number {
    let low = 0;
    let high = this.#used;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(at: number, key: number): void {
    if (this.#used === this.#keys.length) this.#grow();
    this.#keys.copyWithin(at + 1, at, this.#used);
    this.#counts.copyWithin(at + 1, at, this.#used);
    this.#keys[at] = key;
    this.#counts[at] = 1;
    this.#used++;
  }

  #grow(): void {
    const keys = new Int32Array(Math.max(4, this.#keys.length * 2));
    const counts = new Float64Array(keys.length);
    keys.set(this.#keys);
    counts.set(this.#counts);
    this.#keys = keys;
    this.#counts = counts;
  }
}
