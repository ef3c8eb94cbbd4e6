/**
 * Makes a throwaway CA, a server certificate and gateway certificates, for the demo, tests and a first try at home. No
 * openssl needed. What is already in the directory is kept, so that a gateway can be added later; nothing is ever
 * overwritten. Not a CA for production: its key lies beside the certificates.
 */
import 'reflect-metadata';
export interface Validity {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}
export interface CertificateOptions {
  /** One client certificate each; its common name is the gateway's name. */
  readonly gateways?: readonly string[];
  /** Names and addresses of the server, besides localhost, 127.0.0.1 and ::1. */
  readonly hosts?: readonly string[];
  /** Leave out localhost, 127.0.0.1 and ::1. */
  readonly onlyHosts?: boolean;
  /** From yesterday for ten years, if not set. */
  readonly validity?: {
    readonly ca?: Validity;
    readonly server?: Validity;
    readonly gateway?: Validity;
  };
}
/** A PEM certificate and its key, as paths. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}
export interface MadeCertificates {
  /** Path of the CA's certificate. */
  readonly ca: string;
  readonly server: CertificateFiles;
  readonly gateways: ReadonlyMap<string, CertificateFiles>;
}
/** Makes what is missing in `dir` (made if need be). Keys are readable by their owner only. */
export declare function makeCertificates(dir: string, options?: CertificateOptions): Promise<MadeCertificates>;
