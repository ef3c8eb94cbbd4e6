/**
 * The configuration of the agent: one YAML file, put together from what each stage declares. docs/config.md is written
 * from this schema, and agent/edgetally.example.yaml is held to it by a test.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { configVersion, formatProblems, type ParsedConfig, parseConfig } from '../shared/config.js';
import type { Environment } from '../shared/config-env.js';
import { configReference } from '../shared/config-reference.js';
import { EdgetallyError } from '../shared/errors.js';
import { GATEWAY_NAME } from '../shared/topics.js';
import { limitsSchema, routesSchema } from './accept/route-options.js';
import { sourceSchema } from './accept/source-options.js';
import { bufferSchema } from './buffer/options.js';
import { enrollSchema } from './enroll/options.js';
import { pushSchema } from './push/options.js';
import { clockSchema } from './time/clock-options.js';

const acceptSchema = z.strictObject({
  sources: z
    .array(sourceSchema)
    .default([])
    .superRefine((sources, context) => {
      const names = sources.map((source) => source.name);
      for (const [index, name] of names.entries()) {
        if (names.indexOf(name) === index) continue;
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name that no other source has' });
      }
    })
    .describe('Where readings come from.'),
  routes: routesSchema,
  limits: limitsSchema.prefault({}).describe('What one message may be; anything beyond is rejected and counted.'),
});

const agentObject = z.strictObject({
  version: configVersion(1).describe('Version of this file’s format.'),
  gateway: z
    .string()
    .regex(GATEWAY_NAME, '1 to 128 letters, digits and : _ . -')
    .describe('Name of this gateway, as the cloud side knows it.'),
  data: z.string().min(1).default('./data').describe('Directory of the database; made if it is not there.'),
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error'])
    .default('info')
    .describe('Least serious messages to log.'),
  clock: clockSchema
    .prefault({})
    .describe('The clock of this machine, which may be wrong after a start: then readings without a time wait for it.'),
  accept: acceptSchema.prefault({}).describe('The first stage: from messages to readings.'),
  buffer: bufferSchema
    .prefault({})
    .describe('The second stage: readings and windows on disk until the cloud has them.'),
  push: pushSchema.optional().describe('The last stage: windows to the cloud. Without it nothing is sent.'),
  enroll: enrollSchema
    .optional()
    .describe(
      'AWS only: the gateway gets its certificate by fleet provisioning, and the next one in time, in place of `push.cert` and ' +
        '`push.key`. See docs/aws.md.',
    ),
});

export const agentSchema = agentObject.superRefine(({ push, enroll }, context) => {
  if (enroll === undefined) return;
  const say = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
  if (push === undefined) say(['push'], 'an uplink, which is what `enroll` gets a certificate for');
  else if (!push.url.startsWith('mqtts:')) say(['push', 'url'], 'mqtts://…, where a gateway enrolls');
  for (const key of ['cert', 'key'] as const) {
    if (push?.[key] !== undefined)
      say(['push', key], 'nothing here: a gateway that enrolls keeps its certificate in `data`');
  }
});

export type AgentConfig = z.infer<typeof agentSchema>;

export const ENV_PREFIX = 'EDGETALLY';

/** Variables with the prefix that are not keys of this file: of the cloud side, of `simulate`, and the path of the file itself. */
const OTHER_VARIABLES = ['EDGETALLY_CLOUD_', 'EDGETALLY_SIMULATE_', 'EDGETALLY_CONFIG'];

export function parseAgentConfig(yamlText: string, env: Environment): ParsedConfig<AgentConfig> {
  return parseConfig(agentSchema, yamlText, env, ENV_PREFIX, OTHER_VARIABLES);
}

/** Throws config-unreadable, or config-invalid with all problems in the message. */
export async function loadAgentConfig(path: string, env: Environment): Promise<AgentConfig> {
  const parsed = parseAgentConfig(await readConfig(path), env);
  if (parsed.ok) return parsed.value;
  throw new EdgetallyError('config-invalid', formatProblems(path, parsed.problems));
}

export async function readConfig(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new EdgetallyError('config-unreadable', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** docs/config.md */
export function agentReference(): string {
  return configReference(agentSchema, 'Configuration of the agent', REFERENCE_INTRO);
}

const REFERENCE_INTRO = `
<!-- Written by \`npm run docs\` from the schema; not to be edited. -->

\`edgetally-agent run --config edgetally.yaml\` reads one YAML file. \`edgetally-agent check --config edgetally.yaml\` says
all that is wrong with it, with line and column. [agent/edgetally.example.yaml](../agent/edgetally.example.yaml) is a
commented sample; [routes.md](routes.md) shows routes for many kinds of message.

- **duration**: \`250ms\`, \`10s\`, \`5m\`, \`1h\`, \`1d\`, \`1h30m\`, or a number of milliseconds.
- **size**: \`512KiB\`, \`64MB\`, \`1GiB\`, or a number of bytes.
- Every key can be set by the environment: \`EDGETALLY_PUSH_MAX_IN_FLIGHT\` stands for \`push.maxInFlight\`,
  \`EDGETALLY_ACCEPT_SOURCES_0_PASSWORD\` for the password of the first source. The environment wins over the file. A
  variable that begins with \`EDGETALLY_\` and names no key is an error; an empty one counts as not set.
- Numbers and \`true\`/\`false\` may be written as text.
`;
