/** The command line of the cloud side: run, report, reconcile, losses, gateways, replay. */
import { Command, Option } from 'commander';
import { pino } from 'pino';
import { EdgetallyError } from '../shared/errors.js';
import { VERSION } from '../shared/version.js';
import { readConfig } from './config.js';
import { openDatabase, openReader } from './database.js';
import { runReplay } from './replay-command.js';
import { formatReport, lossLine } from './report/formats.js';
import { formatGateways, listGateways } from './report/gateways.js';
import { formatLosses, listLosses } from './report/losses.js';
import {
  FORMATS,
  type Format,
  GROUP_KEYS,
  parseLosses,
  parseQuery,
  parseReconcile,
  type ReconcileArguments,
  type ReportArguments,
} from './report/query.js';
import { reconcile, verdictOf } from './report/reconcile.js';
import { formatReconciliation } from './report/reconcile-formats.js';
import { runReport } from './report/report.js';
import { Service } from './service.js';
import type { SnapshotStore } from './store/store.js';

interface DatabaseOptions {
  readonly database?: string;
  readonly config?: string;
}

const EXIT_CODES = { equal: 0, different: 1, unknown: 3 } as const;
/** Of an error that is not a wrong argument. */
let errorCode = 1;

const DATABASE = new Option('--database <file>', 'the database of the cloud side: a file, or dynamodb://TABLE');
const CONFIG = new Option('--config <file>', 'the configuration of the cloud side').env('EDGETALLY_CLOUD_CONFIG');
const FORMAT = new Option('--format <format>', 'how to print').choices([...FORMATS]).default('table');

const program = new Command('edgetally-cloud')
  .description('The cloud side of Edgetally: takes batches from gateways, and reports.')
  .version(VERSION)
  .showHelpAfterError('(--help lists the options)')
  // 1 is for errors, and for what reconcile finds.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

program
  .command('run')
  .description('take batches from the broker until SIGTERM or SIGINT')
  .addOption(CONFIG)
  .action(async ({ config }: DatabaseOptions) => run(config));

program
  .command('report')
  .description('statistics over what was committed; a window belongs to the time it starts in')
  .addOption(DATABASE)
  .addOption(CONFIG)
  .option('--from <time>', 'from there on: 2026-07-01, 2026-07-01T14:30, 2026-07-01T12:30:00Z, 24h or 7d ago')
  .option('--to <time>', 'up to there, which is not part of it')
  .option('--group-by <keys>', `some of ${GROUP_KEYS.join(', ')}, or all; the metric is always a key`, 'device')
  .option('--metrics <names>', 'only these metrics, separated by commas')
  .option('--gateway <name>', 'only this gateway')
  .option('--group <name>', 'only this group')
  .option('--device <name>', 'only devices of this name')
  .option('--tz <zone>', 'time zone of days, hours and local times', 'UTC')
  .addOption(FORMAT)
  .action(async (options: ReportArguments & DatabaseOptions & { format: Format }) => {
    const query = parseQuery(options, Date.now());
    await withDatabase(options, async (store) => {
      const report = await runReport(store, query);
      const losses = options.format === 'csv' ? lossLine(report) : undefined;
      for (const note of [...report.notes, ...(losses === undefined ? [] : [losses])]) console.error(`note: ${note}`);
      return formatReport(report, options.format);
    });
  });

program
  .command('reconcile')
  .description(
    'compares what a gateway counted with what arrived, by device and UTC day; ends with 0 if they are equal, 1 if they differ, ' +
      '2 for wrong arguments, 3 if it cannot tell',
  )
  .addOption(DATABASE)
  .addOption(CONFIG)
  .option('--gateway <name>', 'which gateway')
  .option('--from <time>', 'from that UTC day on: 2026-07-01, or 7d ago')
  .option('--to <time>', 'up to there, which is not part of it; a day that has begun counts whole')
  .option('--max-silence <duration>', 'a gateway that was not heard for longer is not known to be equal', '5m')
  .addOption(FORMAT)
  .action(async (options: ReconcileArguments & DatabaseOptions & { format: Format }) => {
    // Whatever goes wrong, 1 is kept for a difference.
    errorCode = EXIT_CODES.unknown;
    const query = parseReconcile(options, Date.now());
    await withDatabase(options, async (store) => {
      const result = await reconcile(store, query);
      for (const note of result.notes) console.error(`note: ${note}`);
      for (const difference of result.differences) console.error(`difference: ${difference}`);
      for (const unknown of result.unknowns) console.error(`unknown: ${unknown}`);
      process.exitCode = EXIT_CODES[verdictOf(result)];
      return formatReconciliation(result, options.format);
    });
  });

program
  .command('losses')
  .description('what gateways rejected, left out, put aside or made coarser, by UTC day, reason and device')
  .addOption(DATABASE)
  .addOption(CONFIG)
  .option('--from <time>', 'from that UTC day on: 2026-07-01, or 7d ago')
  .option('--to <time>', 'up to there, which is not part of it; a day that has begun counts whole')
  .option('--gateway <name>', 'only this gateway')
  .option('--group <name>', 'only this group')
  .option('--device <name>', 'only devices of this name')
  .addOption(FORMAT)
  .action(async (options: ReportArguments & DatabaseOptions & { format: Format }) => {
    const query = parseLosses(options, Date.now());
    await withDatabase(options, async (store) => formatLosses(await listLosses(store, query), query, options.format));
  });

program
  .command('gateways')
  .description('which gateways there are, and how they are doing')
  .addOption(DATABASE)
  .addOption(CONFIG)
  .addOption(FORMAT)
  .action(async (options: DatabaseOptions & { format: Format }) => {
    const nowMs = Date.now();
    await withDatabase(options, async (store) =>
      formatGateways(await listGateways(store, nowMs), options.format, nowMs),
    );
  });

program
  .command('replay')
  .description(
    'rebuild a database from the archive of raw batches, into an empty one or one that is there; nothing counts twice',
  )
  .argument('<archive>', 's3://BUCKET/PREFIX, or a folder of the same layout')
  .addOption(DATABASE)
  .addOption(CONFIG)
  .option('--from-date <date>', 'from that UTC date of sending on: 2026-07-01')
  .option('--to-date <date>', 'up to there, which is not part of it')
  .option('--gateway <name>', 'only this gateway')
  .action(runReplay);

async function run(path: string | undefined): Promise<void> {
  if (path === undefined) throw new EdgetallyError('usage', 'run needs --config FILE');
  const config = readConfig(path, process.env);
  const log = pino({ level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const service = new Service(config, await openDatabase(config, log, Date.now), log, Date.now);
  const stop = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'stopping');
    service.stop().catch(fail);
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  await service.start();
  if (service.state.consumer.state === 'up') log.info({ database: config.database, url: config.mqtt.url }, 'ready');
}

/** Reads beside the process that writes; prints what `work` returns. */
async function withDatabase(options: DatabaseOptions, work: (store: SnapshotStore) => Promise<string>): Promise<void> {
  const path = options.database ?? (options.config && readConfig(options.config, process.env).database);
  if (path === undefined) throw new EdgetallyError('usage', 'which database? Give --database FILE or --config FILE');
  const store = await openReader(path, Date.now);
  try {
    process.stdout.write(await work(store));
  } finally {
    await store.close();
  }
}

function fail(error: unknown): void {
  process.exitCode = error instanceof EdgetallyError && error.code === 'usage' ? 2 : errorCode;
  if (!(error instanceof EdgetallyError)) console.error(error);
  else console.error(`edgetally-cloud: ${error.message}\n  ${error.hint}`);
}

// `report | head` ends early; that is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

await program.parseAsync().catch(fail);
