/**
 * How a gateway gets its certificate: the policies, the thing type, the fleet-provisioning template, and the hook that asks
 * a list of serial numbers who may come in.
 *
 * The list is a table of its own and not a part of the store: the hook's role reaches nothing else, the list can be edited
 * by those who install gateways without reaching the data, and a table takes a fleet (SSM parameters end at 10,000 and at
 * 40 reads a second).
 */
import { CfnTable } from 'aws-cdk-lib/aws-dynamodb';
import { CfnPolicy, CfnProvisioningTemplate, CfnThingType } from 'aws-cdk-lib/aws-iot';
import { CfnPermission } from 'aws-cdk-lib/aws-lambda';
import { Aws, CfnDeletionPolicy, type Stack } from 'aws-cdk-lib/core';
import { addRole, allow, type Grant, grant } from './access.js';
import { addFunction, type DeployedFunction } from './functions.js';
import type { Parameters } from './parameters.js';
import type { PolicyDocument } from './policy/document.js';
import { certificatesPolicy, claimPolicy, gatewayPolicy, httpsPolicy } from './policy/gateway.js';
import { templateBody } from './provisioning-template.js';
import { ruleName } from './rules.js';

/** Key of the list of serial numbers. */
export const SERIAL_KEY = 'serial';

export interface Provisioning {
  readonly hook: DeployedFunction;
  readonly template: CfnProvisioningTemplate;
  readonly claim: CfnPolicy;
  readonly serials: CfnTable;
}

export function addProvisioning(stack: Stack, parameters: Parameters): Provisioning {
  const serials = addSerials(stack);
  const hook = addHook(stack, parameters, serials);
  const thingType = new CfnThingType(stack, 'ThingType', {
    thingTypeName: parameters.named('gateway'),
    thingTypeProperties: { thingTypeDescription: 'A gateway of Edgetally', searchableAttributes: ['serial'] },
  });
  const templateName = `edgetally-${parameters.text('EnvironmentSuffix')}`;
  const arn = `arn:${Aws.PARTITION}:iot:${Aws.REGION}:${Aws.ACCOUNT_ID}`;
  const rule = ruleName(parameters, 'batch');
  const names = { arn, batchRule: rule, provisioningTemplate: templateName };
  const add = (id: string, name: string, policyDocument: PolicyDocument): CfnPolicy =>
    new CfnPolicy(stack, id, { policyName: parameters.named(name), policyDocument });
  const attached = [
    add('GatewayPolicy', 'gateway', gatewayPolicy(names)),
    add('HttpsPolicy', 'gateway-https', httpsPolicy(names)),
    add('CertificatesPolicy', 'gateway-certificates', certificatesPolicy(names)),
  ];
  const role = addRole(stack, 'ProvisioningRole', 'iot.amazonaws.com', [
    registration(arn, thingType.attrArn, attached),
  ]);
  const template = new CfnProvisioningTemplate(stack, 'ProvisioningTemplate', {
    templateName,
    description: 'A gateway whose serial number is on the list gets its certificate',
    enabled: true,
    templateType: 'FLEET_PROVISIONING',
    provisioningRoleArn: role.attrArn,
    preProvisioningHook: { targetArn: hook.arn, payloadVersion: '2020-04-01' },
    templateBody: stack.toJsonString(
      templateBody({ thingType: thingType.ref, policies: attached.map(({ ref }) => ref), batchRule: rule }),
    ),
  });
  // AWS asks for the permission when the template is made, so the permission cannot name what is not there yet by its ARN
  const permission = new CfnPermission(stack, 'ProvisioningHookPermission', {
    action: 'lambda:InvokeFunction',
    functionName: hook.resource.ref,
    principal: 'iot.amazonaws.com',
    sourceAccount: Aws.ACCOUNT_ID,
    sourceArn: `${arn}:provisioningtemplate/${templateName}`,
  });
  template.addResourceDependency(permission);
  return { hook, template, claim: add('ClaimPolicy', 'claim', claimPolicy(names)), serials };
}

function addSerials(stack: Stack): CfnTable {
  const table = new CfnTable(stack, 'Serials', {
    attributeDefinitions: [{ attributeName: SERIAL_KEY, attributeType: 'S' }],
    keySchema: [{ attributeName: SERIAL_KEY, keyType: 'HASH' }],
    billingMode: 'PAY_PER_REQUEST',
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    sseSpecification: { sseEnabled: true },
  });
  table.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
  table.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
  return table;
}

function addHook(stack: Stack, parameters: Parameters, serials: CfnTable): DeployedFunction {
  return addFunction(stack, parameters, {
    name: 'provisioning-hook',
    description: 'May this gateway have a certificate?',
    memoryMb: 256,
    timeoutSeconds: 5, // AWS waits no longer
    environment: { EDGETALLY_SERIALS: serials.ref },
    grants: [grant('Serials', allow(['dynamodb:GetItem', 'dynamodb:UpdateItem'], serials.attrArn))],
  });
}

/**
 * What the managed policy AWSIoTThingsRegistration grants, less groups, and on our own thing type and policies. Names of
 * things and certificates are not known before. The first three actions know no resources: for them there is only `*`.
 */
function registration(arn: string, thingTypeArn: string, policies: readonly CfnPolicy[]): Grant {
  return grant(
    'Registration',
    allow(['iot:RegisterThing', 'iot:ListAttachedPolicies', 'iot:ListPrincipalPolicies'], '*'),
    allow(['iot:CreateThing', 'iot:DescribeThing', 'iot:UpdateThing', 'iot:ListThingPrincipals'], `${arn}:thing/*`),
    allow(
      [
        'iot:AttachPolicy',
        'iot:AttachPrincipalPolicy',
        'iot:AttachThingPrincipal',
        'iot:DescribeCertificate',
        'iot:ListPrincipalThings',
        'iot:UpdateCertificate',
      ],
      `${arn}:cert/*`,
    ),
    allow(['iot:DescribeThingType'], thingTypeArn),
    allow(['iot:GetPolicy'], ...policies.map(({ attrArn }) => attrArn)),
  );
}
