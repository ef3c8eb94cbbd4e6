/**
 * The environment variables of the functions: what each one is, and what is wrong with it, all at once. A function asks for
 * those that it needs.
 */
import { z } from 'zod';
import { parseDuration } from '../../shared/config-fields.js';
import { EdgetallyError } from '../../shared/errors.js';

const duration = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms === undefined) context.addIssue({ code: 'custom', message: `${JSON.stringify(text)}: expected such as 5m` });
  return ms ?? 0;
});
const url = z.string().regex(/^https?:\/\/.+/, 'expected a URL');

const VARIABLES = {
  /** The DynamoDB table. */
  EDGETALLY_TABLE: z.string().min(1),
  /** Where raw batches go; without it there is no archive, and nothing to replay. */
  EDGETALLY_ARCHIVE_BUCKET: z.string().min(1).optional(),
  /** The SQS queue for messages that cannot be used. */
  EDGETALLY_DLQ_URL: url,
  /** This account’s data endpoint, as a name or a URL. */
  EDGETALLY_IOT_ENDPOINT: z
    .string()
    .min(1)
    .transform((text) => (text.includes('://') ? text : `https://${text}`)),
  /** Name of the EventBridge bus for alerts; without it they are only logged. */
  EDGETALLY_ALERT_BUS: z.string().min(1).optional(),
  /** The table with the serial numbers that may enroll. */
  EDGETALLY_SERIALS: z.string().min(1),
  /**
   * Receipts of one gateway are gathered for this long and sent in one message, which costs two: one to IoT Core, one to the
   * gateway. All else that a gateway sends and hears is nearly free, so this is what messages cost.
   */
  EDGETALLY_RECEIPT_DELAY: duration.prefault('15m'),
} as const;

export type VariableName = keyof typeof VARIABLES;
export type Variables = { readonly [N in VariableName]: z.infer<(typeof VARIABLES)[N]> };

/** Throws an EdgetallyError that names every variable that is missing or wrong. */
export function readVariables<N extends VariableName>(
  names: readonly N[],
  env: Readonly<Record<string, string | undefined>>,
): Pick<Variables, N> {
  const values: Partial<Record<VariableName, unknown>> = {};
  const problems: string[] = [];
  for (const name of names) {
    // CloudFormation cannot leave a variable out; it is empty then.
    const parsed = VARIABLES[name].safeParse(env[name] === '' ? undefined : env[name]);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(`${name}: ${env[name] ? parsed.error.issues[0]!.message : 'is not set'}`);
  }
  if (problems.length === 0) return values as Pick<Variables, N>;
  throw new EdgetallyError('config-invalid', `environment of the function: ${problems.join('; ')}`, {
    hint: 'Set them on the function; the CloudFormation template of this version does.',
  });
}
