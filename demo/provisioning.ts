/**
 * Fleet provisioning as on AWS IoT: certificates from CSRs, templates with a hook that may deny, tokens that expire, claim
 * certificates that may do nothing else, and the state of each certificate that was issued.
 *
 * As on AWS, a certificate is pending until it is provisioned, a token is good once, and answers go to whoever asked.
 */
import { randomUUID, X509Certificate } from 'node:crypto';
import { CREATE_FROM_CSR_TOPIC } from '../shared/provisioning.js';
import { type AuthorityFiles, CertificateAuthority } from './certificate-authority.js';

export interface HookRequest {
  /** Of whoever asks. */
  readonly clientId: string;
  readonly template: string;
  readonly certificate: X509Certificate;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ProvisioningOptions {
  readonly authority: AuthorityFiles;
  /** Common names of claim certificates. */
  readonly claims: readonly string[];
  /** By its name, what a template makes of a request: the thing. */
  readonly templates: Readonly<Record<string, (request: HookRequest) => string>>;
  /** May be changed while it runs. */
  readonly rules: ProvisioningRules;
}

export interface ProvisioningRules {
  /** Denies where it returns false. */
  hook?: (request: HookRequest) => boolean | Promise<boolean>;
  /** Takes the place of the answer, or holds it up. */
  interrupt?: (topic: string) => Promise<Rejection | undefined>;
  /** What becomes of a certificate once it is provisioned. */
  spoil?: (certificate: IssuedCertificate) => void;
  tokenLifeMs?: number;
  /** From now on, of certificates. */
  validity?: { notBefore: Date; notAfter: Date };
}

export interface Rejection {
  readonly statusCode: number;
  readonly errorCode: string;
  readonly errorMessage: string;
}

export interface IssuedCertificate {
  readonly id: string;
  readonly pem: string;
  status: 'pending' | 'active' | 'inactive';
  thing?: string;
}

const PROVISION = /^\$aws\/provisioning-templates\/([^/]+)\/provision\/json$/;
const YEAR_MS = 365 * 86_400_000;

interface Token {
  readonly certificate: IssuedCertificate;
  readonly expiresMs: number;
}

export class Provisioning {
  readonly issued = new Map<string, IssuedCertificate>();
  /** Requests that were answered, by their topic. */
  readonly requests: string[] = [];
  readonly #options: ProvisioningOptions;
  readonly #authority: CertificateAuthority;
  readonly #tokens = new Map<string, Token>();

  constructor(options: ProvisioningOptions) {
    this.#options = options;
    this.#authority = new CertificateAuthority(options.authority);
  }

  isClaim(name: string): boolean {
    return this.#options.claims.includes(name);
  }

  isRequest(topic: string): boolean {
    return topic === CREATE_FROM_CSR_TOPIC || PROVISION.test(topic);
  }

  /** Certificates that were made elsewhere are none of ours. `fingerprint`: SHA-256, as Node writes it. */
  admits(fingerprint: string): boolean {
    const certificate = this.issued.get(idOf(fingerprint));
    return certificate === undefined || certificate.status === 'active';
  }

  /** The topic and payload of the answer. */
  async answer(topic: string, payload: Buffer, clientId: string): Promise<{ topic: string; payload: string }> {
    this.requests.push(topic);
    try {
      const refused = await this.#options.rules.interrupt?.(topic);
      if (refused !== undefined) throw refused;
      const request = JSON.parse(payload.toString()) as Record<string, unknown>;
      const template = PROVISION.exec(topic)?.[1];
      const answer = await (template === undefined
        ? this.#create(request)
        : this.#provision(template, request, clientId));
      return { topic: `${topic}/accepted`, payload: JSON.stringify(answer) };
    } catch (error) {
      const rejection = 'statusCode' in (error as object) ? error : reject(400, 'InvalidRequest', String(error));
      return { topic: `${topic}/rejected`, payload: JSON.stringify(rejection) };
    }
  }

  async #create({ certificateSigningRequest }: Record<string, unknown>) {
    const { validity, tokenLifeMs = 3_600_000 } = this.#options.rules;
    const { notBefore = new Date(Date.now() - 60_000), notAfter = new Date(Date.now() + YEAR_MS) } = validity ?? {};
    const certificatePem = await this.#authority.sign(String(certificateSigningRequest), notBefore, notAfter);
    const certificateId = idOf(new X509Certificate(certificatePem).fingerprint256);
    const certificate: IssuedCertificate = { id: certificateId, pem: certificatePem, status: 'pending' };
    this.issued.set(certificateId, certificate);
    const certificateOwnershipToken = randomUUID();
    this.#tokens.set(certificateOwnershipToken, { certificate, expiresMs: Date.now() + tokenLifeMs });
    return { certificateId, certificatePem, certificateOwnershipToken };
  }

  async #provision(
    template: string,
    { certificateOwnershipToken, parameters }: Record<string, unknown>,
    clientId: string,
  ) {
    const token = this.#tokens.get(String(certificateOwnershipToken));
    if (token === undefined || Date.now() >= token.expiresMs) {
      throw reject(400, 'InvalidCertificateOwnershipToken', 'Certificate ownership token is invalid or expired');
    }
    const thingOf = this.#options.templates[template];
    if (thingOf === undefined) throw reject(404, 'ResourceNotFoundException', `no template ${template}`);
    const { certificate } = token;
    const request: HookRequest = {
      clientId,
      template,
      certificate: new X509Certificate(certificate.pem),
      parameters: parameters as Record<string, unknown>,
    };
    if ((await this.#options.rules.hook?.(request)) === false) {
      throw reject(403, 'AccessDenied', 'Pre-provisioning hook denied the request');
    }
    this.#tokens.delete(String(certificateOwnershipToken));
    certificate.status = 'active';
    certificate.thing = thingOf(request);
    this.#options.rules.spoil?.(certificate);
    return { thingName: certificate.thing, deviceConfiguration: {} };
  }
}

function reject(statusCode: number, errorCode: string, errorMessage: string): Rejection {
  return { statusCode, errorCode, errorMessage };
}

function idOf(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
