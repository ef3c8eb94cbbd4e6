/**
 * `edgetally-agent setup`: a first configuration by asking. Listens on the broker that is there, proposes routes from what it
 * hears, tries the uplink, writes the file. Everything asked can be given as an option; with --yes nothing is asked.
 *
 * Never writes a file that `check` would complain of, and never over one that is there without being told to.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { pino } from 'pino';
import { stringify } from 'yaml';
import { EdgetallyError } from '../../shared/errors.js';
import { checkConfig } from '../check.js';
import { type PushOptions, pushSchema } from '../push/options.js';
import { systemClocks } from '../time/clock.js';
import { filesOf, uplinkTls } from '../uplink-tls.js';
import { NO_QUESTIONS, type Questions, questions } from './ask.js';
import { listen, tryBroker } from './listen.js';
import { type Proposal, proposeRoutes } from './propose.js';

interface SetupOptions {
  readonly config: string;
  readonly data?: string;
  readonly gateway?: string;
  readonly broker: string;
  readonly username?: string;
  readonly password?: string;
  readonly listen: string;
  readonly uplink?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly yes?: boolean;
  readonly force?: boolean;
}

/** How the file begins that the Debian package brings: nobody's work is lost with it. */
const AS_INSTALLED = '# As installed';

export function setupCommand(defaultConfig: string): Command {
  return new Command('setup')
    .description('write a first configuration: hears what is published here, proposes routes, tries the uplink')
    .option('-c, --config <file>', 'file to write', defaultConfig)
    .option('--data <directory>', 'directory of the database')
    .option('--gateway <name>', 'name of this gateway; that of the machine if not given')
    .option('--broker <url>', 'the broker that sensors publish to', 'mqtt://localhost:1883')
    .option('--username <name>', 'user name at that broker')
    .option('--password <text>', 'password at that broker; it is not written to the file')
    .option('--listen <seconds>', 'how long to listen', '15')
    .option('--uplink <url>', 'the broker of the cloud side, such as mqtts://broker.example:8883')
    .option('--ca <file>', 'its CA')
    .option('--cert <file>', 'certificate of this gateway')
    .option('--key <file>', 'private key of that certificate')
    .option('--yes', 'ask nothing, take what is proposed')
    .option('--force', 'write over a file that is there')
    .action((options: SetupOptions) => setup(options));
}

async function setup(options: SetupOptions): Promise<void> {
  const { config, force, yes } = options;
  if (existsSync(config) && !force && !readFileSync(config, 'utf8').startsWith(AS_INSTALLED)) {
    throw new EdgetallyError('usage', `${config} is there already`, { hint: 'Say --force to write over it.' });
  }
  const { ask, close } = yes === true ? NO_QUESTIONS : questions(process.stdin, process.stdout);
  try {
    const gateway = await ask('Name of this gateway', options.gateway ?? gatewayName());
    const broker = await ask('The broker that sensors publish to', options.broker);
    const proposals = await hear({ ...options, broker });
    const push = await uplink(options, gateway, ask);
    const text = configText({
      gateway,
      data: options.data ?? (isOfSystem(config) ? '/var/lib/edgetally' : undefined),
      broker,
      username: options.username,
      proposals,
      push,
    });
    const checked = checkConfig(config, text, {});
    if (!checked.ok) throw new EdgetallyError('config-invalid', checked.text);
    mkdirSync(dirname(config), { recursive: true });
    writeFileSync(config, text, { mode: 0o640 });
    const start = isOfSystem(config) ? 'systemctl restart edgetally-agent' : `edgetally-agent run --config ${config}`;
    say(`\n${checked.text}\n\nWritten: ${config}. Start with: ${start}`);
  } finally {
    close();
  }
}

/** Where a service reads it. */
function isOfSystem(config: string): boolean {
  return config.startsWith('/etc/');
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function gatewayName(): string {
  return hostname().replace(/[^A-Za-z0-9:_.-]/g, '-') || 'gateway';
}

async function hear({ broker, username, password, listen: seconds }: SetupOptions): Promise<readonly Proposal[]> {
  say(`Listening on ${broker} for ${seconds} seconds …`);
  const heard = await listen({ url: broker, username, password, seconds: Number(seconds) });
  const proposals = proposeRoutes(heard);
  const topics = new Set(heard.map(({ topic }) => topic)).size;
  say(`Heard ${topics} topics.${proposals.length === 0 ? ' Nothing in them looks like a reading.' : ''}`);
  for (const { route, devices, metrics } of proposals) {
    const names = metrics.length > 6 ? `${metrics.slice(0, 6).join(', ')} …` : metrics.join(', ');
    say(`  ${String(route.topic ?? route.shape)}: ${devices} device${devices === 1 ? '' : 's'}; ${names}`);
  }
  return proposals;
}

/** Undefined where none is wanted. A link that does not come up is said, and written all the same: it may come later. */
async function uplink(options: SetupOptions, gateway: string, ask: Questions['ask']): Promise<object | undefined> {
  const url = await ask('The broker of the cloud side (- for none)', options.uplink ?? '-');
  if (url === '-') return undefined;
  const file = async (what: string, given: string | undefined) => {
    const path = await ask(`${what} (- for none)`, given ?? '-');
    return path === '-' ? undefined : path;
  };
  const push = Object.fromEntries(
    Object.entries({
      url,
      ca: await file('File of its CA', options.ca),
      cert: await file('File of this gateway’s certificate', options.cert),
      key: await file('File of the private key', options.key),
    }).filter(([, value]) => value !== undefined),
  );
  const parsed = pushSchema.safeParse(push);
  if (parsed.success) say(await triedUplink(parsed.data, gateway));
  return push;
}

async function triedUplink(push: PushOptions, gateway: string): Promise<string> {
  const judge = () => ({ nowMs: systemClocks().nowMs(), isSure: true });
  const tls = uplinkTls(push, filesOf(push), gateway, judge, pino({ level: 'silent' }));
  try {
    await tryBroker(push.url, { clientId: gateway, ...(await tls.credentials('mqtt', new AbortController().signal)) });
    return `${push.url} lets this gateway in.`;
  } catch (error) {
    const problem = error instanceof EdgetallyError ? `${error.message}. ${error.hint}` : (error as Error).message;
    return `The uplink does not come up yet: ${problem}`;
  }
}

interface Answers {
  readonly gateway: string;
  readonly data: string | undefined;
  readonly broker: string;
  readonly username: string | undefined;
  readonly proposals: readonly Proposal[];
  readonly push: object | undefined;
}

function configText({ gateway, data, broker, username, proposals, push }: Answers): string {
  const source = { type: 'mqtt', url: broker, ...(username === undefined ? {} : { username }) };
  const routes = proposals.map(({ route }) => route);
  const content = {
    gateway,
    ...(data === undefined ? {} : { data }),
    accept: { sources: [source], routes },
    ...(push === undefined ? {} : { push }),
  };
  return `# Written by edgetally-agent setup. Every key is described in docs/config.md.\n${stringify(content)}`;
}
