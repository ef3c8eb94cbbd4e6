/**
 * The AWS IoT policies of a gateway: what its certificate lets it do at the broker. The gateway's name in the cloud is
 * taken from the topic, so these documents are what keeps one gateway from speaking as another.
 *
 * Four of them, because AWS allows 2,048 characters each and ten on a certificate:
 *   gateway       over MQTT, by the name of the thing that the certificate belongs to
 *   https         publish by HTTPS POST, where AWS knows no thing: by the common name in the certificate. Attach it only to
 *                 certificates whose common name is the gateway's name; the hook of the provisioning template sees to that
 *   certificates  a gateway asks for its next certificate
 *   claim         a certificate that can do nothing but ask for the gateway's own
 * Never grants a persistent session (the agent asks for none), a retained message other than the status, or a wildcard
 * that reaches beyond the gateway's own topics.
 */
import {
  ANSWERS,
  CLAIM_CLIENT_PREFIX,
  CREATE_FROM_CSR_TOPIC,
  provisionTopic,
} from '../../../../shared/provisioning.js';
import { downTopic, upTopic } from '../../../../shared/topics.js';
import type { PolicyDocument, Statement } from './document.js';

export interface PolicyNames {
  /** `arn:<partition>:iot:<region>:<account>` */
  readonly arn: string;
  /** Name of the rule that takes batches, for the Basic Ingest form of their topic. */
  readonly batchRule: string;
  readonly provisioningTemplate: string;
}

const THING_NAME = variable('iot:Connection.Thing.ThingName');
const COMMON_NAME = variable('iot:Certificate.Subject.CommonName');

const IS_ATTACHED = { Bool: { 'iot:Connection.Thing.IsAttached': 'true' } };

export function gatewayPolicy({ arn, batchRule }: PolicyNames): PolicyDocument {
  const status = `${arn}:topic/${upTopic(THING_NAME, 'status')}`;
  return document([
    {
      Effect: 'Allow',
      Action: 'iot:Connect',
      Resource: `${arn}:client/${THING_NAME}`,
      // No PersistentConnect in this list: a session that outlives its connection is refused.
      Condition: { ...IS_ATTACHED, 'ForAllValues:StringEquals': { 'iot:ConnectAttributes': ['LastWill'] } },
    },
    {
      Effect: 'Allow',
      Action: 'iot:Publish',
      Resource: [
        ...batchTopics(arn, batchRule, THING_NAME),
        status,
        // while nothing changes but the books, the status goes to the rule alone
        `${arn}:topic/$aws/rules/${batchRule}/${upTopic(THING_NAME, 'status')}`,
        `${arn}:topic/${upTopic(THING_NAME, 'event')}`,
      ],
    },
    { Effect: 'Allow', Action: 'iot:RetainPublish', Resource: status },
    { Effect: 'Allow', Action: 'iot:Subscribe', Resource: `${arn}:topicfilter/${allDown(THING_NAME)}` },
    { Effect: 'Allow', Action: 'iot:Receive', Resource: `${arn}:topic/${allDown(THING_NAME)}` },
  ]);
}

export function httpsPolicy({ arn, batchRule }: PolicyNames): PolicyDocument {
  return document([{ Effect: 'Allow', Action: 'iot:Publish', Resource: batchTopics(arn, batchRule, COMMON_NAME) }]);
}

export function certificatesPolicy(names: PolicyNames): PolicyDocument {
  return document(provisioning(names));
}

export function claimPolicy(names: PolicyNames): PolicyDocument {
  return document([
    { Effect: 'Allow', Action: 'iot:Connect', Resource: `${names.arn}:client/${CLAIM_CLIENT_PREFIX}*` },
    ...provisioning(names),
  ]);
}

function variable(name: string): string {
  return `\${${name}}`;
}

function document(statements: readonly Statement[]): PolicyDocument {
  return { Version: '2012-10-17', Statement: statements };
}

function batchTopics(arn: string, rule: string, gateway: string): string[] {
  const topic = upTopic(gateway, 'batch');
  return [`${arn}:topic/${topic}`, `${arn}:topic/$aws/rules/${rule}/${topic}`];
}

/** `*` crosses levels in a policy, so this holds for `down/#` too, and for nothing outside `down/`. */
function allDown(gateway: string): string {
  return downTopic(gateway, 'receipt').replace(/[^/]+$/, '*');
}

/** AWS answers on these topics only to the connection that asked. */
function provisioning({ arn, provisioningTemplate }: PolicyNames): Statement[] {
  const requests = [CREATE_FROM_CSR_TOPIC, provisionTopic(provisioningTemplate)];
  const answers = requests.flatMap((topic) => ANSWERS.map((answer) => `${topic}/${answer}`));
  return [
    { Effect: 'Allow', Action: 'iot:Publish', Resource: requests.map((topic) => `${arn}:topic/${topic}`) },
    { Effect: 'Allow', Action: 'iot:Receive', Resource: answers.map((topic) => `${arn}:topic/${topic}`) },
    { Effect: 'Allow', Action: 'iot:Subscribe', Resource: answers.map((topic) => `${arn}:topicfilter/${topic}`) },
  ];
}
