/**
 * Makes a throwaway CA, a server certificate and gateway certificates, for the demo, tests and a first try at home. No
 * openssl needed. What is already in the directory is kept, so that a gateway can be added later; nothing is ever
 * overwritten. Not a CA for production: its key lies beside the certificates.
 */
import 'reflect-metadata'; // must come before @peculiar/x509
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import * as x509 from '@peculiar/x509';
import { EdgetallyError } from '../shared/errors.js';
import { GATEWAY_NAME } from '../shared/topics.js';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'];
const DAY_MS = 86_400_000;
/** Makes what is missing in `dir` (made if need be). Keys are readable by their owner only. */
export async function makeCertificates(dir, options = {}) {
  const { gateways = [], hosts = [], validity = {} } = options;
  for (const name of gateways) {
    if (!GATEWAY_NAME.test(name)) throw new EdgetallyError('usage', `"${name}" cannot be a gateway's name`);
  }
  x509.cryptoProvider.set(webcrypto);
  await mkdir(dir, { recursive: true });
  const ca = filesOf(dir, 'ca');
  if (!(await exists(ca))) await makeCa(ca, validity.ca);
  const issuer = await readIssuer(ca);
  const server = filesOf(dir, 'server');
  if (!(await exists(server))) {
    const names = [...new Set([...(options.onlyHosts ? [] : LOCAL_HOSTS), ...hosts])];
    await issue(server, issuer, names[0] ?? 'server', 'serverAuth', names, validity.server);
  }
  await checkHosts(server, hosts);
  const made = new Map();
  for (const name of gateways) {
    const files = filesOf(dir, `gateway-${name}`);
    if (!(await exists(files))) await issue(files, issuer, name, 'clientAuth', [], validity.gateway);
    made.set(name, files);
  }
  return { ca: ca.cert, server, gateways: made };
}
async function makeCa(files, validity) {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...common(validity),
    // A name of its own: two CAs of one name confuse whoever looks for the issuer of a certificate.
    name: `CN=Edgetally throwaway CA ${randomBytes(4).toString('hex')}`,
    keys: keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await save(files, certificate, keys.privateKey);
}
async function issue(files, issuer, commonName, usage, hosts, validity) {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const names = hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }));
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(validity),
    subject: [{ CN: [commonName] }],
    issuer: issuer.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: issuer.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[usage]]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  await save(files, certificate, keys.privateKey);
}
function common(validity = {}) {
  const serial = randomBytes(16);
  serial[0] = (serial[0] & 0x7f) | 0x40; // positive and without leading zeros (RFC 5280 §4.1.2.2)
  return {
    serialNumber: serial.toString('hex'),
    notBefore: validity.notBefore ?? new Date(Date.now() - DAY_MS),
    notAfter: validity.notAfter ?? new Date(Date.now() + 3650 * DAY_MS),
    signingAlgorithm: ALGORITHM,
  };
}
async function readIssuer(files) {
  const pem = await readFile(files.key, 'utf8');
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  return {
    certificate: new x509.X509Certificate(await readFile(files.cert, 'utf8')),
    key: await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']),
  };
}
async function save(files, certificate, key) {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  await writeFile(files.key, x509.PemConverter.encode(der, 'PRIVATE KEY'), { mode: 0o600, flag: 'wx' });
  await writeFile(files.cert, `${certificate.toString('pem')}\n`, { flag: 'wx' });
}
function filesOf(dir, name) {
  return { cert: join(dir, `${name}.pem`), key: join(dir, `${name}-key.pem`) };
}
/** A host that was asked for and is not in the certificate that was there already would be found out much later. */
async function checkHosts(server, hosts) {
  const certificate = new X509Certificate(await readFile(server.cert));
  for (const host of hosts) {
    if ((isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined) continue;
    throw new EdgetallyError('usage', `${server.cert} is there already and is not made for ${host}`, {
      hint: `Remove it and ${server.key}, then run the same command again.`,
    });
  }
}
async function exists(files) {
  const found = await Promise.all(
    [files.cert, files.key].map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  if (found[0] !== found[1]) {
    throw new EdgetallyError('usage', `of ${files.cert} and ${files.key} there is only one`, {
      hint: 'Remove it, then run the same command again.',
    });
  }
  return found[0] === true;
}
async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { gateway: { type: 'string', multiple: true }, host: { type: 'string', multiple: true } },
  });
  const dir = positionals[0];
  if (dir === undefined || positionals.length > 1) {
    throw new EdgetallyError('usage', 'expected: npm run certs -- DIR [--gateway NAME]... [--host NAME]...', {
      hint: 'See certs.example/README.md.',
    });
  }
  const made = await makeCertificates(dir, { gateways: values.gateway ?? [], hosts: values.host ?? [] });
  const lines = [`CA       ${made.ca}`, `server   ${made.server.cert}`];
  for (const [name, files] of made.gateways) lines.push(`gateway  ${files.cert}  (${name})`);
  console.log(lines.join('\n'));
}
const started = process.argv[1];
if (started !== undefined && import.meta.url === pathToFileURL(realpathSync(started)).href) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof EdgetallyError ? `${error.message}\n${error.hint}` : error);
    process.exitCode = 1;
  }
}
//# sourceMappingURL=make-certs.js.map
