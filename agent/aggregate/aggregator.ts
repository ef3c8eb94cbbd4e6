/**
 * Folds blocks of readings into windows. Pure: time is an argument, and a window that is not in memory is asked of a
 * function. A window is in memory from its first unsaved reading until it is saved; after that the buffer has it, and a
 * late reading brings it back.
 *
 * Promises: the content of a window depends only on the set of readings applied, never on their order or repetition;
 * applying a block to a window that already holds it (`folded`) changes nothing.
 */
import { windowStartMs } from '../../shared/window.js';
import type { Block, BlockReading } from '../block.js';
import { greatestCommonDivisor } from '../common-divisor.js';
import type { StoredInterval, WindowId, WindowSave } from '../stored-window.js';
import { Accumulators } from './accumulators.js';
import { closingTime, type Moment } from './closing.js';
import { MemoryUse } from './memory-use.js';
import { OpenWindow } from './open-window.js';
import { RawReadings } from './raw-readings.js';

/** The saved windows, as this stage sees them. */
export interface SavedWindows {
  /** What is saved of the device's window that holds the instant, whatever its length. */
  find(device: number, timeUs: number): StoredInterval | undefined;
  /** Lengths of the device's saved windows that overlap `[startMs, endMs)`. */
  lengthsIn(device: number, startMs: number, endMs: number): number[];
  /** The part of a window that is not saved and was first changed by this block: see `WindowKey.part`. */
  partOf(sequence: number): number;
}

export interface Applied {
  counted: number;
  duplicate: number;
}

export interface UnsavedState {
  readonly windows: number;
  readonly readings: number;
  /** Start of the oldest window, ms; null where there is none. */
  readonly oldestMs: number | null;
}

/** Granularity of closing, ms. */
const TICK_MS = 100;

export class Aggregator {
  readonly #saved: SavedWindows;
  readonly #accumulators = new Accumulators();
  readonly #raw = new RawReadings();
  /** By device, then by start and length. */
  readonly #windows = new Map<number, Map<string, OpenWindow>>();
  /** The window each device wrote to last. */
  readonly #current: (OpenWindow | undefined)[] = [];
  /** By tick of closing. */
  readonly #closing = new Map<number, Set<OpenWindow>>();
  /** How many unsaved windows were first changed by a block. */
  readonly #dirtySince = new Map<number, number>();
  readonly #scales: number[] = [];
  /** Lengths of the windows that were in memory. */
  readonly #lengths = new Set<number>();
  #count = 0;
  readonly #memory = new MemoryUse();

  constructor(saved: SavedWindows) {
    this.#saved = saved;
  }

  /** Windows in memory. */
  get open(): number {
    return this.#count;
  }

  /** What they take, about. */
  get bytes(): number {
    return this.#memory.bytes;
  }

  /** Those of them that changed since they were saved. */
  get unsaved(): number {
    let count = 0;
    for (const windows of this.#dirtySince.values()) count += windows;
    return count;
  }

  /** What was counted and is in no saved window yet. */
  unsavedState(): UnsavedState {
    let readings = 0;
    let oldestMs: number | null = null;
    for (const windows of this.#closing.values()) {
      for (const { gained, startMs } of windows) {
        readings += gained;
        if (oldestMs === null || startMs < oldestMs) oldestMs = startMs;
      }
    }
    return { windows: this.unsaved, readings, oldestMs };
  }

  /** The oldest block that unsaved windows need, leaving out `saving`; undefined where none does. */
  oldestNeeded(saving: readonly OpenWindow[] = []): number | undefined {
    const leaving = new Map<number, number>();
    for (const { dirtySince } of saving) leaving.set(dirtySince, (leaving.get(dirtySince) ?? 0) + 1);
    let oldest: number | undefined;
    for (const [sequence, windows] of this.#dirtySince) {
      if (windows === leaving.get(sequence)) continue;
      if (oldest === undefined || sequence < oldest) oldest = sequence;
    }
    return oldest;
  }

  /** Brings the windows of a block into memory: applying it asks nobody then, and cannot fail half-way. */
  prepare({ readings }: Block): void {
    for (const { device, timeUs, shape } of readings) this.#windowOf(device, timeUs, shape.windowMs);
  }

  /** Applies block number `sequence`; `now` only decides when windows close. */
  apply(block: Block, sequence: number, now: Moment): Applied {
    const applied: Applied = { counted: 0, duplicate: 0 };
    for (const reading of block.readings) this.#reading(reading, sequence, now, applied);
    return applied;
  }

  #reading(reading: BlockReading, sequence: number, now: Moment, applied: Applied): void {
    const { shape, timeUs } = reading;
    const window = this.#windowOf(reading.device, timeUs, shape.windowMs);
    if (window.folded >= sequence) return;
    window.touched = sequence;
    if (!window.add(reading, this.#accumulators, this.#raw, this.#scales)) {
      applied.duplicate++;
      return;
    }
    applied.counted++;
    this.#memory.counted(window, reading);
    if (window.dirtySince === 0) this.#markDirty(window, sequence, closingTime(window, timeUs, shape.latenessMs, now));
  }

  /**
   * The one window of the device that holds the instant. Windows of a device never overlap, even when the configured
   * length changed: what was counted in a window is known there, and nowhere else.
   */
  #windowOf(device: number, timeUs: number, lengthMs: number): OpenWindow {
    const current = this.#current[device];
    if (current?.contains(timeUs / 1000)) return current;
    const window = this.#inMemory(device, timeUs) ?? this.#open(this.#fetch(device, timeUs, lengthMs));
    this.#current[device] = window;
    return window;
  }

  #inMemory(device: number, timeUs: number): OpenWindow | undefined {
    const windows = this.#windows.get(device);
    if (windows === undefined) return undefined;
    for (const length of this.#lengths) {
      const window = windows.get(keyOf(windowStartMs(timeUs, length), length));
      if (window !== undefined) return window;
    }
    return undefined;
  }

  #fetch(device: number, timeUs: number, lengthMs: number): OpenWindow {
    const saved = this.#saved.find(device, timeUs);
    if (saved !== undefined) return OpenWindow.restore(saved, this.#accumulators);
    const length = this.#freeLength(device, timeUs, lengthMs);
    return new OpenWindow(device, windowStartMs(timeUs, length), length);
  }

  /**
   * The configured length, or a shorter one where windows of another length are in the way: boundaries of all lengths are
   * multiples of their greatest common divisor, so a window of that length lies within one of them or in none.
   */
  #freeLength(device: number, timeUs: number, lengthMs: number): number {
    const startMs = windowStartMs(timeUs, lengthMs);
    const endMs = startMs + lengthMs;
    const lengths = this.#saved.lengthsIn(device, startMs, endMs);
    if (this.#lengths.size > 1 || !this.#lengths.has(lengthMs)) {
      for (const window of this.#windows.get(device)?.values() ?? []) {
        if (window.startMs < endMs && window.startMs + window.lengthMs > startMs) lengths.push(window.lengthMs);
      }
    }
    return lengths.reduce(greatestCommonDivisor, lengthMs);
  }

  #open(window: OpenWindow): OpenWindow {
    let windows = this.#windows.get(window.device);
    if (windows === undefined) {
      windows = new Map();
      this.#windows.set(window.device, windows);
    }
    windows.set(keyOf(window.startMs, window.lengthMs), window);
    this.#lengths.add(window.lengthMs);
    this.#count++;
    this.#memory.opened(window);
    return window;
  }

  #markDirty(window: OpenWindow, sequence: number, closesMs: number): void {
    window.dirtySince = sequence;
    if (window.part === 0) window.part = this.#saved.partOf(sequence);
    this.#dirtySince.set(sequence, (this.#dirtySince.get(sequence) ?? 0) + 1);
    window.closesMs = closesMs;
    const tick = Math.ceil(window.closesMs / TICK_MS);
    const closing = this.#closing.get(tick);
    if (closing === undefined) this.#closing.set(tick, new Set([window]));
    else closing.add(window);
  }

  /** Unsaved windows whose time has come. */
  due(steadyMs: number): OpenWindow[] {
    const due: OpenWindow[] = [];
    for (const [tick, windows] of this.#closing) if (tick * TICK_MS <= steadyMs) due.push(...windows);
    return due;
  }

  /** Unsaved windows that need a block up to `sequence`. */
  neededBy(sequence: number): OpenWindow[] {
    const needed: OpenWindow[] = [];
    for (const windows of this.#closing.values()) {
      for (const window of windows) if (window.dirtySince <= sequence) needed.push(window);
    }
    return needed;
  }

  /** Whether a window of the device that overlaps the interval is in memory. */
  isOpen({ device, startMs, lengthMs }: Omit<WindowId, 'part'>): boolean {
    for (const window of this.#windows.get(device)?.values() ?? []) {
      if (window.startMs < startMs + lengthMs && window.startMs + window.lengthMs > startMs) return true;
    }
    return false;
  }

  /** What is to be stored of a window, as of block `sequence`. Call `saved` once that is done. */
  save(window: OpenWindow, sequence: number): WindowSave {
    return window.save(sequence, this.#accumulators, this.#scales);
  }

  /** The window is in the store: forget it here. */
  saved(window: OpenWindow): void {
    const dirty = this.#dirtySince.get(window.dirtySince);
    if (dirty === 1) this.#dirtySince.delete(window.dirtySince);
    else if (dirty !== undefined) this.#dirtySince.set(window.dirtySince, dirty - 1);
    const tick = Math.ceil(window.closesMs / TICK_MS);
    const closing = this.#closing.get(tick);
    closing?.delete(window);
    if (closing?.size === 0) this.#closing.delete(tick);
    this.#forget(window);
  }

  #forget(window: OpenWindow): void {
    for (let i = 0; i < window.metrics.length; i++) {
      this.#scales[window.metrics[i]!] = Math.min(15, this.#accumulators.scaleOf(window.rows[i]!));
    }
    window.free(this.#accumulators);
    const windows = this.#windows.get(window.device);
    windows?.delete(keyOf(window.startMs, window.lengthMs));
    if (windows?.size === 0) this.#windows.delete(window.device);
    if (this.#current[window.device] === window) this.#current[window.device] = undefined;
    this.#count--;
    this.#memory.forgotten(window);
  }

  /**
   * Forgets windows that were looked at (a repeated reading brings one back) but not changed, and only those that no
   * block from `oldestBlock` on is about: what is in memory is not purged, so that recovery knows a repetition as one.
   */
  dropClean(oldestBlock: number): void {
    for (const windows of this.#windows.values()) {
      for (const window of windows.values()) {
        if (window.dirtySince === 0 && window.touched < oldestBlock) this.#forget(window);
      }
    }
  }
}

function keyOf(startMs: number, lengthMs: number): string {
  return `${startMs}/${lengthMs}`;
}
