/** `edgetally-agent simulate`: the command line of the simulator. Owns how options are written, nothing else. */

import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../../shared/config-fields.js';
import { EdgetallyError } from '../../shared/errors.js';
import { FLEET_NAMES } from './fleets.js';
import { runSimulation, type SimulationOptions, type SimulationProgress } from './simulation.js';

interface Flags {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly clientId: string;
  readonly qos: '0' | '1';
  readonly inFlight: number;
  readonly ackTimeout: number;
  readonly fleets: readonly string[];
  readonly devices: number;
  readonly rate: number;
  readonly duration?: number;
  readonly count?: number;
  readonly late: number;
  readonly lateBy: number;
  readonly duplicates: number;
  readonly seed: number;
  readonly speed: number;
  readonly start?: number;
  readonly record?: string;
  readonly quiet: boolean;
}

const GRACE_MS = 10_000;

export function simulateCommand(): Command {
  return new Command('simulate')
    .description('publish readings of simulated sensor fleets, to try out or load-test a gateway')
    .option('--url <url>', 'broker of the gateway (mqtt:// or mqtts://)', 'mqtt://127.0.0.1:1883')
    .option('--username <name>', 'user, where the broker asks for one')
    .addOption(new Option('--password <text>', 'password').env('EDGETALLY_SIMULATE_PASSWORD'))
    .option('--ca <file>', 'CA that signed the broker’s certificate (PEM)')
    .option('--cert <file>', 'client certificate (PEM)')
    .option('--key <file>', 'private key of the client certificate (PEM)')
    .option('--client-id <name>', 'client id; each connection adds -<fleet>', `simulator-${process.pid}`)
    .addOption(new Option('--qos <level>', 'quality of service').choices(['0', '1']).default('1'))
    .option('--in-flight <n>', 'most messages without PUBACK on a connection', positiveInteger, 500)
    .addOption(
      new Option('--ack-timeout <time>', 'without a PUBACK for so long, reconnect and send again')
        .argParser(durationMs)
        .default(30_000, '30s'),
    )
    .addOption(
      new Option('--fleets <names>', 'which fleets, separated by commas')
        .argParser((text) => text.split(','))
        .default(FLEET_NAMES, FLEET_NAMES.join(',')),
    )
    .option('--devices <n>', 'devices of each fleet', positiveInteger, 20)
    .option('--rate <n>', 'distinct messages a second, all fleets together', positiveNumber, 100)
    .option('--duration <time>', 'end after so long (90s, 5m); without it and --count, run until Ctrl-C', durationMs)
    .option('--count <n>', 'end after so many distinct messages', positiveInteger)
    .option('--late <share>', 'share of messages sent after newer ones, 0 to 1', share, 0)
    .addOption(new Option('--late-by <time>', 'how late they are at most').argParser(durationMs).default(10_000, '10s'))
    .option('--duplicates <share>', 'share of messages sent twice, 0 to 1', share, 0)
    .option('--seed <n>', 'same seed and start, same messages', integer, 1)
    .option('--speed <n>', 'how many times faster than the clock observation time passes', positiveNumber, 1)
    .option('--start <time>', 'observation time of the first message (ISO 8601)', isoMs)
    .option('--record <file>', 'write each distinct message once, when it is acknowledged (NDJSON)')
    .option('--quiet', 'print nothing but the result', false)
    .action(async (flags: Flags, command: Command) => {
      const result = await runUntilSignal(flags);
      command.configureOutput().writeOut?.(`${resultLine(result)}\n`);
      if (result.unacknowledged > 0) process.exitCode = 1;
    });
}

async function runUntilSignal(flags: Flags): Promise<SimulationProgress> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    return await runSimulation(optionsOf(flags), stop.signal);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function optionsOf(flags: Flags): SimulationOptions {
  const count = leastOf(flags.count, flags.duration && Math.ceil((flags.duration / 1000) * flags.rate));
  return {
    url: flags.url,
    clientId: flags.clientId,
    qos: flags.qos === '0' ? 0 : 1,
    maxInFlight: flags.inFlight,
    ackTimeoutMs: flags.ackTimeout,
    fleets: flags.fleets,
    devices: flags.devices,
    rate: flags.rate,
    seed: flags.seed,
    lateShare: flags.late,
    lateByMs: flags.lateBy,
    duplicateShare: flags.duplicates,
    speed: flags.speed,
    graceMs: GRACE_MS,
    ...(count !== undefined && { count }),
    ...(flags.username !== undefined && { username: flags.username }),
    ...(flags.password !== undefined && { password: flags.password }),
    ...(flags.ca !== undefined && { ca: readPem(flags.ca) }),
    ...(flags.cert !== undefined && { cert: readPem(flags.cert) }),
    ...(flags.key !== undefined && { key: readPem(flags.key) }),
    ...(flags.start !== undefined && { startMs: flags.start }),
    ...(flags.record !== undefined && { record: flags.record }),
    ...(!flags.quiet && { onProgress: progressPrinter() }),
  };
}

/** One line a few seconds apart, to stderr, so that stdout holds the result alone. */
function progressPrinter(): (progress: SimulationProgress) => void {
  const everyMs = 5000;
  let nextMs = performance.now() + everyMs;
  return (progress) => {
    if (performance.now() < nextMs) return;
    nextMs += everyMs;
    process.stderr.write(`${resultLine(progress)}\n`);
  };
}

function resultLine(progress: SimulationProgress): string {
  const number = (value: number): string => value.toLocaleString('en-US');
  return (
    `${number(progress.messages)} messages (${number(progress.late)} late), ${number(progress.duplicates)} sent twice, ` +
    `${number(progress.acknowledged)} acknowledged, ${number(progress.unacknowledged)} not, ` +
    `${number(progress.resent)} resent over ${number(progress.reconnects)} reconnects`
  );
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new EdgetallyError('certificate-unreadable', `cannot read ${path}`, { cause });
  }
}

function leastOf(...values: readonly (number | undefined)[]): number | undefined {
  const given = values.filter((value) => value !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
}

function numberWhere(accepts: (value: number) => boolean, expected: string): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (Number.isFinite(value) && accepts(value)) return value;
    throw new InvalidArgumentError(`Expected ${expected}.`);
  };
}

const positiveNumber = numberWhere((value) => value > 0, 'a number above 0');
const positiveInteger = numberWhere((value) => Number.isSafeInteger(value) && value > 0, 'a whole number above 0');
const integer = numberWhere(Number.isSafeInteger, 'a whole number');
const share = numberWhere((value) => value >= 0 && value <= 1, 'a share between 0 and 1');

function durationMs(text: string): number {
  const value = parseDuration(text);
  if (value === undefined || value === 0) throw new InvalidArgumentError('Expected a duration such as 500ms, 30s, 5m.');
  return value;
}

function isoMs(text: string): number {
  const value = Date.parse(text);
  if (Number.isNaN(value)) throw new InvalidArgumentError('Expected a time such as 2026-11-21T00:00:00Z.');
  return value;
}
