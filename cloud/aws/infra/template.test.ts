/** The template: what is committed is what is synthesized, it can be deployed with each choice, and it is closed and sealed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template as Assertions, Match } from 'aws-cdk-lib/assertions';
import t from 'tap';
import { TABLE, TTL_ATTRIBUTE } from '../../store/dynamo/table.js';
import { RULE_SQL_VERSION, ruleSql } from '../rule.js';
import { MAX_POLICY_CHARACTERS, type PolicyDocument, policyCharacters } from './policy/document.js';
import { certificatesPolicy, claimPolicy, gatewayPolicy, httpsPolicy } from './policy/gateway.js';
import { PAGE_PATH, withReference } from './reference.js';
import { PSEUDO, type Resolved, resolve } from './resolved.js';
import { type Resource, synthesize, TEMPLATE_PATH, templateText } from './template.js';

/** Of the repository, from where this file is when it is built. */
const ROOT = join(import.meta.dirname, '../../../..');

const GIVEN = {
  EnvironmentSuffix: 'suffix123456',
  ArtifactBucket: 'artifacts',
  ArtifactPrefix: 'edgetally/1/',
  IotEndpoint: 'abc-ats.iot.eu-central-1.amazonaws.com',
};

const { template, findings } = synthesize(t.testdir());
const assertions = Assertions.fromJSON(template as unknown as Record<string, unknown>);
const usual = resolve(template, GIVEN);
const other = resolve(template, {
  ...GIVEN,
  IngestQueue: 'kinesis',
  ApiAuthorization: 'jwt',
  NotificationEmail: 'a@b',
});
const everything = { ...usual.resources, ...other.resources };

const ofType = (type: string, { resources }: Pick<Resolved, 'resources'> = { resources: everything }) =>
  Object.entries(resources).filter(([, { Type }]) => Type === type) as [string, Resource & { Properties: Any }][];
// biome-ignore lint/suspicious/noExplicitAny: properties of any resource, looked at in tests
type Any = any;

t.test('the committed template is the synthesized one', async (t) => {
  const committed = readFileSync(join(ROOT, TEMPLATE_PATH), 'utf8');
  t.ok(committed === templateText(template), 'or run npm run aws:synth, and look at the difference');
  t.strictSame(findings, [], 'and has nothing that the validator of CDK finds');
});

t.test('with each choice, everything that is referred to is made', async (t) => {
  for (const IngestQueue of ['sqs', 'kinesis', 'kinesis-on-demand']) {
    for (const ApiAuthorization of ['iam', 'jwt', 'none']) {
      for (const TableWriteCapacity of [0, 10]) {
        for (const NotificationEmail of ['', 'a@b']) {
          const choice = { IngestQueue, ApiAuthorization, TableWriteCapacity, NotificationEmail };
          t.doesNotThrow(
            () => resolve(template, { ...GIVEN, ...choice, TableReadCapacity: TableWriteCapacity }),
            JSON.stringify(choice),
          );
        }
      }
    }
  }
  t.equal(ofType('AWS::Lambda::Url', resolve(template, { ...GIVEN, ApiAuthorization: 'none' })).length, 0, 'no API');
});

/** Wildcards that must be: in the name of what nobody can know before, never in that of a kind of resource. */
const OPEN_ENDS = [
  /^<Archive\.Arn>\/\*$/,
  /:topic\/edgetally\/v1\/\*\/down\/receipt$/,
  /^arn:[^*]*:(thing|cert)\/\*$/, // of the provisioning role: things and certificates that are yet to be made
];
/** Actions that know no resources. */
const ANYWHERE = ['iot:ListAttachedPolicies', 'iot:ListPrincipalPolicies', 'iot:RegisterThing'];

t.test('what a role may do, it may do on named resources', async (t) => {
  const documents = [
    ...ofType('AWS::IAM::Role').flatMap(([id, { Properties }]) =>
      Properties.Policies.map(({ PolicyDocument }: Any) => [id, PolicyDocument]),
    ),
    ...ofType('AWS::IAM::ManagedPolicy').map(([id, { Properties }]) => [id, Properties.PolicyDocument]),
  ] as [string, { Statement: Record<string, Any>[] }][];
  t.ok(documents.length > 15);
  for (const [id, { Statement }] of documents) {
    for (const { Effect, Action, Resource: resources, ...rest } of Statement) {
      const what = `${id}: ${Action}`;
      t.equal(Effect, 'Allow', what);
      t.strictSame(
        Object.keys(rest).filter((key) => key !== 'Condition'),
        [],
        `${what}: no NotAction, no NotResource`,
      );
      t.notOk(
        [Action].flat().some((action: string) => action.includes('*')),
        `${what}: each action is named`,
      );
      for (const resource of [resources].flat() as string[]) {
        if (resource === '*' && id === 'ProvisioningRole') {
          t.strictSame([...Action].sort(), ANYWHERE, `${what}: on all resources`);
        } else {
          const isOpen = resource.includes('*') && !OPEN_ENDS.some((open) => open.test(resource));
          t.notOk(isOpen, `${what} on ${resource}`);
        }
      }
    }
  }
});

t.test('each function has its own role, its own log, and none can do what another needs', async (t) => {
  const functions = ofType('AWS::Lambda::Function');
  t.strictSame(
    functions.map(([id]) => id).sort(),
    ['Api', 'Ingest', 'ProvisioningHook', 'Receipts', 'RollUp'],
    'these functions',
  );
  for (const [id, { Properties }] of functions) {
    t.match(Properties, {
      Runtime: 'nodejs22.x',
      Architectures: ['arm64'],
      Handler: 'index.handler',
      Role: `<${id}Role.Arn>`,
      LoggingConfig: { LogGroup: `<${id}Logs>` },
    });
  }
  const mayDo = (role: string): string[] => {
    const policies: Any[] = (everything[role] as Any).Properties.Policies;
    return policies.flatMap(({ PolicyDocument }) => PolicyDocument.Statement.flatMap(({ Action }: Any) => Action));
  };
  const writes = (role: string) =>
    mayDo(role).filter((action) => /:(Put|Update|Delete|BatchWrite|Publish|Send)/.test(action));
  t.strictSame(writes('ApiRole'), ['logs:PutLogEvents'], 'reports change nothing');
  t.notOk(mayDo('RollUpRole').includes('iot:Publish'), 'roll-ups speak to no gateway');
  t.strictSame(
    mayDo('ProvisioningHookRole').filter((action) => action.startsWith('dynamodb:')),
    ['dynamodb:GetItem', 'dynamodb:UpdateItem'],
  );
  t.match(JSON.stringify(everything.ProvisioningHookRole), /Serials/);
  t.notMatch(JSON.stringify(everything.ProvisioningHookRole), /<Table/, 'the hook does not reach the store');
});

t.test('a function is given the variables that it asks for, and no others', async (t) => {
  for (const [id, { Properties }] of ofType('AWS::Lambda::Function')) {
    const name = Properties.FunctionName.replace('edgetally-suffix123456-', '');
    const source = readFileSync(join(ROOT, `cloud/aws/functions/${name}.ts`), 'utf8');
    const asked = new Set(source.match(/EDGETALLY_[A-Z_]+/g));
    const given = Object.keys(Properties.Environment.Variables).filter((variable) => variable.startsWith('EDGETALLY_'));
    t.strictSame(given.sort(), [...asked].sort(), id);
  }
  const variables = (choice: Record<string, string>) =>
    (resolve(template, { ...GIVEN, ...choice }).resources.Ingest as Any).Properties.Environment.Variables;
  t.equal(variables({}).EDGETALLY_RECEIPT_DELAY, '900s');
  t.equal(variables({}).EDGETALLY_ARCHIVE_BUCKET, '<Archive>');
  t.equal(variables({ ArchiveBatches: 'no' }).EDGETALLY_ARCHIVE_BUCKET, '');
});

t.test('everything that holds data is encrypted, and kept', async (t) => {
  for (const [id, { Properties }] of ofType('AWS::DynamoDB::Table')) {
    t.equal(Properties.SSESpecification?.SSEEnabled, true, `${id} is encrypted`);
    t.equal(Properties.PointInTimeRecoverySpecification?.PointInTimeRecoveryEnabled, true, `${id} can be restored`);
  }
  for (const [id, { Properties }] of ofType('AWS::SQS::Queue')) t.equal(Properties.SqsManagedSseEnabled, true, id);
  for (const [id, { Properties }] of ofType('AWS::Kinesis::Stream')) {
    t.equal(Properties.StreamEncryption?.EncryptionType, 'KMS', id);
  }
  for (const [id, { Properties }] of ofType('AWS::SNS::Topic')) t.ok(Properties.KmsMasterKeyId, id);
  for (const [id, { Properties }] of ofType('AWS::KMS::Key')) t.equal(Properties.EnableKeyRotation, true, id);
  for (const [id, { Properties }] of ofType('AWS::S3::Bucket')) {
    t.ok(
      Properties.BucketEncryption.ServerSideEncryptionConfiguration[0].ServerSideEncryptionByDefault.SSEAlgorithm,
      id,
    );
    t.strictSame(
      Object.values(Properties.PublicAccessBlockConfiguration),
      [true, true, true, true],
      `${id}: not public`,
    );
  }
  for (const id of ['Table', 'Serials', 'Archive']) t.equal(template.Resources[id]?.DeletionPolicy, 'Retain', id);
  const holders =
    /^AWS::(DynamoDB|S3|SQS|SNS|Kinesis|KinesisFirehose|EFS|RDS|ElastiCache|Timestream|SecretsManager|SSM)::/;
  const known = [
    'Table',
    'Bucket',
    'BucketPolicy',
    'Queue',
    'QueuePolicy',
    'Topic',
    'TopicPolicy',
    'Subscription',
    'Stream',
  ];
  const kinds = Object.values(everything).filter(({ Type }) => holders.test(Type));
  t.strictSame(
    kinds.filter(({ Type }) => !known.includes(Type.split('::')[2]!)),
    [],
    'no other kind that holds data',
  );
});

t.test('queues, bucket and topic take nothing that came in the clear', async (t) => {
  const documents = [
    ...ofType('AWS::SQS::QueuePolicy').map(([, { Properties }]) => [Properties.Queues, Properties.PolicyDocument]),
    ...ofType('AWS::S3::BucketPolicy').map(([, { Properties }]) => [[Properties.Bucket], Properties.PolicyDocument]),
    ...ofType('AWS::SNS::TopicPolicy').map(([, { Properties }]) => [Properties.Topics, Properties.PolicyDocument]),
  ] as [string[], { Statement: Any[] }][];
  for (const [targets, { Statement }] of documents) {
    const deny = Statement.find(({ Effect }) => Effect === 'Deny');
    t.match(deny, { Principal: '*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }, targets.join());
    const open = Statement.filter(({ Effect, Principal }) => Effect === 'Allow' && Principal === '*');
    t.strictSame(open, [], `${targets}: nobody else's`);
  }
  const covered = documents.flatMap(([targets]) => targets).sort();
  const all = ['AWS::SQS::Queue', 'AWS::S3::Bucket', 'AWS::SNS::Topic'].flatMap((type) => ofType(type));
  t.strictSame(covered, all.map(([id]) => `<${id}>`).sort(), 'all of them');
});

t.test('the table is the one that the store is tested with', async (t) => {
  const { Properties } = everything.Table as Any;
  t.strictSame(Properties.KeySchema, TABLE.KeySchema);
  t.strictSame(Properties.AttributeDefinitions, TABLE.AttributeDefinitions);
  t.strictSame(Properties.TimeToLiveSpecification, { AttributeName: TTL_ATTRIBUTE, Enabled: true });
  t.equal(Properties.BillingMode, 'PAY_PER_REQUEST');
  const provisioned = resolve(template, { ...GIVEN, TableReadCapacity: 5, TableWriteCapacity: 7 });
  t.match(provisioned.resources.Table!.Properties, {
    BillingMode: 'PROVISIONED',
    ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 7 },
  });
  t.equal(ofType('AWS::ApplicationAutoScaling::ScalableTarget', provisioned).length, 2, 'and follows the load');
});

t.test('rules pass messages on as they came, and what they cannot pass on to the queue of errors', async (t) => {
  for (const kind of ['batch', 'status'] as const) {
    const [toQueue, toStream] = [usual, other].map(
      ({ resources }) => (resources[kind === 'batch' ? 'BatchRule' : 'StatusRule'] as Any).Properties,
    );
    t.equal(toQueue.RuleName, `edgetally_suffix123456_${kind}`);
    t.match(toQueue.TopicRulePayload, {
      Sql: ruleSql(kind),
      AwsIotSqlVersion: RULE_SQL_VERSION,
      Actions: [{ Sqs: { QueueUrl: '<Queue>', UseBase64: false } }],
      ErrorAction: { Sqs: { QueueUrl: '<RuleErrors>' } },
    });
    t.match(toStream.TopicRulePayload.Actions, [{ Kinesis: { StreamName: '<Stream>' } }]);
  }
});

t.test('what fails comes again, and not for ever', async (t) => {
  for (const [id, { Properties }] of ofType('AWS::Lambda::EventSourceMapping')) {
    t.strictSame(Properties.FunctionResponseTypes, ['ReportBatchItemFailures'], id);
  }
  assertions.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
    StartingPosition: 'TRIM_HORIZON',
    MaximumRetryAttempts: 10,
    MaximumRecordAgeInSeconds: Match.anyValue(),
    BisectBatchOnFunctionError: true,
    DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['DeadLetters', 'Arn'] } } },
  });
  const { Queue, Ingest } = everything as Any;
  t.strictSame(Queue.Properties.RedrivePolicy, { deadLetterTargetArn: '<DeadLetters.Arn>', maxReceiveCount: 5 });
  t.ok(
    Queue.Properties.VisibilityTimeout >= 6 * Ingest.Properties.Timeout,
    'nobody else takes what is being worked on',
  );
});

t.test('the policies in the template are the ones that the evaluator was asked about, and fit', async (t) => {
  const arn = `arn:${PSEUDO['AWS::Partition']}:iot:${PSEUDO['AWS::Region']}:${PSEUDO['AWS::AccountId']}`;
  const { BatchRule, ProvisioningTemplate } = everything as Any;
  const names = {
    arn,
    batchRule: BatchRule.Properties.RuleName,
    provisioningTemplate: ProvisioningTemplate.Properties.TemplateName,
  };
  const expected: Record<string, PolicyDocument> = {
    GatewayPolicy: gatewayPolicy(names),
    HttpsPolicy: httpsPolicy(names),
    CertificatesPolicy: certificatesPolicy(names),
    ClaimPolicy: claimPolicy(names),
  };
  t.strictSame(
    ofType('AWS::IoT::Policy')
      .map(([id]) => id)
      .sort(),
    Object.keys(expected).sort(),
  );
  for (const [id, { Properties }] of ofType('AWS::IoT::Policy')) {
    t.strictSame(Properties.PolicyDocument, expected[id], id);
    t.ok(policyCharacters(Properties.PolicyDocument) <= MAX_POLICY_CHARACTERS, `${id} fits`);
  }
});

t.test(
  'a gateway is provisioned after the hook, with the policies of a gateway and never that of a claim',
  async (t) => {
    const { Properties } = everything.ProvisioningTemplate as Any;
    t.match(Properties, {
      Enabled: true,
      TemplateType: 'FLEET_PROVISIONING',
      PreProvisioningHook: { PayloadVersion: '2020-04-01', TargetArn: '<ProvisioningHook.Arn>' },
    });
    const body = JSON.parse(Properties.TemplateBody);
    t.ok(Properties.TemplateBody.length < 10_240, 'AWS takes 10 KB');
    t.match(body.Resources, {
      thing: { Properties: { ThingName: { Ref: 'GatewayName' }, ThingTypeName: '<ThingType>' } },
      certificate: { Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' } },
    });
    const policies = Object.values(body.Resources as Record<string, Any>).filter(
      ({ Type }) => Type === 'AWS::IoT::Policy',
    );
    t.strictSame(
      policies.map(({ Properties: { PolicyName } }) => PolicyName),
      ['<GatewayPolicy>', '<HttpsPolicy>', '<CertificatesPolicy>'],
    );
    t.strictSame(body.DeviceConfiguration, { basicIngestRule: 'edgetally_suffix123456_batch' });
    t.match((everything.ProvisioningHookPermission as Any).Properties, {
      Principal: 'iot.amazonaws.com',
      SourceAccount: '123456789012',
      SourceArn: /:provisioningtemplate\/edgetally-suffix123456$/,
    });
  },
);

t.test('nobody asks for reports without saying who they are', async (t) => {
  for (const [, { Properties }] of ofType('AWS::Lambda::Url')) t.equal(Properties.AuthType, 'AWS_IAM');
  for (const [, { Properties }] of ofType('AWS::ApiGatewayV2::Route')) {
    t.match(Properties, { AuthorizationType: 'JWT', AuthorizerId: '<HttpApiAuthorizer>' });
  }
  const principals = ofType('AWS::Lambda::Permission').map(([, { Properties }]) => Properties);
  for (const { Principal, SourceArn } of principals) {
    t.match(Principal, /^(apigateway|events|iot)\.amazonaws\.com$/);
    t.ok(SourceArn, `${Principal}: from one source only`);
  }
});

t.test('alarms: each tells somebody, and every function and queue has its own', async (t) => {
  const alarms = ofType('AWS::CloudWatch::Alarm');
  for (const [id, { Properties }] of alarms) {
    t.strictSame([Properties.AlarmActions, Properties.OKActions], [['<Notifications>'], ['<Notifications>']], id);
  }
  const names = alarms.map(([, { Properties }]) => Properties.AlarmName.replace('edgetally-suffix123456-', ''));
  for (const [, { Properties }] of ofType('AWS::Lambda::Function')) {
    const name = Properties.FunctionName.replace('edgetally-suffix123456-', '');
    for (const kind of ['errors', 'throttles']) t.ok(names.includes(`${kind}-${name}`), `${kind}-${name}`);
  }
  for (const name of ['dead-letters', 'rule-errors', 'queue-age', 'iterator-age', 'no-data'])
    t.ok(names.includes(name), name);
  const silence = (everything.AlarmNoData as Any).Properties;
  t.equal(silence.TreatMissingData, 'breaching', 'where nothing comes there is no metric');
});

t.test('the documentation knows every parameter, output and alarm', async (t) => {
  const page = readFileSync(join(ROOT, PAGE_PATH), 'utf8');
  t.ok(withReference(page, template) === page, 'or run npm run aws:synth');
  const headings = page.match(/^### .*$/gm)!.flatMap((heading) => heading.slice(4).split(', '));
  const names = ofType('AWS::CloudWatch::Alarm').map(([, { Properties }]) => Properties.AlarmName);
  for (const name of names) t.ok(headings.includes(name.replace('edgetally-suffix123456-', '')), name);
});

t.test('alerts: all into the log, critical ones to the topic', async (t) => {
  t.match((everything.CriticalAlerts as Any).Properties, {
    EventPattern: { source: ['edgetally'], detail: { severity: ['critical'] } },
    Targets: [{ Arn: '<Notifications>' }],
  });
  t.match((everything.AllAlerts as Any).Properties, { EventPattern: { source: ['edgetally'] } });
  t.equal(ofType('AWS::SNS::Subscription', usual).length, 0, 'without an address nobody is written to');
  t.equal(ofType('AWS::SNS::Subscription', other).length, 1);
});

t.test('logs end', async (t) => {
  for (const [id, { Properties }] of ofType('AWS::Logs::LogGroup')) t.equal(Properties.RetentionInDays, 30, id);
});
