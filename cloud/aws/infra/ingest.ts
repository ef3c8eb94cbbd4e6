/**
 * What stands between the rule and the ingest function: a queue (the default) or a stream, with an end to trying again in
 * either case. Nothing is lost there for good: a gateway keeps what has no receipt, and sends it again.
 */
import { CfnStream } from 'aws-cdk-lib/aws-kinesis';
import { CfnQueue, CfnQueuePolicy } from 'aws-cdk-lib/aws-sqs';
import { Aws, Fn, type Stack } from 'aws-cdk-lib/core';
import { allow, type Grant } from './access.js';
import type { Parameters } from './parameters.js';

const DAY_S = 86_400;

/** Longer than any invocation takes. */
export const INGEST_TIMEOUT_S = 60;
/** AWS recommends six times the function's timeout. */
const VISIBILITY_S = 6 * INGEST_TIMEOUT_S;
const RECEIVES = 5;

export interface Ways {
  readonly queue: CfnQueue;
  readonly stream: CfnStream;
  /** What could not be taken in, with its reason. */
  readonly deadLetters: CfnQueue;
  /** What the rule could not pass on. */
  readonly ruleErrors: CfnQueue;
}

export function addWays(stack: Stack, parameters: Parameters): Ways {
  const deadLetters = addQueue(stack, parameters, 'DeadLetters', 'dead-letters', { days: 14 });
  const ruleErrors = addQueue(stack, parameters, 'RuleErrors', 'rule-errors', { days: 14 });
  const queue = addQueue(stack, parameters, 'Queue', 'batches', { days: 4, deadLetters });
  queue.cfnOptions.condition = parameters.is.UseSqs;
  const stream = new CfnStream(stack, 'Stream', {
    name: parameters.named('batches'),
    retentionPeriodHours: 24,
    streamEncryption: { encryptionType: 'KMS', keyId: 'alias/aws/kinesis' },
    streamModeDetails: {
      streamMode: either(parameters.is.KinesisOnDemand.logicalId, 'ON_DEMAND', 'PROVISIONED'),
    },
    shardCount: Fn.conditionIf(
      parameters.is.KinesisOnDemand.logicalId,
      Aws.NO_VALUE,
      parameters.number('KinesisShards'),
    ) as unknown as number,
  });
  stream.cfnOptions.condition = parameters.is.UseKinesis;
  addQueuePolicies(stack, { DeadLetters: deadLetters, RuleErrors: ruleErrors, Queue: queue });
  return { queue, stream, deadLetters, ruleErrors };
}

/** What the ingest function may do with either. */
export function consumption(parameters: Parameters, { queue, stream, deadLetters }: Ways): Grant[] {
  const receive = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ChangeMessageVisibility'];
  const read = [
    'kinesis:DescribeStreamSummary',
    'kinesis:DescribeStream',
    'kinesis:GetRecords',
    'kinesis:GetShardIterator',
    'kinesis:ListShards',
  ];
  return [
    { name: 'Queue', statements: [allow(receive, queue.attrArn)], when: parameters.is.UseSqs },
    { name: 'Stream', statements: [allow(read, stream.attrArn)], when: parameters.is.UseKinesis },
    { name: 'DeadLetters', statements: [allow(['sqs:SendMessage'], deadLetters.attrArn)] },
  ];
}

interface QueueOptions {
  readonly days: number;
  /** Where a message goes that was received too often. */
  readonly deadLetters?: CfnQueue;
}

function addQueue(stack: Stack, parameters: Parameters, id: string, name: string, options: QueueOptions): CfnQueue {
  const { days, deadLetters } = options;
  return new CfnQueue(stack, id, {
    queueName: parameters.named(name),
    sqsManagedSseEnabled: true,
    messageRetentionPeriod: days * DAY_S,
    visibilityTimeout: VISIBILITY_S,
    ...(deadLetters === undefined
      ? {}
      : { redrivePolicy: { deadLetterTargetArn: deadLetters.attrArn, maxReceiveCount: RECEIVES } }),
  });
}

/** No queue takes anything that was not encrypted on its way. */
function addQueuePolicies(stack: Stack, queues: Readonly<Record<string, CfnQueue>>): void {
  for (const [id, queue] of Object.entries(queues)) {
    const policy = new CfnQueuePolicy(stack, `${id}Policy`, {
      queues: [queue.ref],
      policyDocument: {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Deny',
            Principal: '*',
            Action: 'sqs:*',
            Resource: queue.attrArn,
            Condition: { Bool: { 'aws:SecureTransport': 'false' } },
          },
        ],
      },
    });
    if (queue.cfnOptions.condition !== undefined) policy.cfnOptions.condition = queue.cfnOptions.condition;
  }
}

function either(condition: string, yes: string, no: string): string {
  return Fn.conditionIf(condition, yes, no).toString();
}
