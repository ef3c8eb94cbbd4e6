/**
 * docs/plots/*.svg, drawn from the measured data beside them: so a plot can be drawn anew without measuring. Writes what has
 * changed and nothing else.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../test/needs.js';
import { shown } from '../figures.js';
import type { PeerFigures } from '../peers/measure.js';
import type { Balance } from '../peers/upstream.js';
import { type BarsPlot, barsPlot } from './bars.js';
import { type LinesPlot, linesPlot } from './lines.js';

const PLOTS = join(ROOT, 'docs/plots');
const LINES = ['cpu-by-rate', 'aggregate-by-series', 'bytes-by-batch', 'report-by-devices'] as const;

export type LinesName = (typeof LINES)[number];

export interface PeersData {
  readonly measured: string;
  readonly peers: readonly PeerFigures[];
}

/** By file name. */
export function drawPlots(): ReadonlyMap<string, string> {
  const lines = LINES.map((name) => [name, linesPlot(read<LinesPlot>(name))] as const);
  return new Map([...lines, ['peers', barsPlot(peersPlot(read<PeersData>('peers')))] as const]);
}

export function writePlots(): void {
  for (const [name, drawing] of drawPlots()) writeFileSync(join(PLOTS, `${name}.svg`), drawing);
}

export function plotData(name: LinesName | 'peers', data: LinesPlot | PeersData): void {
  // a point in one line: that is how one wants to see it change
  const text = JSON.stringify(data, undefined, 2).replaceAll(/\[\s+([-\d.e+]+),\s+([-\d.e+]+)\s+\]/g, '[$1, $2]');
  writeFileSync(join(PLOTS, `${name}.json`), `${text}\n`);
}

export function plotText(name: string): string {
  return readFileSync(join(PLOTS, `${name}.svg`), 'utf8');
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(join(PLOTS, `${name}.json`), 'utf8')) as T;
}

function peersPlot({ measured, peers }: PeersData): BarsPlot {
  const wrong = ({ missing, doubled }: Balance) => missing + doubled;
  const killed = peers.map(({ gatewayKilled, allKilled }) => wrong(gatewayKilled) + wrong(allKilled));
  const column = (label: string, scale: 'linear' | 'log', values: readonly number[]) => {
    return { label, scale, values, shown: values.map(shown) };
  };
  const made = peers[0]!.gatewayKilled.made + peers[0]!.allKilled.made;
  return {
    title: `Gateways side by side: the same readings and windows; four times kill -9 in ${shown(made)}`,
    rows: peers.map(({ name }) => ({ name, tone: name.startsWith('Edgetally') ? 'ours' : 'other' })),
    columns: [
      column(
        'readings per CPU second',
        'linear',
        peers.map((peer) => peer.readingsPerCpuSecond),
      ),
      column(
        'bytes up a reading (log)',
        'log',
        peers.map((peer) => peer.bytesPerReading),
      ),
      column('missing or doubled by kill -9', 'linear', killed),
    ],
    measured,
  };
}
