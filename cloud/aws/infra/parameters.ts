/**
 * The parameters of the CloudFormation template, their defaults, and the conditions that follow from them. What is written
 * here is what `aws cloudformation deploy` and docs/aws.md show; nothing is decided at synthesis.
 */
import { CfnCondition, CfnParameter, type CfnParameterProps, CfnRule, Fn, type Stack } from 'aws-cdk-lib/core';

const text = (description: string, rest: Omit<CfnParameterProps, 'type'> = {}): CfnParameterProps => ({
  type: 'String',
  description,
  ...rest,
});
const number = (description: string, preset: number, minValue: number, maxValue: number): CfnParameterProps => ({
  type: 'Number',
  description,
  default: preset,
  minValue,
  maxValue,
});

/** Retentions that CloudWatch Logs knows. */
const LOG_DAYS = ['1', '3', '5', '7', '14', '30', '60', '90', '120', '150', '180', '365', '400', '545', '731', '1096'];

const DECLARED = {
  EnvironmentSuffix: text('Part of every name, so that several environments fit into one account and region.', {
    default: 'prod',
    allowedPattern: '[a-z][a-z0-9]{0,11}',
    constraintDescription: 'up to 12 small letters and digits, a letter first',
  }),
  ArtifactBucket: text('Bucket, in this region, that holds the zip files of the functions.'),
  ArtifactPrefix: text('Key prefix of the zip files, as npm run aws:build prints it, ending with a slash.', {
    allowedPattern: '.*/',
    constraintDescription: 'must end with a slash',
  }),
  IotEndpoint: text(
    "This account's data endpoint: aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress.",
    { allowedPattern: '[a-z0-9-]+\\.iot\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?' },
  ),
  NotificationEmail: text('Who is told of alarms and critical alerts; asked once to confirm. Empty: nobody.', {
    default: '',
    allowedPattern: '([^@\\s]+@[^@\\s]+)?',
  }),
  IngestQueue: text('What stands between the rule and the functions.', {
    default: 'sqs',
    allowedValues: ['sqs', 'kinesis', 'kinesis-on-demand'],
  }),
  KinesisShards: number('Shards of the stream, with kinesis.', 1, 1, 500),
  IngestConcurrency: number('Ingest functions at one time, with sqs: a cap on what the table must take.', 10, 2, 1000),
  IngestWindowSeconds: number('How long messages are gathered for one call of the ingest function.', 5, 1, 300),
  ReceiptDelaySeconds: number('Receipts of one gateway are gathered this long and sent in one message.', 900, 0, 3600),
  TableReadCapacity: number('Least read capacity of the table; 0: on demand.', 0, 0, 40000),
  TableWriteCapacity: number('Least write capacity of the table; 0: on demand.', 0, 0, 40000),
  TableMaxReadCapacity: number('Where read capacity is provisioned: what it may grow to.', 1000, 1, 40000),
  TableMaxWriteCapacity: number('Where write capacity is provisioned: what it may grow to.', 2000, 1, 40000),
  ArchiveBatches: text('Whether batches are kept as they came, in S3, to be replayed: a request to S3 for each.', {
    default: 'yes',
    allowedValues: ['yes', 'no'],
  }),
  ArchiveDays: number('How long the archive keeps them; 0: for ever.', 400, 0, 36500),
  LogDays: { type: 'Number', description: 'How long logs are kept.', default: 30, allowedValues: LOG_DAYS },
  ApiAuthorization: text(
    'Who may ask for reports: IAM identities (function URL), bearers of a JWT (HTTP API), nobody.',
    {
      default: 'iam',
      allowedValues: ['iam', 'jwt', 'none'],
    },
  ),
  JwtIssuer: text('With jwt: issuer URL of the tokens, https://…', {
    default: '',
    allowedPattern: '(https://.+)?',
  }),
  JwtAudience: text('With jwt: audience of the tokens.', { default: '' }),
  AlarmNoDataMinutes: number('Alarm when no gateway has sent a batch for this long.', 15, 1, 180),
  AlarmAgeSeconds: number('Alarm when what waits for the ingest function is older than this.', 600, 60, 86400),
  AlarmErrors: number('Alarm when a function fails more often than this in five minutes.', 5, 1, 10000),
} as const satisfies Record<string, CfnParameterProps>;

export type ParameterName = keyof typeof DECLARED;

/** How the console groups them. */
const GROUPS: Readonly<Record<string, readonly ParameterName[]>> = {
  'To be set': ['EnvironmentSuffix', 'ArtifactBucket', 'ArtifactPrefix', 'IotEndpoint', 'NotificationEmail'],
  'Way in': ['IngestQueue', 'KinesisShards', 'IngestConcurrency', 'IngestWindowSeconds', 'ReceiptDelaySeconds'],
  Table: ['TableReadCapacity', 'TableWriteCapacity', 'TableMaxReadCapacity', 'TableMaxWriteCapacity'],
  'What is kept': ['ArchiveBatches', 'ArchiveDays', 'LogDays'],
  Reports: ['ApiAuthorization', 'JwtIssuer', 'JwtAudience'],
  Alarms: ['AlarmNoDataMinutes', 'AlarmAgeSeconds', 'AlarmErrors'],
};

export interface Parameters {
  text(name: ParameterName): string;
  number(name: ParameterName): number;
  /** `edgetally-<suffix>-<name>` */
  named(name: string): string;
  readonly is: Readonly<Record<ConditionName, CfnCondition>>;
}

export type ConditionName =
  | 'UseSqs'
  | 'UseKinesis'
  | 'KinesisOnDemand'
  | 'TableOnDemand'
  | 'TableProvisioned'
  | 'UseArchive'
  | 'ArchiveExpires'
  | 'HasNotification'
  | 'UseIamApi'
  | 'UseJwtApi';

export function declareParameters(stack: Stack): Parameters {
  const declared = new Map(
    Object.entries(DECLARED).map(([name, props]) => [name, new CfnParameter(stack, name, props)]),
  );
  stack.templateOptions.metadata = {
    'AWS::CloudFormation::Interface': {
      ParameterGroups: Object.entries(GROUPS).map(([label, names]) => ({
        Label: { default: label },
        Parameters: names,
      })),
    },
  };
  const textOf = (name: ParameterName): string => declared.get(name)!.valueAsString;
  requireJwtSettings(stack, textOf);
  return {
    text: textOf,
    number: (name) => declared.get(name)!.valueAsNumber,
    named: (name) => `edgetally-${textOf('EnvironmentSuffix')}-${name}`,
    is: declareConditions(stack, textOf),
  };
}

function declareConditions(stack: Stack, value: (name: ParameterName) => string): Parameters['is'] {
  const when = (name: ConditionName, expression: CfnCondition['expression']): CfnCondition =>
    new CfnCondition(stack, name, expression === undefined ? {} : { expression });
  const equals = (name: ParameterName, expected: string) => Fn.conditionEquals(value(name), expected);
  const onDemand = Fn.conditionOr(equals('TableReadCapacity', '0'), equals('TableWriteCapacity', '0'));
  return {
    UseSqs: when('UseSqs', equals('IngestQueue', 'sqs')),
    UseKinesis: when('UseKinesis', Fn.conditionNot(equals('IngestQueue', 'sqs'))),
    KinesisOnDemand: when('KinesisOnDemand', equals('IngestQueue', 'kinesis-on-demand')),
    TableOnDemand: when('TableOnDemand', onDemand),
    TableProvisioned: when('TableProvisioned', Fn.conditionNot(onDemand)),
    UseArchive: when('UseArchive', equals('ArchiveBatches', 'yes')),
    ArchiveExpires: when('ArchiveExpires', Fn.conditionNot(equals('ArchiveDays', '0'))),
    HasNotification: when('HasNotification', Fn.conditionNot(equals('NotificationEmail', ''))),
    UseIamApi: when('UseIamApi', equals('ApiAuthorization', 'iam')),
    UseJwtApi: when('UseJwtApi', equals('ApiAuthorization', 'jwt')),
  };
}

/** Said before anything is made, rather than by an API that nobody can use. */
function requireJwtSettings(stack: Stack, value: (name: ParameterName) => string): void {
  const isSet = (name: ParameterName) => Fn.conditionNot(Fn.conditionEquals(value(name), ''));
  new CfnRule(stack, 'JwtIsComplete', {
    ruleCondition: Fn.conditionEquals(value('ApiAuthorization'), 'jwt'),
    assertions: [
      { assert: isSet('JwtIssuer'), assertDescription: 'ApiAuthorization jwt needs JwtIssuer' },
      { assert: isSet('JwtAudience'), assertDescription: 'ApiAuthorization jwt needs JwtAudience' },
    ],
  });
}
