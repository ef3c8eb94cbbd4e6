/** Signs what a CSR asks for, as AWS IoT does: the subject and the key are the CSR's own. */
import 'reflect-metadata'; // must come before @peculiar/x509
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface AuthorityFiles {
  /** PEM of a CA as certs.example makes it. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export class CertificateAuthority {
  readonly #files: AuthorityFiles;

  constructor(files: AuthorityFiles) {
    this.#files = files;
  }

  /** PEM; rejects what is no CSR, or not signed by its own key. */
  async sign(csrPem: string, notBefore: Date, notAfter: Date): Promise<string> {
    x509.cryptoProvider.set(webcrypto);
    const csr = new x509.Pkcs10CertificateRequest(csrPem);
    if (!(await csr.verify())) throw new Error('the CSR is not signed by its key');
    const der = Buffer.from(String(this.#files.key).replace(/-----[^-]+-----|\s/g, ''), 'base64');
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: `4${randomBytes(15).toString('hex')}`,
      subject: csr.subject,
      issuer: new x509.X509Certificate(String(this.#files.cert)).subject,
      publicKey: csr.publicKey,
      notBefore,
      notAfter,
      signingKey: await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']),
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ],
    });
    return `${certificate.toString('pem')}\n`;
  }
}
