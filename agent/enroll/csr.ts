/**
 * The key of this gateway, and the request for a certificate on it. Only the request leaves the machine. The library is read
 * when it is needed, which is once a year.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, webcrypto } from 'node:crypto';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** PEM (PKCS #8). */
export function makeKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** PEM (PKCS #10); its common name is the gateway's name. */
export async function makeCsr(keyPem: string, gateway: string): Promise<string> {
  await import('reflect-metadata'); // must come before @peculiar/x509
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto);
  const key = createPrivateKey(keyPem);
  const { subtle } = webcrypto;
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [gateway] }],
    keys: {
      privateKey: await subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']),
      publicKey: await subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
    },
    signingAlgorithm: ALGORITHM,
  });
  return request.toString('pem');
}
