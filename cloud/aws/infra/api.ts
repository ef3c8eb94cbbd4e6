/**
 * The way to the reports: a function URL for IAM identities, or an HTTP API for bearers of a JWT. One function answers both,
 * since both speak the same payload format (2.0).
 */
import { CfnApi, CfnAuthorizer, CfnIntegration, CfnRoute, CfnStage } from 'aws-cdk-lib/aws-apigatewayv2';
import { CfnManagedPolicy } from 'aws-cdk-lib/aws-iam';
import { CfnPermission, CfnUrl } from 'aws-cdk-lib/aws-lambda';
import { Aws, type CfnResource, type Stack } from 'aws-cdk-lib/core';
import { allow } from './access.js';
import { addLogGroup, type DeployedFunction } from './functions.js';
import type { Parameters } from './parameters.js';

export interface ReportApi {
  readonly url: CfnUrl;
  readonly readers: CfnManagedPolicy;
  readonly http: CfnApi;
}

export function addApi(stack: Stack, parameters: Parameters, report: DeployedFunction): ReportApi {
  const { UseIamApi } = parameters.is;
  const url = new CfnUrl(stack, 'ReportUrl', { targetFunctionArn: report.arn, authType: 'AWS_IAM' });
  const readers = addReaders(stack, report);
  for (const resource of [url, readers]) resource.cfnOptions.condition = UseIamApi;
  return { url, readers, http: addHttpApi(stack, parameters, report) };
}

/** To be attached to whoever may read reports. Without a name of its own: names of IAM are those of all regions. */
function addReaders(stack: Stack, report: DeployedFunction): CfnManagedPolicy {
  return new CfnManagedPolicy(stack, 'ReportReaders', {
    description: 'May ask for reports through the function URL',
    policyDocument: {
      Version: '2012-10-17',
      Statement: [
        {
          ...allow(['lambda:InvokeFunctionUrl'], report.arn),
          Condition: { StringEquals: { 'lambda:FunctionUrlAuthType': 'AWS_IAM' } },
        },
        {
          ...allow(['lambda:InvokeFunction'], report.arn),
          Condition: { Bool: { 'lambda:InvokedViaFunctionUrl': 'true' } },
        },
      ],
    },
  });
}

function addHttpApi(stack: Stack, parameters: Parameters, report: DeployedFunction): CfnApi {
  const logs = addLogGroup(stack, parameters, 'HttpApiLogs', `/aws/apigateway/${parameters.named('reports')}`);
  const api = new CfnApi(stack, 'HttpApi', { name: parameters.named('reports'), protocolType: 'HTTP' });
  const integration = new CfnIntegration(stack, 'HttpApiIntegration', {
    apiId: api.ref,
    integrationType: 'AWS_PROXY',
    integrationUri: report.arn,
    payloadFormatVersion: '2.0',
  });
  const authorizer = new CfnAuthorizer(stack, 'HttpApiAuthorizer', {
    apiId: api.ref,
    name: 'jwt',
    authorizerType: 'JWT',
    identitySource: ['$request.header.Authorization'],
    jwtConfiguration: { issuer: parameters.text('JwtIssuer'), audience: [parameters.text('JwtAudience')] },
  });
  const route = new CfnRoute(stack, 'HttpApiRoute', {
    apiId: api.ref,
    routeKey: '$default',
    authorizationType: 'JWT',
    authorizerId: authorizer.ref,
    target: `integrations/${integration.ref}`,
  });
  const stage = addStage(stack, api, logs.attrArn);
  const permission = new CfnPermission(stack, 'HttpApiPermission', {
    action: 'lambda:InvokeFunction',
    functionName: report.resource.ref,
    principal: 'apigateway.amazonaws.com',
    sourceArn: `arn:${Aws.PARTITION}:execute-api:${Aws.REGION}:${Aws.ACCOUNT_ID}:${api.ref}/*/$default`,
  });
  const parts: CfnResource[] = [logs, api, integration, authorizer, route, stage, permission];
  for (const part of parts) part.cfnOptions.condition = parameters.is.UseJwtApi;
  return api;
}

function addStage(stack: Stack, api: CfnApi, logsArn: string): CfnStage {
  return new CfnStage(stack, 'HttpApiStage', {
    apiId: api.ref,
    stageName: '$default',
    autoDeploy: true,
    defaultRouteSettings: { throttlingRateLimit: 50, throttlingBurstLimit: 100 },
    accessLogSettings: {
      destinationArn: logsArn,
      format: stack.toJsonString({
        time: '$context.requestTime',
        ip: '$context.identity.sourceIp',
        route: '$context.routeKey',
        path: '$context.path',
        status: '$context.status',
        error: '$context.authorizer.error',
        ms: '$context.responseLatency',
      }),
    },
  });
}
