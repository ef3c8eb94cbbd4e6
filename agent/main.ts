/** The command line of the agent: parses, wires, and turns errors into words. */
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { type Logger, pino } from 'pino';
import { EdgetallyError } from '../shared/errors.js';
import { VERSION } from '../shared/version.js';
import { hashPassword } from './accept/broker-access.js';
import { Agent } from './agent.js';
import { checkConfig } from './check.js';
import { type AgentConfig, loadAgentConfig, readConfig } from './config.js';
import { type CommandContext, enroll, rotate } from './enroll/command.js';
import { runComponent } from './greengrass/component.js';
import { runImport } from './import-command.js';
import { constantly, runAgents } from './run.js';
import { setupCommand } from './setup/command.js';
import { simulateCommand } from './simulate/command.js';
import { type AgentStatus, askStatus, socketPath } from './status.js';
import { statusText } from './status-view.js';
import { serviceManager } from './systemd.js';

const CONFIG_PLACES = ['edgetally.yaml', '/etc/edgetally/edgetally.yaml'] as const;

const NOT_RUN = {
  hint: 'Start it with `edgetally-agent run`, or see what its service says: journalctl -u edgetally-agent',
};

/** For the supervisor: starting it again does not help, the configuration has to be mended (EX_CONFIG). */
const EXIT_CONFIG = 78;

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
  .action(async ({ config }: { config: string }) => {
    const source = constantly(await loadAgentConfig(config, process.env));
    const log = logger();
    process.exitCode = await runAgents(source, serviceManager(process.env, log), log);
  });

program
  .command('greengrass')
  .description('run as a component of AWS IoT Greengrass: the nucleus has the configuration')
  .action(async () => {
    process.exitCode = await runComponent(process.env, logger());
  });

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
  .option('--running', 'fail where no agent runs: for health checks')
  .action(async ({ config, json, running }: { config: string; json?: boolean; running?: boolean }) => {
    const loaded = await loadAgentConfig(config, process.env);
    const answer = await askStatus(socketPath(loaded.data));
    if (running && answer === undefined) throw new EdgetallyError('usage', `no agent runs on ${loaded.data}`, NOT_RUN);
    const status = answer ?? inspect(loaded);
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

function logger(): Logger {
  return pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime });
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof EdgetallyError)) throw error;
  console.error(`${error.message}\n${error.hint}`);
  process.exitCode = error.code === 'config-invalid' ? EXIT_CONFIG : 1;
}
