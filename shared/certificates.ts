/**
 * Says plainly what is wrong with certificate files before anything connects: expired, not yet valid, wrong CA, wrong key,
 * wrong host, unreadable. What a connection died of afterwards is for `tls-reasons.ts`, which asks this diagnosis where
 * the other side says nothing. Reads no file by itself, never connects; only `credentialsOf` throws.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { EdgetallyError } from './errors.js';

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

export type ReadBytes = (path: string) => Promise<Buffer>;

/** Has the files read, and checks them against the clock and each other. */
export async function diagnose(files: TlsFiles, nowMs: number, readBytes: ReadBytes): Promise<Diagnosis> {
  const problems: EdgetallyError[] = [];
  const [ca, cert, key] = await Promise.all([
    read('CA', files.ca, readBytes, problems),
    read('certificate', files.cert, readBytes, problems),
    read('private key', files.key, readBytes, problems),
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

/** What a client connects with, with its doubts; throws what keeps a connection from being worth a try. */
export async function credentialsOf(
  { url, ca, cert, key }: TlsFiles & { readonly url: string },
  nowMs: number,
  readBytes: ReadBytes,
): Promise<Diagnosis> {
  if (!url.startsWith('mqtts:')) return { problems: [] };
  const own = await diagnose({ ca, cert, key }, nowMs, readBytes);
  const hopeless = hopelessProblem(own);
  if (hopeless !== undefined) throw hopeless;
  return own;
}

/** The first problem that is not about dates: those may be the fault of our clock, and the other side may not mind. */
export function hopelessProblem({ problems }: Diagnosis): EdgetallyError | undefined {
  return problems.find(({ code }) => code !== 'certificate-expired' && code !== 'certificate-not-yet-valid');
}

/** The bytes alone, for tls.connect. */
export function pemOf({ ca, cert, key }: Diagnosis): Pick<Diagnosis, 'ca' | 'cert' | 'key'> {
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

async function read(
  what: string,
  path: string | undefined,
  readBytes: ReadBytes,
  problems: EdgetallyError[],
): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readBytes(path);
  } catch (error) {
    const { code } = asError(error);
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
  const isAddress = /^[\d.]+$|:/.test(host);
  return (isAddress ? cert.checkIP(host) : cert.checkHost(host)) !== undefined;
}

export function wrongHost(whose: string, host: string, names: string | undefined, cause?: unknown): EdgetallyError {
  const carried = names === undefined || names === '' ? 'no name at all' : names;
  return new EdgetallyError('certificate-wrong-host', `${whose} is not made for ${host} but for ${carried}`, { cause });
}

function unreadable(what: string, path: string | undefined, why: string, cause?: unknown): EdgetallyError {
  return new EdgetallyError('certificate-unreadable', `the ${what} ${path} cannot be read: ${why}`, { cause });
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}

export function asError(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error ?? 'closed') };
  // a refusal by a broker has a number there
  return { code: String((error as { code?: unknown }).code ?? ''), message: error.message };
}
