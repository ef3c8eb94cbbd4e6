/**
 * Says plainly what is wrong with a certificate: expired, not yet valid, wrong CA, wrong key, wrong host, unreadable.
 * `diagnose` reads and checks our own files before anything connects; `explainTlsError` turns what a connection died of
 * into words. Both are needed: under TLS 1.3 a broker that rejects a client certificate looks like a plain disconnect.
 * Never throws, never decides whether to connect.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { EdgetallyError, type ErrorCode } from '../shared/errors.js';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** For a server: a name or address that clients connect to, which its certificate has to carry. */
  readonly host?: string | undefined;
}

/** What the files hold, and everything that is wrong with them. The bytes go into tls.connect as they are. */
export interface Diagnosis {
  readonly problems: readonly EdgetallyError[];
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** When our own certificate ends, ms. */
  readonly notAfterMs?: number;
  /** The certificate's own words, and whether a CA in the `ca` file issued it (it need not: AWS uses two). */
  readonly subject?: string;
  readonly issuer?: string;
  readonly issuedByCa?: boolean;
}

/** Reads the files and checks them against the clock and each other. */
export async function diagnose(files: TlsFiles, nowMs: number): Promise<Diagnosis> {
  const problems: EdgetallyError[] = [];
  const [ca, cert, key] = await Promise.all([
    read('CA', files.ca, problems),
    read('certificate', files.cert, problems),
    read('private key', files.key, problems),
  ]);
  const authorities = ca === undefined ? [] : parseAll('CA', files.ca, ca, problems);
  for (const each of authorities) checkAuthority(each, files.ca, nowMs, problems);
  const chain = cert === undefined ? [] : parseAll('certificate', files.cert, cert, problems);
  const own = chain[0];
  if (own !== undefined) checkDates('certificate', own, files.cert, nowMs, problems);
  const privateKey = key === undefined ? undefined : parseKey(key, files.key, problems);
  if (own !== undefined && privateKey !== undefined && !own.checkPrivateKey(privateKey)) {
    problems.push(
      new EdgetallyError(
        'certificate-key-mismatch',
        `the key ${files.key} does not belong to the certificate ${files.cert}`,
      ),
    );
  }
  if (own !== undefined && files.host !== undefined && !carriesHost(own, files.host)) {
    problems.push(wrongHost(`the certificate ${files.cert}`, files.host, own.subjectAltName));
  }
  return {
    problems,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(own && { notAfterMs: Date.parse(own.validTo), subject: oneLine(own.subject), issuer: oneLine(own.issuer) }),
    ...(own &&
      authorities.length > 0 && { issuedByCa: chain.some((link) => authorities.some((ca) => issued(ca, link))) }),
  };
}

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
  const { code = '', message } = asError(error);
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
  const said = refused ? `${address} refused us (${alert ?? code})` : `${address} closed the connection`;
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

async function read(what: string, path: string | undefined, problems: EdgetallyError[]): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    const { code = '' } = asError(error);
    const words: Record<string, string> = { ENOENT: 'there is no such file', EACCES: 'this user may not read it' };
    problems.push(unreadable(what, path, words[code] ?? code, error));
    return undefined;
  }
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Every certificate in a file. Node ignores what it cannot read in a CA file, and then trusts nobody: say so instead. */
function parseAll(what: string, path: string | undefined, pem: Buffer, problems: EdgetallyError[]): X509Certificate[] {
  try {
    const found = (pem.toString('latin1').match(PEM) ?? []).map((one) => new X509Certificate(one));
    if (found.length === 0) problems.push(unreadable(what, path, 'it holds no certificate in PEM form'));
    return found;
  } catch (error) {
    problems.push(unreadable(what, path, asError(error).message, error));
    return [];
  }
}

function parseKey(pem: Buffer, path: string | undefined, problems: EdgetallyError[]): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const encrypted = /ENCRYPTED/.test(pem.toString('latin1'));
    problems.push(unreadable('private key', path, encrypted ? 'it is encrypted' : 'it holds no private key', error));
    return undefined;
  }
}

function checkAuthority(
  ca: X509Certificate,
  path: string | undefined,
  nowMs: number,
  problems: EdgetallyError[],
): void {
  checkDates('CA', ca, path, nowMs, problems);
  if (!ca.ca && oneLine(ca.issuer) !== oneLine(ca.subject)) {
    problems.push(new EdgetallyError('certificate-wrong-ca', `${path}: ${oneLine(ca.subject)} is not a CA`));
  }
}

function checkDates(
  what: string,
  cert: X509Certificate,
  path: string | undefined,
  nowMs: number,
  problems: EdgetallyError[],
) {
  const clock = `the clock says ${new Date(nowMs).toISOString()}`;
  if (nowMs > Date.parse(cert.validTo)) {
    problems.push(
      new EdgetallyError('certificate-expired', `the ${what} ${path} expired on ${cert.validTo} (${clock})`),
    );
  } else if (nowMs < Date.parse(cert.validFrom)) {
    const message = `the ${what} ${path} is not valid before ${cert.validFrom} (${clock})`;
    problems.push(new EdgetallyError('certificate-not-yet-valid', message));
  }
}

function issued(ca: X509Certificate, cert: X509Certificate): boolean {
  return cert.checkIssued(ca) && cert.verify(ca.publicKey);
}

function carriesHost(cert: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? cert.checkHost(host) : cert.checkIP(host)) !== undefined;
}

function wrongHost(whose: string, host: string, names: string | undefined, cause?: unknown): EdgetallyError {
  const carried = names === undefined || names === '' ? 'no name at all' : names;
  return new EdgetallyError('certificate-wrong-host', `${whose} is not made for ${host} but for ${carried}`, { cause });
}

function unreadable(what: string, path: string | undefined, why: string, cause?: unknown): EdgetallyError {
  return new EdgetallyError('certificate-unreadable', `the ${what} ${path} cannot be read: ${why}`, { cause });
}

function namesIn(error: unknown): string | undefined {
  return (error as { cert?: { subjectaltname?: string } }).cert?.subjectaltname;
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}

function asError(error: unknown): { code?: string; message: string } {
  return error instanceof Error ? error : { message: String(error ?? 'closed') };
}
