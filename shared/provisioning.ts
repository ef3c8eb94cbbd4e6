/**
 * Words of AWS fleet provisioning that the gateway, its policies, the template and the hook share. The requests are
 * answered on the same topic with `/accepted` or `/rejected`, and only to the connection that asked.
 */

/** `{certificateSigningRequest}` → `{certificateId, certificatePem, certificateOwnershipToken}`. */
export const CREATE_FROM_CSR_TOPIC = '$aws/certificates/create-from-csr/json';

/** `{certificateOwnershipToken, parameters}` → `{thingName, deviceConfiguration}`. */
export function provisionTopic(template: string): string {
  return `$aws/provisioning-templates/${template}/provision/json`;
}

export const ANSWERS = ['accepted', 'rejected'] as const;

/**
 * Client ids of claim certificates start with this, and gateways’ names must not: so a claim can neither disconnect a
 * gateway nor be taken for one.
 */
export const CLAIM_CLIENT_PREFIX = 'edgetally-claim-';

/** What a gateway sends in `parameters`. The common name of the signing request must be the gateway’s name too. */
export interface ProvisioningParameters {
  readonly SerialNumber: string;
  readonly GatewayName: string;
}

/** What a gateway finds in `deviceConfiguration`. */
export interface DeviceConfiguration {
  /** Rule for Basic Ingest: `push.basicIngestRule`. */
  readonly basicIngestRule: string;
}
