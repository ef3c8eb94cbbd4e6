/**
 * The queue for messages that cannot be used, each with its reason as an attribute. They are in the store's quarantine too,
 * whole; this one is where people are used to look, and what an alarm counts.
 */
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

export interface DeadLetter {
  /** As the queue or stream delivered it. */
  readonly text: string;
  readonly reason: string;
  readonly detail: string;
  /** '' where none is known. */
  readonly gateway: string;
}

/** Rejects where the queue does not take it. */
export type SendDeadLetter = (letter: DeadLetter) => Promise<void>;

/** Attributes count towards the size of a message, which the rule's output leaves room for. */
const MAX_ATTRIBUTE = 500;
/** What SQS takes in a body; others would be refused for ever. */
const FORBIDDEN = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu;

export function deadLetterQueue(url: string): SendDeadLetter {
  const client = new SQSClient();
  return async ({ text, ...about }) => {
    const named = Object.entries(about).filter(([, value]) => value !== '');
    const MessageAttributes = Object.fromEntries(
      named.map(([name, value]) => [
        name,
        { DataType: 'String', StringValue: sendable(value).slice(0, MAX_ATTRIBUTE) },
      ]),
    );
    const MessageBody = text === '' ? '(empty)' : sendable(text);
    await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody, MessageAttributes }));
  };
}

function sendable(text: string): string {
  return text.replaceAll(FORBIDDEN, '\uFFFD');
}
