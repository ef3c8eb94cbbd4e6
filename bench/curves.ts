/**
 * `npm run bench curves`: how costs grow with the rate, the number of series, the size of a batch and the number of devices.
 * Only by name, in about two minutes; writes the data of the plots in docs/, and draws them. `npm run bench plots` only draws.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { CALM, LIVELY, typicalWindows } from '../shared/typical.js';
import { folding } from './aggregate.js';
import { type Measured, measure, type Way } from './broker.js';
import { median, type Study } from './figures.js';
import { portOf, startGateway, startLoad } from './gateway.js';
import { machine } from './machine.js';
import { type LinesName, plotData, writePlots } from './plots/draw.js';
import type { Line, LinesPlot } from './plots/lines.js';
import { reportTimes } from './report.js';
import { Subject } from './subject.js';
import { bytesASummary } from './wire.js';

const CONNECTIONS = 1000;
/** The code is warm where it has been saturated before. */
const RATES = [undefined, 20_000, 10_000, 5000, 2000, 1000];
const SERIES = [500, 2000, 10_000, 40_000, 100_000];
const BATCHES = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const DEVICES = [10, 30, 100, 300, 1000];

type Curves = Omit<LinesPlot, 'measured'>;

export const curves: Study = {
  name: 'curves',
  about: 'costs by rate, series, batch and devices',
  async run({ dir }) {
    const measured = machine();
    const write = (name: LinesName, plot: Curves) => plotData(name, { ...plot, measured });
    write('aggregate-by-series', await aggregateBySeries());
    write('bytes-by-batch', bytesByBatch());
    write('report-by-devices', await reportByDevices(dir));
    write('cpu-by-rate', await cpuByRate(dir));
    writePlots();
  },
};

export const plots: Study = {
  name: 'plots',
  about: 'draws the plots in docs/ from their data',
  async run() {
    writePlots();
  },
};

async function cpuByRate(dir: string): Promise<Curves> {
  const gateway = await startGateway({ dir });
  const bare = await Subject.start(['build/bench/bare-aedes.js'], /"port"/);
  const load = await startLoad();
  try {
    for (const port of [gateway.port, portOf(bare)]) {
      await load.ask({ kind: 'connect', port, connections: CONNECTIONS, qos: 1 });
    }
    const sides = [gateway.agent, bare] as const;
    const lines: [number, number][][] = [[], []];
    for (const side of sides.keys()) await measure(sides[side]!, load, side, { seconds: 4, turns: 0 }); // warms up
    for (const perSecond of RATES) {
      const way: Way = { seconds: 2, turns: 3, ...(perSecond === undefined ? {} : { perSecond }) };
      const turns: [Measured[], Measured[]] = [[], []];
      for (let turn = 0; turn < way.turns; turn++) {
        for (const side of [0, 1] as const) turns[side].push(await measure(sides[side], load, side, way));
      }
      for (const side of [0, 1] as const) {
        const middle = (key: keyof Measured) => median(turns[side].map((one) => one[key]));
        lines[side]!.unshift([perSecond ?? Math.round(middle('perSecond')), rounded(middle('cpuUs'))]);
      }
    }
    return {
      title: 'CPU time of a message, 1,000 connections at QoS 1; the last point is saturated',
      x: { label: 'messages a second', scale: 'log' },
      y: { label: 'µs of CPU a message', scale: 'linear' },
      lines: [
        { name: 'the whole agent', tone: 'ours', points: lines[0]! },
        { name: 'bare aedes', tone: 'yardstick', points: lines[1]! },
      ],
    };
  } finally {
    await load.end();
    await bare.end();
    await gateway.stop();
  }
}

async function aggregateBySeries(): Promise<Curves> {
  const ours: [number, number][] = [];
  const welford: [number, number][] = [];
  await folding(SERIES[2]!, 2); // warms up
  for (const series of SERIES) {
    const { ns } = await folding(series, series < 50_000 ? 7 : 3);
    ours.push([series, rounded(ns.ours)]);
    welford.push([series, rounded(ns.yardstick)]);
  }
  return {
    title: 'Folding a value into its window: exact sums, repetitions, extremes, sketch',
    x: { label: 'series (metrics of all devices) at 1 Hz', scale: 'log' },
    y: { label: 'ns of CPU a value', scale: 'linear' },
    lines: [
      { name: 'Edgetally', tone: 'ours', points: ours },
      { name: 'Welford, not exact', tone: 'yardstick', points: welford },
    ],
  };
}

function bytesByBatch(): Curves {
  const all = BATCHES.map((devices) => ({
    devices,
    calm: bytesASummary(typicalWindows({ sensors: CALM, devices })),
    lively: bytesASummary(typicalWindows({ sensors: LIVELY, devices })),
  }));
  const line = (name: string, tone: Line['tone'], of: (one: (typeof all)[number]) => number): Line => {
    return { name, tone, points: all.map((one) => [one.devices, rounded(of(one))]) };
  };
  return {
    title: 'Bytes of a metric’s summary on the wire, a minute at 1 Hz, with its sketch',
    x: { label: 'devices (of five metrics) in a batch', scale: 'log' },
    y: { label: 'bytes a summary', scale: 'log' },
    lines: [
      line('lively, JSON + deflate', 'yardstick', ({ lively }) => lively.jsonFull),
      line('calm, JSON + deflate', 'yardstick', ({ calm }) => calm.jsonFull),
      line('lively (a machine)', 'second', ({ lively }) => lively.full),
      line('calm (a room)', 'ours', ({ calm }) => calm.full),
    ],
  };
}

async function reportByDevices(dir: string): Promise<Curves> {
  const times: (Awaited<ReturnType<typeof reportTimes>> & { readonly devices: number })[] = [];
  for (const devices of [DEVICES[0]!, ...DEVICES]) {
    const own = mkdtempSync(join(dir, 'report-'));
    times.push({ devices, ...(await reportTimes(own, devices)) });
  }
  times.shift(); // warmed up
  const line = (name: string, tone: Line['tone'], of: (one: (typeof times)[number]) => number): Line => {
    return { name, tone, points: times.map((one) => [one.devices, Number(of(one).toPrecision(3))]) };
  };
  return {
    title: 'A report over a year: ours from roll-ups, exact, with quantiles; SQL sums plain doubles',
    x: { label: 'devices of five metrics, 365 days each', scale: 'log' },
    y: { label: 'ms', scale: 'log' },
    lines: [
      line('SQL: all by day', 'yardstick', ({ year }) => year.yardstick),
      line('all by day', 'ours', ({ year }) => year.ours),
      line('one series, one day', 'second', ({ series }) => series.ours),
      line('SQL: one series, one day', 'yardstick', ({ series }) => series.yardstick),
    ],
  };
}

const rounded = (value: number) => Number(value.toPrecision(3));
