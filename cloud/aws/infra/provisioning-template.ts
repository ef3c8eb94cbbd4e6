/**
 * The body of the fleet-provisioning template: what AWS makes for a gateway that the hook lets in. A gateway that comes
 * again (a new certificate, an SD card replaced) gets another certificate on the same thing. At most 10 KB.
 */
import type { DeviceConfiguration, ProvisioningParameters } from '../../../shared/provisioning.js';

export interface TemplateNames {
  readonly thingType: string;
  readonly policies: readonly string[];
  readonly batchRule: string;
}

const DECLARED: Readonly<Record<keyof ProvisioningParameters | 'AWS::IoT::Certificate::Id', { Type: 'String' }>> = {
  SerialNumber: { Type: 'String' },
  GatewayName: { Type: 'String' },
  'AWS::IoT::Certificate::Id': { Type: 'String' },
};

export function templateBody({ thingType, policies, batchRule }: TemplateNames): object {
  const deviceConfiguration: DeviceConfiguration = { basicIngestRule: batchRule };
  return {
    Parameters: DECLARED,
    Resources: {
      thing: {
        Type: 'AWS::IoT::Thing',
        // the thing may be there already: from an earlier certificate, or made by its owner
        OverrideSettings: { AttributePayload: 'MERGE', ThingTypeName: 'REPLACE' },
        Properties: {
          ThingName: { Ref: 'GatewayName' },
          ThingTypeName: thingType,
          AttributePayload: { serial: { Ref: 'SerialNumber' } },
        },
      },
      certificate: {
        Type: 'AWS::IoT::Certificate',
        Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' },
      },
      ...Object.fromEntries(
        policies.map((name, place) => [
          `policy${place + 1}`,
          { Type: 'AWS::IoT::Policy', Properties: { PolicyName: name } },
        ]),
      ),
    },
    DeviceConfiguration: deviceConfiguration,
  };
}
