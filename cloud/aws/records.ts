/** The events that a queue or a stream hands to the function, as records; and which of them are to come again. */
import { z } from 'zod';
import { EdgetallyError } from '../../shared/errors.js';

const sqs = z.object({ eventSource: z.literal('aws:sqs'), messageId: z.string(), body: z.string() });
const kinesis = z.object({
  eventSource: z.literal('aws:kinesis'),
  kinesis: z.object({ sequenceNumber: z.string().regex(/^\d+$/), data: z.base64() }),
});
const event = z.object({ Records: z.union([z.array(sqs), z.array(kinesis)]) });

export interface QueueRecord {
  readonly source: 'sqs' | 'kinesis';
  /** What AWS calls it: a message id, or a sequence number. */
  readonly id: string;
  /** What the rule put out. */
  readonly text: string;
}

/** Of another shape than AWS documents: nothing in it can be answered for, so the whole invocation fails. */
export function recordsOf(given: unknown): QueueRecord[] {
  const parsed = event.safeParse(given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new EdgetallyError('usage', `not an event of SQS or Kinesis: ${issue.path.join('.')}: ${issue.message}`, {
      hint: 'Connect this function to the queue or the stream of the template.',
    });
  }
  return parsed.data.Records.map((record) =>
    record.eventSource === 'aws:sqs'
      ? { source: 'sqs', id: record.messageId, text: record.body }
      : { source: 'kinesis', id: record.kinesis.sequenceNumber, text: fromBase64(record.kinesis.data) },
  );
}

export interface BatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

/** Of a stream the lowest one says it for all that follow: they come again too, which changes nothing. */
export function failuresOf(failed: readonly QueueRecord[]): BatchResponse {
  const ids = failed.map(({ id }) => id);
  const named = failed[0]?.source === 'kinesis' ? ids.sort(byNumber).slice(0, 1) : ids;
  return { batchItemFailures: named.map((itemIdentifier) => ({ itemIdentifier })) };
}

/** Sequence numbers have over 50 digits. */
function byNumber(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : 1);
}

function fromBase64(text: string): string {
  return Buffer.from(text, 'base64').toString();
}
