/**
 * What is kept: the table with everything that reports are made of, and the bucket with the batches as they came, from
 * which the table can be rebuilt. Both outlive the stack.
 */
import { CfnScalableTarget, CfnScalingPolicy } from 'aws-cdk-lib/aws-applicationautoscaling';
import { CfnTable } from 'aws-cdk-lib/aws-dynamodb';
import { CfnBucket, CfnBucketPolicy } from 'aws-cdk-lib/aws-s3';
import { Aws, CfnDeletionPolicy, type CfnResource, Fn, type Stack } from 'aws-cdk-lib/core';
import { TABLE, TTL_ATTRIBUTE } from '../../store/dynamo/table.js';
import type { Parameters } from './parameters.js';

export interface Storage {
  readonly table: CfnTable;
  readonly archive: CfnBucket;
}

export function addStorage(stack: Stack, parameters: Parameters): Storage {
  return { table: addTable(stack, parameters), archive: addArchive(stack, parameters) };
}

function addTable(stack: Stack, parameters: Parameters): CfnTable {
  const { TableOnDemand } = parameters.is;
  const provisionedThroughput = Fn.conditionIf(TableOnDemand.logicalId, Aws.NO_VALUE, {
    ReadCapacityUnits: parameters.number('TableReadCapacity'),
    WriteCapacityUnits: parameters.number('TableWriteCapacity'),
  });
  const table = new CfnTable(stack, 'Table', {
    attributeDefinitions: TABLE.AttributeDefinitions.map(({ AttributeName, AttributeType }) => ({
      attributeName: AttributeName,
      attributeType: AttributeType,
    })),
    keySchema: TABLE.KeySchema.map(({ AttributeName, KeyType }) => ({
      attributeName: AttributeName,
      keyType: KeyType,
    })),
    billingMode: Fn.conditionIf(TableOnDemand.logicalId, 'PAY_PER_REQUEST', 'PROVISIONED').toString(),
    provisionedThroughput,
    timeToLiveSpecification: { attributeName: TTL_ATTRIBUTE, enabled: true },
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    sseSpecification: { sseEnabled: true }, // by the key that AWS manages for DynamoDB in this account
    deletionProtectionEnabled: true,
  });
  keep(table);
  addScaling(stack, parameters, table);
  return table;
}

/** Provisioned capacity follows the load, between the parameters. */
function addScaling(stack: Stack, parameters: Parameters, table: CfnTable): void {
  for (const kind of ['Read', 'Write'] as const) {
    const target = new CfnScalableTarget(stack, `Table${kind}Range`, {
      serviceNamespace: 'dynamodb',
      resourceId: `table/${table.ref}`,
      scalableDimension: `dynamodb:table:${kind}CapacityUnits`,
      minCapacity: parameters.number(`Table${kind}Capacity`),
      maxCapacity: parameters.number(`TableMax${kind}Capacity`),
    });
    const policy = new CfnScalingPolicy(stack, `Table${kind}Scaling`, {
      policyName: parameters.named(`table-${kind.toLowerCase()}`),
      policyType: 'TargetTrackingScaling',
      scalingTargetId: target.ref,
      targetTrackingScalingPolicyConfiguration: {
        targetValue: 70,
        predefinedMetricSpecification: { predefinedMetricType: `DynamoDB${kind}CapacityUtilization` },
      },
    });
    for (const resource of [target, policy]) resource.cfnOptions.condition = parameters.is.TableProvisioned;
  }
}

function addArchive(stack: Stack, parameters: Parameters): CfnBucket {
  const bucket = new CfnBucket(stack, 'Archive', {
    bucketEncryption: {
      serverSideEncryptionConfiguration: [{ serverSideEncryptionByDefault: { sseAlgorithm: 'AES256' } }],
    },
    publicAccessBlockConfiguration: {
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    },
    ownershipControls: { rules: [{ objectOwnership: 'BucketOwnerEnforced' }] },
    lifecycleConfiguration: {
      rules: [
        { id: 'parts', status: 'Enabled', abortIncompleteMultipartUpload: { daysAfterInitiation: 2 } },
        Fn.conditionIf(
          parameters.is.ArchiveExpires.logicalId,
          { Id: 'age', Status: 'Enabled', ExpirationInDays: parameters.number('ArchiveDays') },
          Aws.NO_VALUE,
        ),
      ],
    },
  });
  keep(bucket);
  const policy = new CfnBucketPolicy(stack, 'ArchivePolicy', {
    bucket: bucket.ref,
    policyDocument: {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Deny',
          Principal: '*',
          Action: 's3:*',
          Resource: [bucket.attrArn, `${bucket.attrArn}/*`],
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      ],
    },
  });
  keep(policy);
  return bucket;
}

function keep(resource: CfnResource): void {
  resource.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
  resource.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
}
