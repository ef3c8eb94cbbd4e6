/**
 * Roles and what they may do. Every statement names its resources; a statement without them does not compile. One role a
 * function, so that what one of them may do is on one page of the template.
 */
import { CfnRole } from 'aws-cdk-lib/aws-iam';
import { Aws, type CfnCondition, Fn, type IResolvable, type Stack } from 'aws-cdk-lib/core';

export interface Allowance {
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface Grant {
  readonly name: string;
  readonly statements: readonly Allowance[];
  /** Part of the role only where this holds. */
  readonly when?: CfnCondition;
}

export function allow(actions: readonly string[], ...resources: readonly string[]): Allowance {
  return { Effect: 'Allow', Action: actions, Resource: resources };
}

export function grant(name: string, ...statements: readonly Allowance[]): Grant {
  return { name, statements };
}

export function addRole(stack: Stack, id: string, service: string, grants: readonly Grant[]): CfnRole {
  return new CfnRole(stack, id, {
    assumeRolePolicyDocument: {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }],
    },
    policies: grants.map(inlinePolicy),
  });
}

function inlinePolicy({ name, statements, when }: Grant): CfnRole.PolicyProperty | IResolvable {
  const policyDocument = { Version: '2012-10-17', Statement: statements };
  if (when === undefined) return { policyName: name, policyDocument };
  // inside of a condition CDK does not translate the names of properties
  return Fn.conditionIf(when.logicalId, { PolicyName: name, PolicyDocument: policyDocument }, Aws.NO_VALUE);
}
