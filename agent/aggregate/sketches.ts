/**
 * The quantile sketches of open (window, metric) pairs, by row. Sensors stay in a few neighbouring bins, so a row has a
 * short run of counts in a slab: adding a value is one addition, and an idle row takes 32 to 64 bytes. A row whose values
 * are far apart goes on as a sorted list of its own.
 */
import { binOf, type Sketch } from '../../shared/sketch.js';
import { SketchAccumulator } from './sketch-accumulator.js';

const STRIDE = 3;
const BASE = 0; // key of the first bin
const SPAN = 1; // bins; 0 of an empty row, NEVER_MATCHES of one with a list
const AT = 2; // where they begin in `#bins`

const NEVER_MATCHES = -1;
const LEAST_SPAN = 4;
const MAX_SPAN = 128;

export class Sketches {
  #rows = new Int32Array(STRIDE * 64);
  #bins = new Float64Array(LEAST_SPAN * 64);
  #used = 0;
  /** Runs that are not used, by length. */
  readonly #free = new Map<number, number[]>();
  readonly #lists: (SketchAccumulator | undefined)[] = [];

  /** An empty row. */
  allocate(row: number): void {
    if ((row + 1) * STRIDE > this.#rows.length) {
      const rows = new Int32Array(Math.max(this.#rows.length * 2, (row + 1) * STRIDE));
      rows.set(this.#rows);
      this.#rows = rows;
    }
    this.#rows[row * STRIDE + SPAN] = 0;
  }

  free(row: number): void {
    this.#release(row);
    this.#lists[row] = undefined;
  }

  add(row: number, value: number): void {
    const key = binOf(value);
    const rows = this.#rows;
    const at = row * STRIDE;
    const bin = key - rows[at + BASE]!;
    if (bin >= 0 && bin < rows[at + SPAN]!) this.#bins[rows[at + AT]! + bin]! += 1;
    else this.#addElsewhere(row, key, value);
  }

  sketch(row: number): Sketch {
    const list = this.#lists[row];
    if (list !== undefined) return list.sketch();
    const at = row * STRIDE;
    const first = this.#rows[at + AT]!;
    const bins = this.#bins.subarray(first, first + this.#rows[at + SPAN]!);
    let length = 0;
    for (let i = 0; i < bins.length; i++) if (bins[i] !== 0) length++;
    const keys = new Int32Array(length);
    const counts = new Float64Array(length);
    for (let i = 0, to = 0; i < bins.length; i++) {
      if (bins[i] === 0) continue;
      keys[to] = this.#rows[at + BASE]! + i;
      counts[to++] = bins[i]!;
    }
    return { keys, counts };
  }

  load(row: number, sketch: Sketch): void {
    this.free(row);
    const { keys, counts } = sketch;
    const least = keys[0]!;
    const span = keys[keys.length - 1]! - least + 1;
    if (span > MAX_SPAN) {
      this.#toList(row, sketch);
      return;
    }
    this.#reserve(row, least, span);
    const first = this.#rows[row * STRIDE + AT]! - this.#rows[row * STRIDE + BASE]!;
    for (let i = 0; i < keys.length; i++) this.#bins[first + keys[i]!] = counts[i]!;
  }

  /** A value beside the run of its row, if there is one. */
  #addElsewhere(row: number, key: number, value: number): void {
    const list = this.#lists[row];
    if (list !== undefined) {
      list.add(value);
      return;
    }
    if (this.#rows[row * STRIDE + SPAN] === 0) this.#reserve(row, key, 1);
    else {
      const { keys, counts } = this.sketch(row);
      const least = Math.min(key, keys[0]!);
      const span = Math.max(key, keys[keys.length - 1]!) - least + 1;
      if (span > MAX_SPAN) this.#toList(row, { keys, counts });
      else {
        this.#release(row);
        this.#reserve(row, least, span);
        const first = this.#rows[row * STRIDE + AT]! - this.#rows[row * STRIDE + BASE]!;
        for (let i = 0; i < keys.length; i++) this.#bins[first + keys[i]!] = counts[i]!;
      }
    }
    this.add(row, value);
  }

  #toList(row: number, sketch: Sketch): void {
    this.#release(row);
    this.#rows[row * STRIDE + SPAN] = NEVER_MATCHES;
    const list = new SketchAccumulator();
    list.load(sketch);
    this.#lists[row] = list;
  }

  /** Gives an empty row a run of zeros that holds these bins, and as much room below as above. */
  #reserve(row: number, least: number, span: number): void {
    const length = Math.max(LEAST_SPAN, 2 ** Math.ceil(Math.log2(span)));
    let at = this.#free.get(length)?.pop();
    if (at === undefined) {
      at = this.#used;
      this.#used += length;
      if (this.#used > this.#bins.length) {
        const bins = new Float64Array(this.#bins.length * 2);
        bins.set(this.#bins);
        this.#bins = bins;
      }
    } else this.#bins.fill(0, at, at + length);
    const rows = this.#rows;
    rows[row * STRIDE + BASE] = least - ((length - span) >> 1);
    rows[row * STRIDE + SPAN] = length;
    rows[row * STRIDE + AT] = at;
  }

  #release(row: number): void {
    const span = this.#rows[row * STRIDE + SPAN]!;
    this.#rows[row * STRIDE + SPAN] = 0;
    if (span <= 0) return;
    const free = this.#free.get(span);
    if (free === undefined) this.#free.set(span, [this.#rows[row * STRIDE + AT]!]);
    else free.push(this.#rows[row * STRIDE + AT]!);
  }
}
