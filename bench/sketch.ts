/**
 * The quantile sketch: ns for each value added and for each pair of minutes merged. Yardstick: DDSketch as its makers
 * publish it, with the same stated error of 1 %.
 */
import { DDSketch } from '@datadog/sketches-js';
import { Sketches } from '../agent/aggregate/sketches.js';
import { mergeSketches, sketchOf } from '../shared/sketch.js';
import { cpuNs, type Figure, inTurns, type Stage } from './figures.js';

const SERIES = 1000;
const VALUES = 60;
const THEIRS = { relativeAccuracy: 0.01 };

export const sketch: Stage = {
  name: 'sketch',
  about: 'quantile sketches of a minute at 1 Hz, relative error ≤ 1 %',
  ci: true,
  async run({ ci }) {
    const turns = ci ? 5 : 15;
    const figures: Figure[] = [];
    for (const [kind, spread] of [
      ['calm', 0.01],
      ['lively', 0.25],
    ] as const) {
      const series = seriesOf(spread);
      figures.push(
        await figure(`a value added, ${kind}`, turns, SERIES * VALUES, addOurs(series), addTheirs(series)),
        await figure(`two minutes merged, ${kind}`, turns, SERIES / 2, mergeOurs(series), mergeTheirs(series)),
      );
    }
    return figures;
  },
};

async function figure(
  name: string,
  turns: number,
  count: number,
  ours: () => void,
  theirs: () => void,
): Promise<Figure> {
  const ns = await inTurns(
    turns,
    () => cpuNs(count, ours, 40),
    () => cpuNs(count, theirs, 40),
  );
  const yardstick = { is: 'sketches-js', value: ns.yardstick };
  return { name, unit: 'ns', ours: ns.ours, yardstick, ratio: ns.ratio, better: 'less', gate: true };
}

/** A minute of each of some sensors, whose values stay within `spread` of their mean. */
function seriesOf(spread: number): number[][] {
  let random = 1;
  const next = () => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    return random / 2 ** 32;
  };
  return Array.from({ length: SERIES }, () => {
    const mean = 5 + 500 * next();
    return Array.from({ length: VALUES }, () => Math.round(100 * mean * (1 + spread * (2 * next() - 1))) / 100);
  });
}

/** Value by value over all series, as readings come. */
function addOurs(series: readonly number[][]): () => void {
  return () => {
    const sketches = new Sketches();
    for (let s = 0; s < SERIES; s++) sketches.allocate(s);
    for (let i = 0; i < VALUES; i++) for (let s = 0; s < SERIES; s++) sketches.add(s, series[s]![i]!);
  };
}

function addTheirs(series: readonly number[][]): () => void {
  return () => {
    const sketches = series.map(() => new DDSketch(THEIRS));
    for (let i = 0; i < VALUES; i++) for (let s = 0; s < SERIES; s++) sketches[s]!.accept(series[s]![i]!);
  };
}

function mergeOurs(series: readonly number[][]): () => void {
  const sketches = series.map((values) => sketchOf(values));
  return () => {
    for (let s = 0; s < SERIES; s += 2) mergeSketches(sketches[s]!, sketches[s + 1]!);
  };
}

function mergeTheirs(series: readonly number[][]): () => void {
  const sketches = series.map((values) => {
    const one = new DDSketch(THEIRS);
    for (const value of values) one.accept(value);
    return one;
  });
  return () => {
    // it merges in place: the same bins are filled each time, which is kind to it
    for (let s = 0; s < SERIES; s += 2) sketches[s]!.merge(sketches[s + 1]!);
  };
}
