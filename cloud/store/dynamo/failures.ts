/** What DynamoDB and the way to it may answer, in our words: what passes with time, and what is the change's own fault. */
import { EdgetallyError } from '../../../shared/errors.js';

/** The request itself is wrong, such as an item that is too large: repeating it does not help, and others may be right. */
const OWN_FAULT = new Set([
  'ValidationException',
  'ItemCollectionSizeLimitExceededException',
  'SerializationException',
]);

const HINTS: Readonly<Record<string, string>> = {
  ResourceNotFoundException: 'Check the name of the table, and AWS_REGION; docs/aws.md says how to make it.',
  AccessDeniedException: 'Give this role the actions on the table that docs/aws.md lists.',
  CredentialsProviderError: 'Give credentials by the standard environment of the AWS SDK, or a role.',
};

const PASSING = 'Nothing to do where it passes; else check the capacity of the table and the way to it.';

/** Errors of ours, and of the request itself, as they are. */
export function explain(error: unknown, table: string): unknown {
  if (!(error instanceof Error) || error instanceof EdgetallyError) return error;
  const isOfTheSdk = '$metadata' in error || '$fault' in error || 'code' in error || 'tryNextLink' in error;
  const isTimeout = error.name === 'TimeoutError' || error.name === 'AbortError';
  if (OWN_FAULT.has(error.name) || !(isOfTheSdk || isTimeout)) return error;
  const message = `DynamoDB table ${table}: ${error.name}: ${error.message}`;
  return new EdgetallyError('database-failed', message, { cause: error, hint: HINTS[error.name] ?? PASSING });
}
