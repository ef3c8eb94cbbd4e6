/**
 * Who may do what at the broker, by the common name of the certificate. For gateways and claims the very policies are asked
 * that the CloudFormation template makes for AWS IoT Core; the cloud’s consumer may listen to gateways and answer them. Pure.
 */
import type { IotAction, PolicyDocument } from '../cloud/aws/infra/policy/document.js';
import { type Context, evaluate } from '../cloud/aws/infra/policy/evaluator.js';
import {
  certificatesPolicy,
  claimPolicy,
  gatewayPolicy,
  httpsPolicy,
  type PolicyNames,
} from '../cloud/aws/infra/policy/gateway.js';
import { basicIngestRule } from './rule.js';

export interface Permissions {
  mayConnect(clientId: string): boolean;
  mayPublish(topic: string, isRetained: boolean): boolean;
  /** The filter itself must be one that the policy names: a wildcard cannot reach further than that. */
  maySubscribe(filter: string): boolean;
}

const CLOUD = 'cloud';
const UP_KINDS = ['batch', 'status', 'event'];
const DOWN_KINDS = ['receipt', 'command', 'config'];
const WILDCARDS = ['+', '#'];

const ARN = 'arn:aws:iot:eu-central-1:123456789012';

/** The cloud’s client id is its name, or that and a suffix: there may be several consumers. */
export const CLOUD_PERMISSIONS: Permissions = {
  mayConnect: (clientId) => clientId.startsWith(CLOUD) && /^$|^[-_.:]/.test(clientId.slice(CLOUD.length)),
  mayPublish(topic, isRetained) {
    const { gateway, direction, kind } = partsOf(topic);
    return gateway !== '+' && direction === 'down' && DOWN_KINDS.includes(kind) && !isRetained;
  },
  maySubscribe(filter) {
    const { gateway, direction, kind } = partsOf(filter);
    return gateway !== '' && direction === 'up' && [...UP_KINDS, ...WILDCARDS].includes(kind);
  },
};

/** A certificate is attached to the thing of its common name; without one, to none. */
export function permissionsOf(name: string): Permissions {
  if (name === CLOUD) return CLOUD_PERMISSIONS;
  const thing = { 'iot:Connection.Thing.ThingName': name, 'iot:Connection.Thing.IsAttached': 'true' };
  return byPolicies((names) => [gatewayPolicy(names), certificatesPolicy(names)], name === '' ? {} : thing);
}

export const CLAIM_PERMISSIONS: Permissions = byPolicies((names) => [claimPolicy(names)], {});

/** By the common name of the certificate; a thing is not known there. */
export function mayPublishByHttps(name: string, topic: string): boolean {
  const names = namesIn(topic);
  const context = { 'iot:Certificate.Subject.CommonName': name };
  return allows([gatewayPolicy(names), httpsPolicy(names)], 'iot:Publish', `topic/${topic}`, context);
}

function byPolicies(policies: (names: PolicyNames) => readonly PolicyDocument[], context: Context): Permissions {
  const may = (action: IotAction, type: string, name: string): boolean =>
    allows(policies(namesIn(name)), action, `${type}/${name}`, context);
  return {
    mayConnect: (clientId) => may('iot:Connect', 'client', clientId),
    mayPublish: (topic, isRetained) =>
      may('iot:Publish', 'topic', topic) && (!isRetained || may('iot:RetainPublish', 'topic', topic)),
    maySubscribe: (filter) => may('iot:Subscribe', 'topicfilter', filter),
  };
}

function allows(policies: readonly PolicyDocument[], action: IotAction, resource: string, context: Context): boolean {
  return evaluate(policies, ARN, { action, resource, context }) === 'allowed';
}

/** Rules and templates may have any name here: the ones that a topic names are those of the policies. */
function namesIn(topic: string): PolicyNames {
  const template = /^\$aws\/provisioning-templates\/([^/]+)\//.exec(topic)?.[1];
  return { arn: ARN, batchRule: basicIngestRule(topic) ?? 'rule', provisioningTemplate: template ?? 'template' };
}

function partsOf(topic: string): { gateway: string; direction: string; kind: string } {
  const [, gateway = '', direction = '', kind = ''] = /^edgetally\/v1\/([^/]+)\/(up|down)\/([^/]+)$/.exec(topic) ?? [];
  return { gateway, direction, kind };
}
