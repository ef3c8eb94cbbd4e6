/**
 * A Lambda function with its role and its log group. The code comes from the bucket that the parameters name, one zip a
 * function, made by `npm run aws:build`.
 */
import { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import { CfnLogGroup } from 'aws-cdk-lib/aws-logs';
import { CfnDeletionPolicy, type Stack } from 'aws-cdk-lib/core';
import { addRole, allow, type Grant, grant } from './access.js';
import { logicalId } from './logical-id.js';
import type { Parameters } from './parameters.js';

export interface FunctionOptions {
  /** Of the zip file and of the function: small letters and dashes. */
  readonly name: string;
  readonly description: string;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly grants: readonly Grant[];
}

export interface DeployedFunction {
  readonly name: string;
  readonly resource: CfnFunction;
  readonly arn: string;
}

export function addFunction(stack: Stack, parameters: Parameters, options: FunctionOptions): DeployedFunction {
  const id = logicalId(options.name);
  const functionName = parameters.named(options.name);
  const logs = addLogGroup(stack, parameters, `${id}Logs`, `/aws/lambda/${functionName}`);
  const role = addRole(stack, `${id}Role`, 'lambda.amazonaws.com', [
    // attrArn ends with :* , which stands for the streams of this group
    grant('Logs', allow(['logs:CreateLogStream', 'logs:PutLogEvents'], logs.attrArn)),
    ...options.grants,
  ]);
  const resource = new CfnFunction(stack, id, {
    functionName,
    description: options.description,
    runtime: 'nodejs22.x',
    architectures: ['arm64'],
    handler: 'index.handler',
    code: {
      s3Bucket: parameters.text('ArtifactBucket'),
      s3Key: `${parameters.text('ArtifactPrefix')}${options.name}.zip`,
    },
    memorySize: options.memoryMb,
    timeout: options.timeoutSeconds,
    role: role.attrArn,
    environment: { variables: { NODE_OPTIONS: '--enable-source-maps', ...options.environment } },
    // our lines are JSON already
    loggingConfig: { logFormat: 'Text', logGroup: logs.ref },
  });
  return { name: options.name, resource, arn: resource.attrArn };
}

/** CloudWatch encrypts every log group with a key that it manages. */
export function addLogGroup(stack: Stack, parameters: Parameters, id: string, logGroupName: string): CfnLogGroup {
  const group = new CfnLogGroup(stack, id, { logGroupName, retentionInDays: parameters.number('LogDays') });
  // logs are still wanted when the stack is updated; they go with the stack
  group.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
  return group;
}
