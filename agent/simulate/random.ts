/**
 * Random numbers that depend on nothing but a path of integers (seed, fleet, device, round …): the same path gives the
 * same numbers in any run, in any order of asking. Integer arithmetic only, so every platform agrees.
 */

/** The next number in [0, 1). */
export type Random = () => number;

export function randomOf(...path: readonly number[]): Random {
  let state = 0x9e3779b9;
  for (const step of path) state = mix(state ^ mix((step | 0) + 0x7f4a7c15) ^ mix(Math.trunc(step / 2 ** 32)));
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    return mix(state) / 2 ** 32;
  };
}

/** The finalizer of murmur3: every input bit reaches every output bit. */
function mix(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Uniform in [low, high). */
export function between(random: Random, low: number, high: number): number {
  return low + (high - low) * random();
}

/** Bell-shaped around 0 with a standard deviation of 1, within ±3.5: the sum of four uniform numbers. */
export function bell(random: Random): number {
  return (random() + random() + random() + random() - 2) * Math.sqrt(3);
}
