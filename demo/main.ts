/**
 * `npm start`: the whole of Edgetally on this machine, with simulated sensors and a link that fails, ending in a report
 * that is compared with a batch computation. Leaves nothing behind, however it ends.
 */

import { Command, InvalidArgumentError } from 'commander';
import { Screen } from './screen.js';
import { Show, type ShowOptions } from './show.js';
import { Stage, unless } from './stage.js';

interface Options extends ShowOptions {
  readonly port: number;
  readonly keep: boolean;
}

/** Exit code of a program that Ctrl-C ended. */
const INTERRUPTED = 130;

const program = new Command('npm start --')
  .description(
    'Edgetally on this machine: sensors, a gateway, a link that is cut, a cloud side, and a report that is checked',
  )
  .option('--seconds <n>', 'how long the sensors publish', numberFrom(3, 3600), 30)
  .option('--rate <n>', 'readings a second', numberFrom(1, 20_000), 600)
  .option('--seed <n>', 'same seed, same sensors', numberFrom(-(2 ** 31), 2 ** 31), 1)
  .option('--port <n>', 'port of the gateway for sensors; 0: any free one', numberFrom(0, 65_535), 0)
  .option('--keep', 'stay up until Ctrl-C', false)
  .showHelpAfterError();

function numberFrom(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`Expected a number from ${low} to ${high}.`);
  };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function run(options: Options, stage: Stage, signal: AbortSignal): Promise<number> {
  const show = new Show(stage, options);
  const screen = new Screen(process.stdout, show.view);
  screen.start();
  try {
    await stage.open({ sensorPort: options.port, windowSeconds: options.seconds >= 20 ? 5 : 1 }, signal);
    await show.run(signal);
  } finally {
    screen.stop();
  }
  const isEqual = await show.verify(print, signal);
  if (options.keep) {
    print(`\nStill running. Sensors publish to ${stage.sensorUrl}; Ctrl-C ends it.`);
    print(`  node build/agent/main.js status --config ${stage.agentConfigPath}`);
    print(`  node build/cloud/main.js report --database ${stage.database} --group-by device`);
    await unless(signal, new Promise<never>(() => undefined));
  }
  return isEqual ? 0 : 1;
}

/** Runs the demo, and ends it in order whatever happens; a second Ctrl-C ends it at once. */
async function main(): Promise<void> {
  const options = program.parse().opts<Options>();
  const stop = new AbortController();
  const stage = new Stage();
  process.once('exit', () => stage.destroy());
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(INTERRUPTED);
      stop.abort(new Error('interrupted'));
    });
  }
  process.stdout.on('error', () => stop.abort(new Error('nobody reads the output')));
  stage.failure.catch((error: Error) => stop.abort(error));
  try {
    process.exitCode = await run(options, stage, stop.signal);
  } catch (error) {
    const isInterrupted = stop.signal.reason instanceof Error && stop.signal.reason.message === 'interrupted';
    process.exitCode = isInterrupted ? INTERRUPTED : 1;
    const reason: unknown = stop.signal.reason ?? error;
    if (!isInterrupted)
      process.stderr.write(`\nThe demo failed: ${reason instanceof Error ? reason.message : reason}\n`);
  } finally {
    await stage.close();
  }
}

await main();
