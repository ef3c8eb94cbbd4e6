/**
 * The rules of IoT Core: batches and status messages go to the queue or the stream, and what cannot be passed on goes to the
 * queue of rule errors. The batch rule takes Basic Ingest too, under its own name.
 */
import { CfnTopicRule } from 'aws-cdk-lib/aws-iot';
import { Fn, type Stack } from 'aws-cdk-lib/core';
import { RULE_SQL_VERSION, type RuleKind, ruleSql } from '../rule.js';
import { addRole, allow } from './access.js';
import type { Ways } from './ingest.js';
import type { Parameters } from './parameters.js';

/** AWS takes letters, digits and underscores. */
export function ruleName(parameters: Parameters, kind: RuleKind): string {
  return `edgetally_${parameters.text('EnvironmentSuffix')}_${kind}`;
}

export interface Rules {
  readonly batch: CfnTopicRule;
  readonly status: CfnTopicRule;
}

export function addRules(stack: Stack, parameters: Parameters, ways: Ways): Rules {
  const { UseSqs, UseKinesis } = parameters.is;
  const role = addRole(stack, 'RuleRole', 'iot.amazonaws.com', [
    { name: 'Queue', statements: [allow(['sqs:SendMessage'], ways.queue.attrArn)], when: UseSqs },
    { name: 'Stream', statements: [allow(['kinesis:PutRecord'], ways.stream.attrArn)], when: UseKinesis },
    { name: 'RuleErrors', statements: [allow(['sqs:SendMessage'], ways.ruleErrors.attrArn)] },
  ]);
  const add = (id: string, kind: RuleKind): CfnTopicRule =>
    new CfnTopicRule(stack, id, {
      ruleName: ruleName(parameters, kind),
      topicRulePayload: {
        description: `Edgetally: every ${kind} message of a gateway, as it came`,
        awsIotSqlVersion: RULE_SQL_VERSION,
        sql: ruleSql(kind),
        actions: [
          // inside of a condition CDK does not translate the names of properties
          Fn.conditionIf(
            UseKinesis.logicalId,
            { Kinesis: { StreamName: ways.stream.ref, PartitionKey: `\${topic()}`, RoleArn: role.attrArn } },
            { Sqs: { QueueUrl: ways.queue.ref, UseBase64: false, RoleArn: role.attrArn } },
          ),
        ],
        errorAction: { sqs: { queueUrl: ways.ruleErrors.ref, useBase64: false, roleArn: role.attrArn } },
      },
    });
  return { batch: add('BatchRule', 'batch'), status: add('StatusRule', 'status') };
}
