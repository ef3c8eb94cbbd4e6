/**
 * The alarms. What each of them means, and what to do about it, is in docs/aws.md under the same name; a test holds the two
 * together. All of them tell the notification topic, when they begin and when they end.
 */
import { CfnAlarm, type CfnAlarmProps } from 'aws-cdk-lib/aws-cloudwatch';
import type { CfnTable } from 'aws-cdk-lib/aws-dynamodb';
import type { CfnTopicRule } from 'aws-cdk-lib/aws-iot';
import type { CfnTopic } from 'aws-cdk-lib/aws-sns';
import type { CfnCondition, Stack } from 'aws-cdk-lib/core';
import { NAMESPACE } from '../metrics.js';
import type { DeployedFunction } from './functions.js';
import type { Ways } from './ingest.js';
import { logicalId } from './logical-id.js';
import type { Parameters } from './parameters.js';
import type { Rules } from './rules.js';

export interface Watched {
  readonly topic: CfnTopic;
  readonly ways: Ways;
  readonly rules: Rules;
  readonly table: CfnTable;
  readonly functions: readonly DeployedFunction[];
  readonly ingest: DeployedFunction;
  readonly receipts: DeployedFunction;
  readonly rollUp: DeployedFunction;
  readonly hook: DeployedFunction;
}

/** Where the numbers come from: one metric, or an expression. */
type Source = Pick<CfnAlarmProps, 'namespace' | 'metricName' | 'dimensions' | 'statistic' | 'period' | 'metrics'>;

const PERIOD_S = 300;

interface Alarm {
  readonly name: string;
  readonly description: string;
  readonly source: Source;
  /** Periods in a row that must be bad; one where it is left out. */
  readonly periods?: number;
  readonly over?: number;
  /** Instead of `over`. */
  readonly under?: number;
  /** No data is what the alarm is about. */
  readonly silenceIsAlarm?: boolean;
  readonly when?: CfnCondition;
}

export function addAlarms(stack: Stack, parameters: Parameters, watched: Watched): void {
  const alarms = [
    ...wayAlarms(parameters, watched),
    ...ruleAlarms(parameters, watched),
    ...functionAlarms(parameters, watched),
    ...ownAlarms(watched),
    ...tableAlarms(watched),
  ];
  for (const alarm of alarms) addAlarm(stack, parameters, watched.topic, alarm);
}

function wayAlarms(parameters: Parameters, { ways, ingest }: Watched): Alarm[] {
  const ofQueue = (name: string, queue: Ways['queue']): Source =>
    metric('AWS/SQS', name, { QueueName: queue.attrQueueName }, 'Maximum');
  return [
    {
      name: 'dead-letters',
      description: 'Something could not be taken in',
      source: ofQueue('ApproximateNumberOfMessagesVisible', ways.deadLetters),
      over: 0,
    },
    {
      name: 'rule-errors',
      description: 'A rule could not pass messages on',
      source: ofQueue('ApproximateNumberOfMessagesVisible', ways.ruleErrors),
      over: 0,
    },
    {
      name: 'queue-age',
      description: 'Batches wait in the queue',
      source: ofQueue('ApproximateAgeOfOldestMessage', ways.queue),
      periods: 3,
      over: parameters.number('AlarmAgeSeconds'),
      when: parameters.is.UseSqs,
    },
    {
      name: 'iterator-age',
      description: 'Batches wait in the stream',
      source: inSeconds(metric('AWS/Lambda', 'IteratorAge', { FunctionName: ingest.resource.ref }, 'Maximum')),
      periods: 3,
      over: parameters.number('AlarmAgeSeconds'),
      when: parameters.is.UseKinesis,
    },
  ];
}

function ruleAlarms(parameters: Parameters, { rules }: Watched): Alarm[] {
  const troubles = Object.entries(rules).flatMap(([kind, rule]): Alarm[] => [
    {
      name: `rule-lost-${kind}`,
      description: `The ${kind} rule could pass messages on neither to their queue nor to the one for errors`,
      source: ofRule('ErrorActionFailure', rule),
      over: 0,
    },
    {
      name: `rule-throttled-${kind}`,
      description: `IoT Core throttles the ${kind} rule`,
      source: metric('AWS/IoT', 'RuleMessageThrottled', { RuleName: rule.ref }),
      over: 0,
    },
  ]);
  const silence: Alarm = {
    name: 'no-data',
    description: 'No gateway has sent a batch',
    source: ofRule('Success', rules.batch, 60),
    periods: parameters.number('AlarmNoDataMinutes'),
    under: 1,
    silenceIsAlarm: true,
  };
  return [...troubles, silence];
}

function functionAlarms(parameters: Parameters, { functions, receipts, rollUp }: Watched): Alarm[] {
  const ofFunction = (name: string, { resource }: DeployedFunction): Source =>
    metric('AWS/Lambda', name, { FunctionName: resource.ref });
  return [
    ...functions.map((one) => ({
      name: `errors-${one.name}`,
      description: `The function ${one.name} fails`,
      source: ofFunction('Errors', one),
      over: parameters.number('AlarmErrors'),
    })),
    ...functions.map((one) => ({
      name: `throttles-${one.name}`,
      description: `The function ${one.name} is throttled`,
      source: ofFunction('Throttles', one),
      periods: 3,
      over: 0,
    })),
    ...[receipts, rollUp].map((one) => ({
      name: `not-run-${one.name}`,
      description: `The schedule does not call the function ${one.name}`,
      source: ofFunction('Invocations', one),
      periods: 3,
      under: 1,
      silenceIsAlarm: true,
    })),
  ];
}

/** Counted by the functions themselves, in the metrics of their logs. */
function ownAlarms({ ingest, receipts, hook }: Watched): Alarm[] {
  const counted = (name: string, { resource }: DeployedFunction): Source =>
    metric(NAMESPACE, name, { Function: resource.ref });
  return [
    ...[ingest, receipts].map((one) => ({
      name: `receipts-failed-${one.name}`,
      description: `IoT Core does not take the receipts of the function ${one.name}`,
      source: counted('receiptsFailed', one),
      periods: 3,
      over: 0,
    })),
    {
      name: 'provisioning-refused',
      description: 'Somebody asked for a certificate and got none',
      source: counted('refused', hook),
      over: 0,
    },
  ];
}

function tableAlarms({ table }: Watched): Alarm[] {
  return ['Read', 'Write'].map((kind) => ({
    name: `table-${kind.toLowerCase()}-throttled`,
    description: 'The table has not the capacity that is asked of it',
    source: metric('AWS/DynamoDB', `${kind}ThrottleEvents`, { TableName: table.ref }),
    periods: 3,
    over: 0,
  }));
}

function addAlarm(stack: Stack, parameters: Parameters, topic: CfnTopic, alarm: Alarm): void {
  const id = `Alarm${logicalId(alarm.name)}`;
  const resource = new CfnAlarm(stack, id, {
    alarmName: parameters.named(alarm.name),
    alarmDescription: `${alarm.description}. What to do: docs/aws.md, ${alarm.name}.`,
    ...alarm.source,
    evaluationPeriods: alarm.periods ?? 1,
    threshold: alarm.under ?? alarm.over ?? 0,
    comparisonOperator: alarm.under === undefined ? 'GreaterThanThreshold' : 'LessThanThreshold',
    treatMissingData: alarm.silenceIsAlarm === true ? 'breaching' : 'notBreaching',
    alarmActions: [topic.ref],
    okActions: [topic.ref],
  });
  if (alarm.when !== undefined) resource.cfnOptions.condition = alarm.when;
}

function metric(
  namespace: string,
  metricName: string,
  dimensions: Readonly<Record<string, string>>,
  statistic: 'Sum' | 'Maximum' = 'Sum',
): Source {
  const list = Object.entries(dimensions).map(([name, value]) => ({ name, value }));
  return { namespace, metricName, dimensions: list, statistic, period: PERIOD_S };
}

/** A metric in milliseconds, for a threshold in seconds: a template cannot multiply. */
function inSeconds({ namespace, metricName, dimensions, statistic }: Source): Source {
  const source = { metric: { namespace, metricName, dimensions }, stat: statistic!, period: PERIOD_S };
  return {
    metrics: [
      { id: 'ms', metricStat: source as CfnAlarm.MetricStatProperty, returnData: false },
      { id: 's', expression: 'ms / 1000', label: 'seconds', returnData: true },
    ],
  };
}

/** Over all kinds of action: metrics of actions have their kind as a dimension. */
function ofRule(name: string, rule: CfnTopicRule, period = PERIOD_S): Source {
  const expression = `SELECT SUM(${name}) FROM "AWS/IoT" WHERE RuleName = '${rule.ref}'`;
  return { metrics: [{ id: 'actions', expression, period, returnData: true }] };
}
