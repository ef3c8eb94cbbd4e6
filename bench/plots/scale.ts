/** From values to pixels, with ticks where people expect them. Pure. */

export type ScaleKind = 'linear' | 'log';

export interface Scale {
  at(value: number): number;
  readonly ticks: readonly number[];
}

/** About this many ticks of a linear scale. */
const TICKS = 5;

/** From 0 (linear), or from the step below the least value (log), to the step above the greatest. */
export function scaleOf(kind: ScaleKind, values: readonly number[], from: number, to: number): Scale {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const ticks = kind === 'linear' ? linearTicks(most) : logTicks(least, most);
  const bend = kind === 'linear' ? (value: number) => value : Math.log10;
  const [low, high] = [bend(ticks[0]!), bend(ticks.at(-1)!)];
  return { ticks, at: (value) => from + ((bend(value) - low) / (high - low)) * (to - from) };
}

function linearTicks(most: number): number[] {
  const rough = most / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough)!;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** 1, 2, 5, 10 …; only powers of ten where these would be too many. */
function logTicks(least: number, most: number): number[] {
  const steps = most / least > 300 ? [1] : [1, 2, 5];
  const all = Array.from({ length: 30 }, (_, i) => i - 10).flatMap((power) => {
    return steps.map((step) => Number((step * 10 ** power).toPrecision(12)));
  });
  const first = all.findLastIndex((tick) => tick <= least);
  const last = all.findIndex((tick) => tick >= most);
  return all.slice(first, last + 1);
}

/** 0.5, 20, 5 k, 1 M */
export function tickText(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (value >= 1e3) return `${Number((value / 1e3).toPrecision(3))} k`;
  return String(Number(value.toPrecision(3)));
}
