/**
 * The certificate files of the connection, read anew for each attempt (they may have been replaced), and plain words for
 * what a connection died of. Under TLS 1.3 a broker that rejects our certificate looks like a plain disconnect, so our own
 * files are checked first.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IClientOptions } from 'mqtt';
import { EdgetallyError, type ErrorCode } from '../../shared/errors.js';
import type { MqttOptions } from './options.js';

export interface Credentials {
  readonly tls: Pick<IClientOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized'>;
  /** Bad dates: no reason not to try, since the clock may be what is wrong. */
  readonly doubts: readonly EdgetallyError[];
}

/** Throws an EdgetallyError where the files cannot be used. */
export function readCredentials({ url, ca, cert, key }: MqttOptions, nowMs: number): Credentials {
  if (!url.startsWith('mqtts:')) return { tls: {}, doubts: [] };
  const pem = { ca: read('CA', ca), cert: read('certificate', cert), key: read('private key', key) };
  const doubts: EdgetallyError[] = [];
  const own = parse(cert, pem.cert, (bytes) => new X509Certificate(bytes));
  const privateKey = parse(key, pem.key, createPrivateKey);
  if (own !== undefined && privateKey !== undefined && !own.checkPrivateKey(privateKey)) {
    throw new EdgetallyError('certificate-key-mismatch', `the key ${key} does not belong to the certificate ${cert}`);
  }
  if (own !== undefined) {
    const clock = `the clock says ${new Date(nowMs).toISOString()}`;
    if (nowMs > Date.parse(own.validTo)) {
      doubts.push(new EdgetallyError('certificate-expired', `${cert} expired on ${own.validTo} (${clock})`));
    } else if (nowMs < Date.parse(own.validFrom)) {
      const message = `${cert} is not valid before ${own.validFrom} (${clock})`;
      doubts.push(new EdgetallyError('certificate-not-yet-valid', message));
    }
  }
  const tls = { ...(pem.ca && { ca: pem.ca }), ...(pem.cert && { cert: pem.cert }), ...(pem.key && { key: pem.key }) };
  return { tls: { ...tls, rejectUnauthorized: true }, doubts };
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  CERT_HAS_EXPIRED: 'certificate-expired',
  CERT_NOT_YET_VALID: 'certificate-not-yet-valid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate-wrong-ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate-wrong-ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate-wrong-ca',
  UNABLE_TO_GET_ISSUER_CERT: 'certificate-wrong-ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate-wrong-ca',
  CERT_SIGNATURE_FAILURE: 'certificate-wrong-ca',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate-wrong-host',
  ECONNREFUSED: 'link-refused',
  ENOTFOUND: 'link-refused',
  EAI_AGAIN: 'link-refused',
  EHOSTUNREACH: 'link-refused',
  ENETUNREACH: 'link-refused',
  ETIMEDOUT: 'link-refused',
};

/** What a connection died of, in our words. */
export function explainLoss(error: Error | undefined, url: string, doubts: readonly EdgetallyError[]): EdgetallyError {
  if (error instanceof EdgetallyError) return error;
  const address = new URL(url).host;
  // A refusal of the broker has a number there: CONNACK 3 is "server unavailable".
  const code = String((error as { code?: unknown } | undefined)?.code ?? '');
  const known = CODES[code];
  if (known !== undefined) return new EdgetallyError(known, `${address}: ${error!.message}`, { cause: error });
  if (code.startsWith('ERR_SSL') && code.includes('_ALERT_')) {
    return new EdgetallyError('link-unauthorized', `${address} refused our certificate: ${error!.message}`, {
      cause: error,
    });
  }
  if (doubts[0] !== undefined) {
    return new EdgetallyError(doubts[0].code, `${address} closed the connection, and ${doubts[0].message}`, {
      cause: error,
    });
  }
  const message = error === undefined ? 'closed the connection' : error.message;
  return new EdgetallyError('link-lost', `${address}: ${message}`, { cause: error });
}

function read(what: string, path: string | undefined): Buffer | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new EdgetallyError('certificate-unreadable', `the ${what} ${path} cannot be read: ${why}`, { cause });
  }
}

function parse<T>(path: string | undefined, pem: Buffer | undefined, parser: (pem: Buffer) => T): T | undefined {
  if (pem === undefined) return undefined;
  try {
    return parser(pem);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new EdgetallyError('certificate-unreadable', `${path} does not hold what it should: ${why}`, { cause });
  }
}
