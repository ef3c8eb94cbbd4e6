/** The functions themselves: what each is given, what each may do, and when it is called. */
import { CfnRule } from 'aws-cdk-lib/aws-events';
import { CfnPermission } from 'aws-cdk-lib/aws-lambda';
import { Aws, Fn, type Stack } from 'aws-cdk-lib/core';
import { downTopic } from '../../../shared/topics.js';
import { allow, type Grant, grant } from './access.js';
import type { Alerts } from './alerts.js';
import { addFunction, type DeployedFunction } from './functions.js';
import { consumption, INGEST_TIMEOUT_S, type Ways } from './ingest.js';
import { logicalId } from './logical-id.js';
import type { Parameters } from './parameters.js';
import type { Storage } from './storage.js';

export interface Handlers {
  readonly ingest: DeployedFunction;
  readonly receipts: DeployedFunction;
  readonly rollUp: DeployedFunction;
  readonly report: DeployedFunction;
}

export function addHandlers(
  stack: Stack,
  parameters: Parameters,
  { storage, ways, alerts }: { storage: Storage; ways: Ways; alerts: Alerts },
): Handlers {
  const table = { EDGETALLY_TABLE: storage.table.ref };
  const sending = {
    EDGETALLY_IOT_ENDPOINT: parameters.text('IotEndpoint'),
    EDGETALLY_RECEIPT_DELAY: `${parameters.text('ReceiptDelaySeconds')}s`,
  };
  const ingest = addFunction(stack, parameters, {
    name: 'ingest',
    description: 'Takes batches and status messages into the table',
    memoryMb: 512,
    timeoutSeconds: INGEST_TIMEOUT_S,
    environment: {
      ...table,
      ...sending,
      EDGETALLY_ALERT_BUS: alerts.bus.ref,
      // CloudFormation cannot leave a variable out
      EDGETALLY_ARCHIVE_BUCKET: Fn.conditionIf(parameters.is.UseArchive.logicalId, storage.archive.ref, '').toString(),
      EDGETALLY_DLQ_URL: ways.deadLetters.ref,
    },
    grants: [
      readWrite(storage),
      grant('Archive', allow(['s3:PutObject'], `${storage.archive.attrArn}/*`)),
      publishReceipts(),
      grant('Alerts', allow(['events:PutEvents'], alerts.bus.attrArn)),
      ...consumption(parameters, ways),
    ],
  });
  const receipts = addFunction(stack, parameters, {
    name: 'receipts',
    description: 'Sends the receipts that are due',
    memoryMb: 256,
    timeoutSeconds: 60,
    environment: { ...table, ...sending },
    grants: [readWrite(storage), publishReceipts()],
  });
  const rollUp = addFunction(stack, parameters, {
    name: 'roll-up',
    description: 'Brings hours and days up to date',
    memoryMb: 512,
    timeoutSeconds: 300,
    environment: table,
    grants: [readWrite(storage)],
  });
  const report = addFunction(stack, parameters, {
    name: 'api',
    description: 'Answers reports',
    memoryMb: 1024,
    timeoutSeconds: 29, // an HTTP API waits for 30
    environment: table,
    grants: [read(storage)],
  });
  for (const one of [receipts, rollUp]) addSchedule(stack, one);
  return { ingest, receipts, rollUp, report };
}

const READ = ['dynamodb:BatchGetItem', 'dynamodb:GetItem', 'dynamodb:Query'];
const WRITE = ['dynamodb:DeleteItem', 'dynamodb:PutItem'];

function read({ table }: Storage): Grant {
  return grant('Table', allow(READ, table.attrArn));
}

function readWrite({ table }: Storage): Grant {
  return grant('Table', allow([...READ, ...WRITE], table.attrArn));
}

/** To every gateway, and nothing but receipts. */
function publishReceipts(): Grant {
  const topic = downTopic('*', 'receipt');
  return grant(
    'Receipts',
    allow(['iot:Publish'], `arn:${Aws.PARTITION}:iot:${Aws.REGION}:${Aws.ACCOUNT_ID}:topic/${topic}`),
  );
}

function addSchedule(stack: Stack, called: DeployedFunction): void {
  const id = logicalId(called.name);
  const schedule = new CfnRule(stack, `${id}Schedule`, {
    description: `Calls the function ${called.name} every minute`,
    scheduleExpression: 'rate(1 minute)',
    targets: [{ id: 'function', arn: called.arn, retryPolicy: { maximumRetryAttempts: 0 } }],
  });
  new CfnPermission(stack, `${id}SchedulePermission`, {
    action: 'lambda:InvokeFunction',
    functionName: called.resource.ref,
    principal: 'events.amazonaws.com',
    sourceArn: schedule.attrArn,
  });
}
