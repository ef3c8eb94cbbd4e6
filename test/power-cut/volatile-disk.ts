/**
 * A disk with a write cache that forgets: a write is done when it is in the cache, and safe after the next flush. When the
 * power goes, each sector that was written since the last flush has its new content or its old one, as the dice say, so
 * writes come to be reordered and torn. A write in sectors (512 bytes) is whole.
 */
import type { Dice } from '../dice.js';

const SECTOR = 512;

export class VolatileDisk {
  readonly #durable: Buffer;
  readonly #cached: Buffer;
  readonly #dirty = new Set<number>();
  #dead = false;
  #atNext: (() => void) | undefined;

  /** `image` is taken over. */
  constructor(image: Buffer) {
    this.#durable = image;
    this.#cached = Buffer.from(image);
  }

  get bytes(): number {
    return this.#durable.length;
  }

  /** Without power nothing is answered any more. */
  get dead(): boolean {
    return this.#dead;
  }

  read(offset: number, bytes: number): Buffer {
    return this.#cached.subarray(offset, offset + bytes);
  }

  write(offset: number, data: Buffer): void {
    this.#strike();
    if (this.#dead) return;
    data.copy(this.#cached, offset);
    for (let sector = offset / SECTOR; sector < (offset + data.length) / SECTOR; sector++) this.#dirty.add(sector);
  }

  flush(): void {
    this.#strike();
    if (this.#dead) return;
    for (const sector of this.#dirty) this.#keep(sector);
    this.#dirty.clear();
  }

  /** What is left without power. */
  get image(): Buffer {
    return this.#durable;
  }

  /** The power goes. */
  cut(dice: Dice): void {
    this.#dead = true;
    // mostly nothing or everything, as disks do, and all between
    const survival = dice.pick([0, 1, dice.below(1000) / 1000]);
    for (const sector of this.#dirty) if (dice.chance(survival)) this.#keep(sector);
    this.#dirty.clear();
  }

  /** The power goes at the next write or flush, before it is done; resolves then. */
  cutAtNext(dice: Dice): Promise<void> {
    return new Promise((resolve) => {
      this.#atNext = () => {
        this.cut(dice);
        resolve();
      };
    });
  }

  #strike(): void {
    const strike = this.#atNext;
    this.#atNext = undefined;
    strike?.();
  }

  #keep(sector: number): void {
    this.#cached.copy(this.#durable, sector * SECTOR, sector * SECTOR, (sector + 1) * SECTOR);
  }
}
