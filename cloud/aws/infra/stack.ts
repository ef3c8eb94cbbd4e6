/**
 * The cloud half on AWS, in the order in which a batch goes through it:
 *
 *   gateway ─▶ rule ─▶ queue or stream ─▶ ingest ─▶ table, archive      receipts ─▶ gateway
 *                                           roll-up ─▶ table            api ─▶ reports
 *
 * and beside it provisioning, alerts and alarms. One region, one account; everything that may differ is a parameter.
 */
import {
  CfnOutput,
  type CfnOutputProps,
  type IStackSynthesizer,
  LegacyStackSynthesizer,
  Stack,
} from 'aws-cdk-lib/core';
import type { Construct } from 'constructs';
import { addAlarms } from './alarms.js';
import { addAlerts } from './alerts.js';
import { addApi } from './api.js';
import { addHandlers } from './handlers.js';
import { addWays } from './ingest.js';
import { addMappings } from './mappings.js';
import { declareParameters } from './parameters.js';
import { addProvisioning } from './provisioning.js';
import { addRules } from './rules.js';
import { addStorage } from './storage.js';

export function addStack(scope: Construct): Stack {
  const stack = new Stack(scope, 'Edgetally', {
    description: 'Edgetally, the cloud half: windows of gateways in, reports out',
    // no bootstrap stack, no assets: the template can be deployed by anybody with the aws command
    synthesizer: new LegacyStackSynthesizer() as IStackSynthesizer, // its types do not know exactOptionalPropertyTypes
    analyticsReporting: false,
  });
  const parameters = declareParameters(stack);
  const storage = addStorage(stack, parameters);
  const alerts = addAlerts(stack, parameters);
  const ways = addWays(stack, parameters);
  const rules = addRules(stack, parameters, ways);
  const handlers = addHandlers(stack, parameters, { storage, ways, alerts });
  addMappings(stack, parameters, ways, handlers.ingest);
  const api = addApi(stack, parameters, handlers.report);
  const provisioning = addProvisioning(stack, parameters);
  addAlarms(stack, parameters, {
    topic: alerts.topic,
    ways,
    rules,
    table: storage.table,
    functions: [...Object.values(handlers), provisioning.hook],
    ...handlers,
    hook: provisioning.hook,
  });
  addOutputs(stack, {
    Endpoint: {
      description: 'Where gateways connect: push.url is mqtts://<this>:8883',
      value: parameters.text('IotEndpoint'),
    },
    BatchRule: { description: 'For Basic Ingest: push.basicIngestRule', value: rules.batch.ref },
    ProvisioningTemplate: { description: 'Name that gateways enroll by', value: provisioning.template.ref },
    ClaimPolicy: { description: 'IoT policy to attach to claim certificates', value: provisioning.claim.ref },
    SerialsTable: { description: 'Table with the serial numbers that may enroll', value: provisioning.serials.ref },
    TableName: { description: 'Table with windows, roll-ups and gateways', value: storage.table.ref },
    ArchiveBucket: { description: 'Bucket with batches as they came', value: storage.archive.ref },
    DeadLetterQueue: { description: 'URL of the queue with what could not be taken in', value: ways.deadLetters.ref },
    RuleErrorQueue: {
      description: 'URL of the queue with what the rules could not pass on',
      value: ways.ruleErrors.ref,
    },
    AlertBus: { description: 'Event bus with alerts, for rules of your own', value: alerts.bus.ref },
    NotificationTopic: { description: 'SNS topic that tells of alarms and critical alerts', value: alerts.topic.ref },
    ReportFunctionUrl: {
      description: 'Where reports are asked for, with a signature (IAM)',
      value: api.url.attrFunctionUrl,
      condition: parameters.is.UseIamApi,
    },
    ReportReadersPolicy: {
      description: 'Managed policy for those who may ask for reports',
      value: api.readers.ref,
      condition: parameters.is.UseIamApi,
    },
    ReportApi: {
      description: 'Where reports are asked for, with a token (JWT)',
      value: api.http.attrApiEndpoint,
      condition: parameters.is.UseJwtApi,
    },
  });
  return stack;
}

function addOutputs(stack: Stack, outputs: Readonly<Record<string, CfnOutputProps>>): void {
  for (const [name, output] of Object.entries(outputs)) {
    new CfnOutput(stack, `${name}Output`, output).overrideLogicalId(name);
  }
}
