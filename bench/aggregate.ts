/**
 * Folding readings into windows: ns for each metric, with recognising repetitions and the sketch; bytes for each series that
 * has a window open and is idle. Yardstick: Welford's update of mean and variance in rows of a Float64Array, which is not
 * exact, knows no repetition, and has no extremes, times or quantiles.
 */
import { Aggregator, type SavedWindows } from '../agent/aggregate/aggregator.js';
import { type Block, type BlockReading, emptyTally, type Shape } from '../agent/block.js';
import { cpuNs, type Figure, inTurns, type Stage } from './figures.js';

const METRICS = 5;
const SHAPE: Shape = { windowMs: 60_000, latenessMs: 10_000, metrics: [1, 2, 3, 4, 5], lane: '' };
const READINGS = 60;
const BLOCK = 1000;
const START = { steadyMs: 0, trustedMs: 0 };
/** Nothing is saved: every window is new. */
const NOTHING_SAVED: SavedWindows = {
  find: () => undefined,
  lengthsIn: () => [],
  partOf: () => 1,
};

export const aggregate: Stage = {
  name: 'aggregate',
  about: 'readings of five metrics at 1 Hz into one-minute windows',
  ci: true,
  async run({ ci }) {
    if (ci) return speed(10_000, '≤ 60 ns', 9);
    const memory = idle(10_000); // first, on a clean heap
    return [...(await speed(10_000, '≤ 60 ns', 7)), ...(await speed(100_000, '≤ 150 ns', 3)), memory];
  },
};

/** ns for each metric, in turns with Welford; and the last aggregator, with its windows open. */
export async function folding(series: number, turns: number) {
  const devices = series / METRICS;
  const blocks = blocksOf(devices);
  const count = devices * READINGS * METRICS;
  let aggregator!: Aggregator;
  const ours = () => {
    aggregator = new Aggregator(NOTHING_SAVED);
    return cpuNs(count, () => {
      for (const [i, block] of blocks.entries()) aggregator.apply(block, i + 1, START);
    });
  };
  const welford = () => cpuNs(count, () => welfordAll(blocks, devices));
  return { ns: await inTurns(turns, ours, welford), aggregator, blocks: blocks.length };
}

async function speed(series: number, target: string, turns: number): Promise<Figure[]> {
  const { ns, aggregator, blocks } = await folding(series, turns);
  const saving = cpuNs(series, () => {
    for (const window of aggregator.neededBy(Number.MAX_SAFE_INTEGER)) {
      aggregator.save(window, blocks);
      aggregator.saved(window);
    }
  });
  const of = `${series.toLocaleString('en').replaceAll(',', ' ')} series`;
  return [
    {
      name: `a metric, ${of}`,
      unit: 'ns',
      ours: ns.ours,
      yardstick: { is: 'Welford', value: ns.yardstick },
      ratio: ns.ratio,
      better: 'less',
      target,
      cpuUs: ns.ours / 1000,
      gate: true,
    },
    { name: `closing a metric’s window, ${of}`, unit: 'ns', ours: saving, better: 'less', cpuUs: saving / 1000 },
  ];
}

/** A minute of every device, devices in another order each second, as they would come. */
function blocksOf(devices: number): Block[] {
  const blocks: Block[] = [];
  let readings: BlockReading[] = [];
  const order = Array.from({ length: devices }, (_, i) => i + 1);
  let random = 1;
  for (let second = 0; second < READINGS; second++) {
    for (let i = devices - 1; i > 0; i--) {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
      const j = random % (i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    for (const device of order) {
      const swing = Math.sin(device + second / 10);
      readings.push({
        device,
        shape: SHAPE,
        timeUs: (second * 1000 + (device % 1000)) * 1000,
        recordId: undefined,
        values: [
          Math.round(214 + 3 * swing) / 10,
          Math.round(450 + 9 * swing) / 10,
          Math.round(101_320 + 30 * swing) / 100,
          Math.round(620 + 12 * swing),
          Math.round(3301 + 9 * swing) / 1000,
        ],
      });
      if (readings.length < BLOCK) continue;
      blocks.push({ readings, tally: emptyTally() });
      readings = [];
    }
  }
  blocks.push({ readings, tally: emptyTally() });
  return blocks;
}

const STRIDE = 3; // n, mean, M2

function welfordAll(blocks: readonly Block[], devices: number): void {
  const rows = new Float64Array((devices + 1) * METRICS * STRIDE);
  for (const { readings } of blocks) {
    for (const { device, values } of readings) {
      let at = device * METRICS * STRIDE;
      for (let i = 0; i < METRICS; i++, at += STRIDE) {
        const value = values[i]!;
        const n = rows[at]! + 1;
        rows[at] = n;
        const delta = value - rows[at + 1]!;
        const mean = rows[at + 1]! + delta / n;
        rows[at + 1] = mean;
        rows[at + 2]! += delta * (value - mean);
      }
    }
  }
}

/** Memory of open windows with a minute's readings each, after the garbage is gone. */
function idle(series: number): Figure {
  const blocks = blocksOf(series / METRICS);
  const aggregator = new Aggregator(NOTHING_SAVED);
  const before = memory();
  for (const [i, block] of blocks.entries()) aggregator.apply(block, i + 1, START);
  const bytes = (memory() - before) / series;
  blocks.length = 0; // alive up to here
  if (aggregator.open !== series / METRICS) throw new Error('windows are missing');
  return { name: 'memory of an idle series', unit: 'B', ours: bytes, better: 'less', target: '≤ 700 B' };
}

function memory(): number {
  for (let i = 0; i < 3; i++) globalThis.gc!();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
