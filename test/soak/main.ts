/**
 * `npm run torture -- --minutes 30`: everything at once, from a seed, until the balance sheet. Ends with 0 where all agrees,
 * with 1 where anything does not. See docs/guarantees.md.
 */
import { existsSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { MOSQUITTO } from '../mosquitto.js';
import { planOf } from './plan.js';
import { soak } from './soak.js';
import { FAKETIME, Stage } from './stage.js';

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly rate: number;
  readonly devices: number;
  readonly clock: boolean;
  readonly keep: boolean;
  readonly quiet: boolean;
}

const DIFFERENCES_SHOWN = 20;

const options = new Command('npm run torture --')
  .description('Gateways, cloud, brokers and links under everything that can go wrong at once, and a balance sheet')
  .option('--minutes <n>', 'how long the sensors publish', numberFrom(0.2, 10_000), 30)
  .option(
    '--seed <n>',
    'same seed, same readings and faults',
    numberFrom(0, 2 ** 31),
    Math.floor(Math.random() * 2 ** 31),
  )
  .option('--rate <n>', 'readings a second, of all gateways', numberFrom(10, 50_000), 2_000)
  .option('--devices <n>', 'devices of each gateway', numberFrom(10, 10_000), 200)
  .option('--clock', 'set the clocks of the gateways meanwhile (libfaketime)', false)
  .option('--keep', 'leave the databases where they are', false)
  .option('--quiet', 'print the balance sheet only', false)
  .showHelpAfterError()
  .parse()
  .opts<Options>();

function numberFrom(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`Expected a number from ${low} to ${high}.`);
  };
}

const startMs = Date.now();
const say = (text: string) => {
  if (!options.quiet) console.log(`${((Date.now() - startMs) / 1000).toFixed(1).padStart(7)} s  ${text}`);
};
const repeat = `npm run torture -- --minutes ${options.minutes} --seed ${options.seed} --rate ${options.rate} --devices ${options.devices}${options.clock ? ' --clock' : ''}`;

if (options.clock && !existsSync(FAKETIME)) throw new Error(`--clock needs ${FAKETIME} (Debian: faketime)`);
console.log(repeat);
const stage = await Stage.make(planOf(options, existsSync(MOSQUITTO)));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stage.stop().finally(() => process.exit(130)));
}
try {
  const { lines, wrong } = await soak(stage, say);
  console.log(`\n${lines.join('\n')}`);
  for (const problem of wrong.slice(0, DIFFERENCES_SHOWN)) console.log(`WRONG: ${problem}`);
  if (wrong.length > DIFFERENCES_SHOWN) console.log(`and ${wrong.length - DIFFERENCES_SHOWN} more`);
  console.log(wrong.length === 0 ? '\nthe books balance' : `\nagain: ${repeat}`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`${(error as Error).stack}\nagain: ${repeat}`);
  process.exitCode = 1;
} finally {
  await stage.stop(options.keep);
}
