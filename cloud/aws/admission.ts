/**
 * May this gateway have a certificate? Decides over what AWS asks before it provisions: a gateway that comes with a claim
 * certificate, or one that wants its next certificate. Pure.
 *
 * Promises: a certificate is given only for a serial number that is on the list, for the gateway that the list names with it,
 * and never with the common name of another gateway: the policy for HTTPS goes by that name, and the request for the
 * certificate was made by whoever asks.
 */
import { CLAIM_CLIENT_PREFIX } from '../../shared/provisioning.js';

export interface Applicant {
  readonly serial: string;
  readonly gateway: string;
  /** Guarded by the policies: the gateway's name, or one of a claim. */
  readonly clientId: string;
  /** Of the certificate that it is to get. */
  readonly commonNames: readonly string[];
}

/** What the list says of a serial number. */
export interface Listed {
  /** The gateway that has this serial number. */
  readonly gateway: string;
  readonly allowed: boolean;
  /** One claim only: a gateway that lost its certificate needs a word of its owner before it gets another by a claim. */
  readonly once: boolean;
  /** A claim was taken. */
  readonly claimed: boolean;
}

export type Refusal =
  | 'gateway-name'
  | 'common-name'
  | 'client-id'
  | 'not-listed'
  | 'not-allowed'
  | 'another-gateway'
  | 'claimed-already';

export type Admission =
  | { readonly admitted: true; readonly by: 'claim' | 'certificate' }
  | { readonly admitted: false; readonly refusal: Refusal; readonly detail: string };

/** What IoT Core takes as the name of a thing: unlike for other brokers, no dot. */
const THING_NAME = /^[A-Za-z0-9:_-]{1,128}$/;

/** What AWS writes where it takes no subject from a request. No gateway can be called so: it opens nothing over HTTPS. */
const AWS_COMMON_NAME = 'AWS IoT Certificate';

export function admit(applicant: Applicant, listed: Listed | undefined): Admission {
  const { serial, gateway, clientId, commonNames } = applicant;
  const by = clientId.startsWith(CLAIM_CLIENT_PREFIX) ? 'claim' : 'certificate';
  if (!THING_NAME.test(gateway) || gateway.startsWith(CLAIM_CLIENT_PREFIX)) {
    return refused('gateway-name', `${JSON.stringify(gateway)} cannot be the name of a gateway here`);
  }
  if (commonNames.length !== 1 || ![gateway, AWS_COMMON_NAME].includes(commonNames[0]!)) {
    const found = commonNames.length === 0 ? 'none' : commonNames.map((name) => JSON.stringify(name)).join(', ');
    const detail = `the certificate's common name must be ${JSON.stringify(gateway)} alone; found: ${found}`;
    return refused('common-name', detail);
  }
  if (by === 'certificate' && clientId !== gateway) {
    return refused(
      'client-id',
      `client ${JSON.stringify(clientId)} asked for a certificate of ${JSON.stringify(gateway)}`,
    );
  }
  if (listed === undefined) return refused('not-listed', `serial number ${JSON.stringify(serial)} is not on the list`);
  if (!listed.allowed) return refused('not-allowed', `serial number ${JSON.stringify(serial)} is barred`);
  if (listed.gateway !== gateway) {
    return refused(
      'another-gateway',
      `serial number ${JSON.stringify(serial)} belongs to ${JSON.stringify(listed.gateway)}`,
    );
  }
  if (by === 'claim' && listed.once && listed.claimed) {
    return refused('claimed-already', `serial number ${JSON.stringify(serial)} may claim once, and has`);
  }
  return { admitted: true, by };
}

function refused(refusal: Refusal, detail: string): Admission {
  return { admitted: false, refusal, detail };
}
