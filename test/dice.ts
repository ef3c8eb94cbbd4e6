/** Chance for tests that can be played again: everything follows from the seed. */
import { randomOf } from '../agent/simulate/random.js';

export class Dice {
  readonly #random: () => number;

  constructor(...seed: readonly number[]) {
    this.#random = randomOf(...seed);
  }

  /** An integer from 0 to `limit` − 1. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Takes one out. */
  draw<T>(list: T[]): T {
    return list.splice(this.below(list.length), 1)[0]!;
  }

  shuffled<T>(list: readonly T[]): T[] {
    const left = [...list];
    return list.map(() => this.draw(left));
  }
}

/** How often, or which seed: a whole number of the environment. */
export function setting(name: string, usual: number): number {
  const text = process.env[name];
  if (text === undefined) return usual;
  if (!/^\d+$/.test(text)) throw new Error(`${name} is no number: ${text}`);
  return Number(text);
}
