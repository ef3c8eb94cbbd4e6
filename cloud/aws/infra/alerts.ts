/**
 * How somebody gets to know: an event bus that takes the alerts of the functions (warning and critical), a log of all of
 * them, and a topic that tells a human of the critical ones and of alarms.
 */
import { CfnEventBus, CfnRule } from 'aws-cdk-lib/aws-events';
import { CfnKey } from 'aws-cdk-lib/aws-kms';
import { CfnResourcePolicy } from 'aws-cdk-lib/aws-logs';
import { CfnSubscription, CfnTopic, CfnTopicPolicy } from 'aws-cdk-lib/aws-sns';
import { Aws, Fn, type Stack } from 'aws-cdk-lib/core';
import { addLogGroup } from './functions.js';
import type { Parameters } from './parameters.js';

/** `source` of an alert's event. */
export const ALERT_SOURCE = 'edgetally';

export interface Alerts {
  readonly bus: CfnEventBus;
  readonly topic: CfnTopic;
}

export function addAlerts(stack: Stack, parameters: Parameters): Alerts {
  const topic = addTopic(stack, parameters);
  const bus = new CfnEventBus(stack, 'AlertBus', { name: parameters.named('alerts') });
  const critical = new CfnRule(stack, 'CriticalAlerts', {
    description: 'Critical alerts go to the notification address',
    eventBusName: bus.ref,
    eventPattern: { source: [ALERT_SOURCE], detail: { severity: ['critical'] } },
    targets: [{ id: 'notification', arn: topic.ref }],
  });
  addTopicPolicy(stack, topic, critical);
  addAlertLog(stack, parameters, bus);
  return { bus, topic };
}

/**
 * The one key of our own: CloudWatch and EventBridge cannot publish to a topic under a key that AWS manages. Everything
 * else is encrypted with keys that the services manage.
 */
function addTopic(stack: Stack, parameters: Parameters): CfnTopic {
  const inThisAccount = { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } };
  const key = new CfnKey(stack, 'NotificationKey', {
    description: 'Messages of alarms and critical alerts',
    enableKeyRotation: true,
    keyPolicy: {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { AWS: Fn.join('', ['arn:', Aws.PARTITION, ':iam::', Aws.ACCOUNT_ID, ':root']) },
          Action: 'kms:*',
          Resource: '*', // in the policy of a key: this key
        },
        {
          Effect: 'Allow',
          Principal: { Service: ['cloudwatch.amazonaws.com', 'events.amazonaws.com'] },
          Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
          Resource: '*',
          Condition: inThisAccount,
        },
      ],
    },
  });
  const topic = new CfnTopic(stack, 'Notifications', {
    topicName: parameters.named('notifications'),
    kmsMasterKeyId: key.attrArn,
  });
  const subscription = new CfnSubscription(stack, 'NotificationAddress', {
    topicArn: topic.ref,
    protocol: 'email',
    endpoint: parameters.text('NotificationEmail'),
  });
  subscription.cfnOptions.condition = parameters.is.HasNotification;
  return topic;
}

function addTopicPolicy(stack: Stack, topic: CfnTopic, critical: CfnRule): void {
  new CfnTopicPolicy(stack, 'NotificationsPolicy', {
    topics: [topic.ref],
    policyDocument: {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { Service: 'cloudwatch.amazonaws.com' },
          Action: 'sns:Publish',
          Resource: topic.ref,
          Condition: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
        },
        {
          Effect: 'Allow',
          Principal: { Service: 'events.amazonaws.com' },
          Action: 'sns:Publish',
          Resource: topic.ref,
          Condition: { ArnEquals: { 'aws:SourceArn': critical.attrArn } },
        },
        {
          Effect: 'Deny',
          Principal: '*',
          Action: 'sns:Publish',
          Resource: topic.ref,
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      ],
    },
  });
}

/** Warnings wake nobody; here they can be read and searched. */
function addAlertLog(stack: Stack, parameters: Parameters, bus: CfnEventBus): void {
  const group = addLogGroup(stack, parameters, 'AlertLogs', `/aws/events/${parameters.named('alerts')}`);
  const rule = new CfnRule(stack, 'AllAlerts', {
    description: 'Every alert goes to the log',
    eventBusName: bus.ref,
    eventPattern: { source: [ALERT_SOURCE] },
    targets: [{ id: 'log', arn: groupArn(group.ref) }],
  });
  new CfnResourcePolicy(stack, 'AlertLogsPolicy', {
    policyName: parameters.named('alert-logs'),
    policyDocument: stack.toJsonString({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { Service: ['events.amazonaws.com', 'delivery.logs.amazonaws.com'] },
          Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
          Resource: group.attrArn,
          Condition: { ArnEquals: { 'aws:SourceArn': rule.attrArn } },
        },
      ],
    }),
  });
}

/** As a target wants it, without the `:*` for its streams. */
function groupArn(name: string): string {
  return `arn:${Aws.PARTITION}:logs:${Aws.REGION}:${Aws.ACCOUNT_ID}:log-group:${name}`;
}
