/** The configuration of the cloud side: one YAML file, overridden by EDGETALLY_CLOUD_* of the environment. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { byteSize, configVersion, duration, formatProblems, parseConfig } from '../shared/config.js';
import type { Environment } from '../shared/config-env.js';
import { EdgetallyError } from '../shared/errors.js';
import { mqttSchema } from './accept/options.js';
import { quotaSchema } from './store/quota-options.js';

export const cloudSchema = z.strictObject({
  version: configVersion(1).describe('Version of this file’s format.'),
  database: z
    .string()
    .min(1)
    .default('./edgetally-cloud.db')
    .describe(
      'The SQLite file, made if it is not there; or `dynamodb://TABLE`, a table of the region, the endpoint and the role that the ' +
        'standard environment of the AWS SDK says (docs/aws.md).',
    ),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least serious messages to log.'),
  mqtt: mqttSchema.describe('Where batches come from.'),
  receiptDelay: duration
    .default(50)
    .describe('Receipts for one gateway are gathered for this long and sent in one message.'),
  backlogWindowsPerSecond: z.coerce
    .number()
    .positive()
    .default(5_000)
    .describe(
      'How many windows a second the backlogs of all gateways together may bring after an outage, or half of what comes live, if ' +
        'that is more. Fresh windows are not limited. Shrinks while commits take over a second.',
    ),
  rollUpDelay: duration
    .default(2_000)
    .describe(
      'Roll-ups of hours and days that are over are brought up to date this long after a change, the others now and then. ' +
        'Reports are right at any moment.',
    ),
  maxQuarantineBytes: byteSize
    .default(64 * 1024 * 1024)
    .describe(
      'Rejected batches are kept whole, up to this size together; the oldest make room, and are counted. On DynamoDB each gateway has a room of its own.',
    ),
  quota: quotaSchema
    .prefault({})
    .describe(
      'What one gateway may put into the database, so that one that lies or went mad fills its own share only.',
    ),
});

export type CloudConfig = z.infer<typeof cloudSchema>;

export const ENV_PREFIX = 'EDGETALLY_CLOUD';

/** The path of the file itself. */
const OTHER_VARIABLES = ['EDGETALLY_CLOUD_CONFIG'];

/** Throws an EdgetallyError that holds all problems at once. */
export function readConfig(path: string, env: Environment): CloudConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new EdgetallyError('config-unreadable', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const parsed = parseConfig(cloudSchema, text, env, ENV_PREFIX, OTHER_VARIABLES);
  if (parsed.ok) return parsed.value;
  throw new EdgetallyError('config-invalid', formatProblems(path, parsed.problems), {
    hint: 'Mend the lines named above; every key is described in cloud/edgetally-cloud.example.yaml.',
  });
}
