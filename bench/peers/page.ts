/** bench/peers.md, as `npm run bench peers` writes it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../test/needs.js';
import { shown, tableRows } from '../figures.js';
import { machine } from '../machine.js';
import { plotData, writePlots } from '../plots/draw.js';
import type { PeerFigures } from './measure.js';
import type { Balance } from './upstream.js';

const HEADER = [
  'gateway',
  'version',
  'readings per CPU second',
  'of which the gateway itself',
  'RSS MB',
  'bytes up a reading',
  'undisturbed: missing, doubled',
  'gateway killed: missing, doubled',
  'all killed: missing, doubled',
];

export function writePage(figures: readonly PeerFigures[], missing: ReadonlyMap<string, string>): void {
  const rows = figures.map((one) => [
    one.name,
    one.version,
    shown(one.readingsPerCpuSecond),
    `${Math.round(one.gatewayShare * 100)} %`,
    shown(one.rssBytes / 1e6),
    shown(one.bytesPerReading),
    balance(one.undisturbed),
    balance(one.gatewayKilled),
    balance(one.allKilled),
  ]);
  const measured = machine();
  const table = tableRows(HEADER, rows);
  const { made } = figures[0]!.undisturbed;
  const killed = figures[0]!.gatewayKilled.made;
  const absent = [...missing].map(([name, why]) => `- not measured: ${name} (${why})`);
  const page = `# Gateways side by side

<!-- Written by \`npm run bench peers\`; not to be edited. What is configured how, and what it means: bench/peers/README.md. -->

${measured}. Of ${shown(made)} readings undisturbed, and of ${shown(killed)} in each of the runs with kill -9, twice.

${table}

${[...figures.map(({ name, tells }) => `- ${name} tells of each metric and window: ${tells}`), ...absent].join('\n')}
`;
  writeFileSync(join(ROOT, 'bench/peers.md'), page);
  plotData('peers', { measured, peers: figures });
  writePlots();
  console.log(`\npeers: gateways side by side\n${table}`);
}

const balance = ({ missing, doubled }: Balance) => `${missing}, ${doubled}`;
