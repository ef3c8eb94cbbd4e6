/** The command line of the agent: parses, wires, and turns errors into words. */
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { type Logger, pino } from 'pino';
import { EdgetallyError } from '../shared/errors.js';
import { VERSION } from '../shared/version.js';
import { hashPassword } from './accept/broker-access.js';
import { Agent, databasePath } from './agent.js';
import { checkConfig } from './check.js';
import { type AgentConfig, loadAgentConfig, readConfig } from './config.js';
import { type CommandContext, enroll, rotate } from './enroll/command.js';
import { runImport } from './import-command.js';
import { setupCommand } from './setup/command.js';
import { simulateCommand } from './simulate/command.js';
import { type AgentStatus, askStatus, socketPath } from './status.js';
import { statusText } from './status-view.js';
import { type ServiceManager, serviceManager } from './systemd.js';

const CONFIG_PLACES = ['edgetally.yaml', '/etc/edgetally/edgetally.yaml'] as const;

/** For the supervisor: nothing is wrong with the configuration, start it again (EX_TEMPFAIL of sysexits.h). */
const EXIT_GAVE_UP = 75;

function configOption(): Option {
  const found = CONFIG_PLACES.find((path) => existsSync(path)) ?? CONFIG_PLACES[0];
  return new Option('-c, --config <file>', 'configuration file').env('EDGETALLY_CONFIG').default(found);
}

const program = new Command('edgetally-agent')
  .description('Edgetally, the edge gateway that never loses count: the agent on the gateway')
  .version(VERSION)
  .showHelpAfterError();

program
  .command('run')
  .description('take readings in and push their statistics, until stopped')
  .addOption(configOption())
  .action(async ({ config }: { config: string }) => run(await loadAgentConfig(config, process.env)));

program
  .command('check')
  .description('say all that is wrong with the configuration, or what it will do')
  .addOption(configOption())
  .action(async ({ config }: { config: string }) => {
    const checked = checkConfig(config, await readConfig(config), process.env);
    (checked.ok ? console.log : console.error)(checked.text);
    if (!checked.ok) process.exitCode = 1;
  });

program
  .command('status')
  .description('show link, backlog, counters, quarantine and disk; also while the agent runs')
  .addOption(configOption())
  .option('--json', 'everything, for programs')
  .action(async ({ config, json }: { config: string; json?: boolean }) => {
    const loaded = await loadAgentConfig(config, process.env);
    const status = (await askStatus(socketPath(loaded.data))) ?? inspect(loaded);
    console.log(json ? JSON.stringify(status, undefined, 2) : statusText(status));
  });

program
  .command('enroll')
  .description('get a certificate by fleet provisioning; where there is one, say so')
  .addOption(configOption())
  .option('--again', 'also where there is one, by the claim certificate')
  .action(async ({ config, again = false }: { config: string; again?: boolean }) => {
    console.log(await enroll(certificateContext(await loadAgentConfig(config, process.env)), again));
  });

program
  .command('rotate')
  .description('get the next certificate now, try it, and keep the present one until it is proven')
  .addOption(configOption())
  .action(async ({ config }: { config: string }) => {
    console.log(await rotate(certificateContext(await loadAgentConfig(config, process.env))));
  });

program
  .command('import')
  .description('take the rows of a CSV file in, as if they had come by MQTT; run again, it resumes')
  .argument('<file>', 'path, or - for standard input')
  .addOption(configOption())
  .requiredOption('-r, --route <name>', 'the route that says what the columns are')
  .option('--no-push', 'leave pushing to the next `run`')
  .action(async (file: string, options: { config: string; route: string; push: boolean }) =>
    runImport(await loadAgentConfig(options.config, process.env), file, options.route, options.push),
  );

program
  .command('hash-password')
  .description('read a password from standard input and print what `passwordHash` of a broker’s user takes')
  .action(async () => {
    const [password = ''] = (await text(process.stdin)).split(/\r?\n/);
    if (password === '') throw new EdgetallyError('usage', 'no password on standard input');
    console.log(await hashPassword(password));
  });

program.addCommand(setupCommand(CONFIG_PLACES[existsSync('/etc/edgetally') ? 1 : 0]));
program.addCommand(simulateCommand());

/** The status of an agent that does not run, from what it left. */
function inspect(config: AgentConfig): AgentStatus {
  const agent = new Agent(config, pino({ level: 'silent' }), 'inspect');
  try {
    return agent.status();
  } finally {
    agent.pipeline.buffer.close();
  }
}

function certificateContext({ gateway, data, push, enroll: options }: AgentConfig): CommandContext {
  if (push === undefined || options === undefined) {
    throw new EdgetallyError('usage', 'there is no `enroll` in the configuration', { hint: 'See docs/aws.md.' });
  }
  return {
    ...{ gateway, data, push, enroll: options, nowMs: () => Date.now() },
    running: async () => (await askStatus(socketPath(data)))?.certificate,
    log: pino({ level: 'warn', base: null }, pino.destination(2)),
  };
}

async function run(config: AgentConfig): Promise<void> {
  const log = pino({ level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const stopped = new Promise<'stopped'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve('stopped'));
  });
  const manager = serviceManager(process.env, log);
  // a database that turns out to be damaged is salvaged by the next agent: supervisors do not start a process often
  while ((await runOnce(config, log, manager, stopped)) === 'damaged');
}

async function runOnce(config: AgentConfig, log: Logger, manager: ServiceManager, stopped: Promise<'stopped'>) {
  const agent = new Agent(config, log, 'run');
  await agent.start();
  manager.ready(`gateway ${config.gateway}`);
  log.info({ gateway: config.gateway, version: VERSION, database: databasePath(config) }, 'ready');
  const gaveUp = agent.gaveUp.then(() => 'gave up' as const);
  const end = await Promise.race([stopped, gaveUp, agent.damaged.then(() => 'damaged' as const)]);
  log.info('stopping');
  if (end !== 'damaged') manager.stopping();
  await agent.stop();
  if (end === 'gave up') process.exitCode = EXIT_GAVE_UP;
  return end;
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof EdgetallyError)) throw error;
  console.error(`${error.message}\n${error.hint}`);
  process.exitCode = 1;
}
