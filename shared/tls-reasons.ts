/**
 * What a connection died of, in words: `explainTlsError` reads Node's and OpenSSL's codes. Under TLS 1.3 a broker that
 * rejects a client certificate looks like a plain disconnect, so our own files (`certificates.ts`) are heard as witnesses.
 * Pure, never throws.
 */
import { asError, type Diagnosis, wrongHost } from './certificates.js';
import { EdgetallyError, type ErrorCode } from './errors.js';

export interface TlsContext {
  /** Where we connected to, or the client that connected to us: `broker.local:8883`. */
  readonly address: string;
  /** Whose certificate the error is about: `broker` (default) where we connect, `client` where we listen. */
  readonly peer?: 'broker' | 'client';
  /** The path of our CA file. */
  readonly ca?: string | undefined;
  /** What `diagnose` found about our own files; explains a broker that hangs up on us. */
  readonly own?: Diagnosis;
}

/** What a connection died of (undefined: closed without an error), in words and with a code. */
export function explainTlsError(error: unknown, context: TlsContext): EdgetallyError {
  if (error instanceof EdgetallyError) return error;
  const { code, message } = asError(error);
  const { address, peer = 'broker' } = context;
  const cause = { cause: error };
  const whose = `the certificate of the ${peer} ${address}`;

  const about = CERTIFICATE_CODES[code];
  if (about === 'certificate-expired')
    return new EdgetallyError(about, `${whose}, or a CA above it, has expired`, cause);
  if (about === 'certificate-not-yet-valid') {
    return new EdgetallyError(
      about,
      `${whose}, or a CA above it, is not yet valid by the clock of this machine`,
      cause,
    );
  }
  if (about === 'certificate-wrong-ca') {
    const ca = context.ca === undefined ? 'no CA of this system' : `no CA in ${context.ca}`;
    const hint = peer === 'client' ? { hint: 'Give the client a certificate that this CA issued.' } : {};
    return new EdgetallyError(about, `${whose} is signed by ${ca} (${message || code})`, { ...cause, ...hint });
  }
  if (about === 'certificate-wrong-host') return wrongHost(whose, address, namesIn(error), error);
  if (about === 'certificate-key-mismatch' || about === 'certificate-unreadable') {
    return new EdgetallyError(about, `our own certificate files cannot be used: ${message}`, cause);
  }
  if (code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') {
    return new EdgetallyError('link-unauthorized', `the ${peer} ${address} showed no certificate`, cause);
  }
  if (/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|BAD_PROTOCOL)/.test(code)) {
    return new EdgetallyError('link-refused', `${address} does not speak TLS`, { ...cause, hint: NO_TLS_HINT });
  }
  if (NETWORK_WORDS[code] !== undefined) {
    return new EdgetallyError('link-refused', `${address}: ${NETWORK_WORDS[code]}`, cause);
  }
  return hungUp(error, code, message, context);
}

/** The broker closed on us: it says why at best in an alert; otherwise our own files are the best witness. */
function hungUp(error: unknown, code: string, message: string, { address, own }: TlsContext): EdgetallyError {
  const found = own?.problems[0];
  const refused = code.includes('_ALERT_');
  if (found !== undefined) {
    return new EdgetallyError(found.code, `${address} closed the connection, and ${found.message}`, { cause: error });
  }
  const alert = /alert ([a-z ]+)/.exec(message)?.[1];
  // without a code it is our own complaint: no answer in time, a message that could not be stored
  const ended = code === '' && error !== undefined ? `${address}: ${message}` : `${address} closed the connection`;
  const said = refused ? `${address} refused us (${alert ?? code})` : ended;
  if (refused && own?.cert === undefined) {
    return new EdgetallyError(
      'link-unauthorized',
      `${said}: it asks for a client certificate, and none is configured`,
      {
        cause: error,
        hint: 'Set cert and key.',
      },
    );
  }
  if (own?.cert !== undefined && own.issuedByCa === false) {
    const known = `our certificate is issued by ${own.issuer}, which is not in our ca file: does the broker trust it?`;
    return new EdgetallyError(refused ? 'link-unauthorized' : 'link-lost', `${said}; ${known}`, { cause: error });
  }
  return new EdgetallyError(refused ? 'link-unauthorized' : 'link-lost', said, { cause: error });
}

/** Node's (OpenSSL's) verification codes, as they come in `error.code` and `socket.authorizationError`. */
const CERTIFICATE_CODES: Readonly<Record<string, ErrorCode>> = {
  CERT_HAS_EXPIRED: 'certificate-expired',
  CERT_NOT_YET_VALID: 'certificate-not-yet-valid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate-wrong-ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate-wrong-ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate-wrong-ca',
  UNABLE_TO_GET_ISSUER_CERT: 'certificate-wrong-ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate-wrong-ca',
  CERT_SIGNATURE_FAILURE: 'certificate-wrong-ca',
  CERT_UNTRUSTED: 'certificate-wrong-ca',
  CERT_REJECTED: 'certificate-wrong-ca',
  INVALID_CA: 'certificate-wrong-ca',
  INVALID_PURPOSE: 'certificate-wrong-ca',
  PATH_LENGTH_EXCEEDED: 'certificate-wrong-ca',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate-wrong-host',
  HOSTNAME_MISMATCH: 'certificate-wrong-host',
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: 'certificate-key-mismatch',
  ERR_OSSL_PEM_NO_START_LINE: 'certificate-unreadable',
  ERR_OSSL_PEM_BAD_BASE64_DECODE: 'certificate-unreadable',
  ERR_OSSL_UNSUPPORTED: 'certificate-unreadable',
};

const NO_TLS_HINT = 'Check the port (8883 with TLS, 1883 without, as a rule) and mqtts:// against mqtt://.';

const NETWORK_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'no such name',
  EAI_AGAIN: 'the name cannot be looked up now (is there a network?)',
  EHOSTUNREACH: 'no way to that host',
  ENETUNREACH: 'no network',
  ETIMEDOUT: 'no answer',
};

function namesIn(error: unknown): string | undefined {
  return (error as { cert?: { subjectaltname?: string } }).cert?.subjectaltname;
}
