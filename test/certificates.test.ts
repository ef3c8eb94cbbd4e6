/** Every way a certificate can be wrong, on real TLS connections: what we say before connecting, and after it failed. */
import { once } from 'node:events';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import t from 'tap';
import { type CertificateFiles, makeCertificates } from '../certs.example/make-certs.js';
import { diagnose as diagnoseWith, type TlsFiles } from '../shared/certificates.js';
import type { EdgetallyError } from '../shared/errors.js';
import { explainTlsError, type TlsContext } from '../shared/tls-reasons.js';

const PAST = { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') };
const FUTURE = { notBefore: new Date('2044-01-01'), notAfter: new Date('2045-01-01') };
const diagnose = (files: TlsFiles, nowMs: number) => diagnoseWith(files, nowMs, readFile);
const root = t.testdir();
let made = 0;
const make = (options: Parameters<typeof makeCertificates>[1] = {}) =>
  makeCertificates(join(root, String(made++)), { gateways: ['g'], ...options });

const good = await make();
const other = await make();
const expired = await make({ validity: { server: PAST, gateway: PAST } });
const early = await make({ validity: { server: FUTURE, gateway: FUTURE } });
const oldCa = await make({ validity: { ca: PAST } });
const elsewhere = await make({ hosts: ['edge.example'], onlyHosts: true });
const gatewayOf = (of: typeof good): CertificateFiles => of.gateways.get('g')!;
const codes = (problems: readonly EdgetallyError[]) => problems.map((problem) => problem.code);

/** One connection to a real server; what the client died of, and what the server says of the client. */
async function connect(
  server: CertificateFiles,
  clients: string | undefined,
  client: TlsFiles,
  maxVersion?: tls.SecureVersion,
) {
  const own = await diagnose(client, Date.now());
  const listener = tls.createServer({
    cert: await readFile(server.cert),
    key: await readFile(server.key),
    ...(clients && { ca: await readFile(clients), requestCert: true }),
    rejectUnauthorized: false,
    ...(maxVersion && { maxVersion }),
  });
  let ofClient: EdgetallyError | undefined;
  listener.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    if (clients === undefined || socket.authorized) return socket.end('welcome');
    const reason = Object.assign(new Error(''), { code: String(socket.authorizationError) });
    ofClient = explainTlsError(reason, { address: 'g', peer: 'client', ca: clients });
    return socket.destroy();
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as AddressInfo;
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: own.ca,
    cert: own.cert,
    key: own.key,
  });
  let died: unknown;
  let welcome = false;
  socket.on('error', (error) => {
    died = error;
  });
  socket.on('data', () => {
    welcome = true;
  });
  await new Promise((resolve) => socket.on('close', resolve));
  await new Promise((resolve) => listener.close(resolve));
  const context: TlsContext = { address: 'localhost', ca: client.ca, own };
  return { ofClient, ofServer: welcome ? undefined : explainTlsError(died, context) };
}

t.test('the certificate of the broker', async (t) => {
  const table: [string, CertificateFiles, string, EdgetallyError['code'] | undefined, RegExp][] = [
    ['good', good.server, good.ca, undefined, /^$/],
    ['expired', expired.server, expired.ca, 'certificate-expired', /localhost.*expired/],
    ['not yet valid', early.server, early.ca, 'certificate-not-yet-valid', /not yet valid/],
    ['its CA expired', oldCa.server, oldCa.ca, 'certificate-expired', /CA above it/],
    ['wrong CA', good.server, other.ca, 'certificate-wrong-ca', /no CA in .*ca\.pem/],
    [
      'the CA itself',
      { cert: good.ca, key: join(good.ca, '..', 'ca-key.pem') },
      other.ca,
      'certificate-wrong-ca',
      /purpose|self.signed/,
    ],
    ['wrong host', elsewhere.server, elsewhere.ca, 'certificate-wrong-host', /localhost but for DNS:edge\.example/],
  ];
  for (const [name, server, ca, code, words] of table) {
    const { ofServer } = await connect(server, undefined, { ca });
    t.equal(ofServer?.code, code, name);
    t.match(ofServer?.message ?? '', words, `${name}: ${ofServer?.message}`);
  }
});

t.test('the certificate of a client, under TLS 1.2 and 1.3, seen from both ends', async (t) => {
  const table: [
    string,
    Partial<CertificateFiles>,
    EdgetallyError['code'],
    RegExp,
    EdgetallyError['code'] | undefined,
  ][] = [
    [
      'expired',
      gatewayOf(expired),
      'certificate-expired',
      /closed the connection, and the certificate .* expired on/,
      undefined,
    ],
    ['not yet valid', gatewayOf(early), 'certificate-not-yet-valid', /not valid before .* \(the clock says/, undefined],
    [
      'wrong CA',
      gatewayOf(other),
      'link-lost',
      /issued by CN=Edgetally throwaway CA .*does the broker trust it/,
      'certificate-wrong-ca',
    ],
  ];
  for (const [name, files, code, words, seen] of table) {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      // The broker trusts whoever issued them, except for the wrong CA, so that only the dates are wrong.
      const clients = name === 'wrong CA' ? good.ca : join(files.cert!, '..', 'ca.pem');
      const { ofServer, ofClient } = await connect(good.server, clients, { ca: good.ca, ...files }, version);
      t.equal(ofServer?.code, code, `${name}, ${version}, told to the client: ${ofServer?.message}`);
      t.match(ofServer?.message, words);
      t.equal(ofClient?.code, seen ?? code, `${name}, ${version}, told to the broker: ${ofClient?.message}`);
    }
  }
});

t.test('no certificate where the broker requires one: the alert says so', async (t) => {
  const listener = tls.createServer({
    cert: await readFile(good.server.cert),
    key: await readFile(good.server.key),
    ca: await readFile(good.ca),
    requestCert: true,
    rejectUnauthorized: true,
  });
  const seen = once(listener, 'tlsClientError');
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as AddressInfo;
  const socket = tls.connect({ port, servername: 'localhost', ca: await readFile(good.ca) });
  const [error] = await once(socket, 'error');
  const own = await diagnose({ ca: good.ca }, Date.now());
  const told = explainTlsError(error, { address: 'localhost', own });
  t.equal(told.code, 'link-unauthorized');
  t.match(told.message, /none is configured/);
  const [server] = await seen;
  t.match(explainTlsError(server, { address: 'g', peer: 'client' }).message, /client g showed no certificate/);
  await new Promise((resolve) => listener.close(resolve));
});

t.test('no TLS, nobody there, no such name, just closed', async (t) => {
  const plain = createServer((socket) =>
    socket
      .on('error', () => {})
      .resume()
      .end('this is not TLS at all'),
  );
  await once(plain.listen(0, '127.0.0.1'), 'listening');
  const { port } = plain.address() as AddressInfo;
  const [noTls] = await once(tls.connect({ port, host: '127.0.0.1' }), 'error');
  await new Promise((resolve) => plain.close(resolve));
  t.match(explainTlsError(noTls, { address: 'h:1' }), { code: 'link-refused', message: /does not speak TLS/ });
  const [refused] = await once(tls.connect({ port, host: '127.0.0.1' }), 'error');
  t.match(explainTlsError(refused, { address: 'h:1' }), { code: 'link-refused', message: /nothing listens/ });
  const unknown = Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' });
  t.match(explainTlsError(unknown, { address: 'h:1' }), { code: 'link-refused', message: /no such name/ });
  t.match(explainTlsError(undefined, { address: 'h:1' }), { code: 'link-lost', message: 'h:1 closed the connection' });
});

t.test('our own files, before anything connects', async (t) => {
  const now = Date.now();
  const junk = join(root, 'junk.pem');
  const locked = join(root, 'locked.pem');
  await writeFile(junk, 'not a certificate');
  await writeFile(locked, '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n');
  const { cert, key } = gatewayOf(good);
  const table: [string, TlsFiles, string[], RegExp][] = [
    ['good', { ca: good.ca, cert, key }, [], /^$/],
    ['a server and its host', { ...good.server, host: '127.0.0.1' }, [], /^$/],
    ['expired', { ...gatewayOf(expired) }, ['certificate-expired'], /gateway-g\.pem expired on Jan {2}1/],
    ['not yet valid', { ...gatewayOf(early) }, ['certificate-not-yet-valid'], /not valid before/],
    ['expired CA', { ca: oldCa.ca }, ['certificate-expired'], /the CA .*ca\.pem expired/],
    ['CA that is none', { ca: cert }, ['certificate-wrong-ca'], /CN=g is not a CA/],
    ['key of another', { cert, key: gatewayOf(other).key }, ['certificate-key-mismatch'], /does not belong/],
    ['wrong host', { ...elsewhere.server, host: 'localhost' }, ['certificate-wrong-host'], /not made for localhost/],
    ['wrong address', { ...good.server, host: '10.0.0.1' }, ['certificate-wrong-host'], /not made for 10\.0\.0\.1/],
    ['no file', { cert: join(root, 'none.pem') }, ['certificate-unreadable'], /there is no such file/],
    ['a directory', { cert: root }, ['certificate-unreadable'], /EISDIR/],
    ['junk CA', { ca: junk }, ['certificate-unreadable'], /no certificate in PEM form/],
    ['key as certificate', { cert: key, key }, ['certificate-unreadable'], /no certificate in PEM form/],
    ['junk key', { cert, key: junk }, ['certificate-unreadable'], /no private key/],
    ['locked key', { cert, key: locked }, ['certificate-unreadable'], /encrypted/],
    [
      'all at once',
      { ca: junk, ...gatewayOf(expired), key },
      ['certificate-unreadable', 'certificate-expired', 'certificate-key-mismatch'],
      /./,
    ],
  ];
  for (const [name, files, expected, words] of table) {
    const found = await diagnose(files, now);
    t.same(codes(found.problems), expected, `${name}: ${found.problems[0]?.message ?? 'fine'}`);
    t.match(found.problems[0]?.message ?? '', words);
  }
  const early1970 = await diagnose({ cert, key }, 0);
  t.same(codes(early1970.problems), ['certificate-not-yet-valid'], 'a Pi that booted in 1970');
  t.match(early1970.problems[0]?.message, /the clock says 1970-01-01/);
  t.equal((await diagnose({ ca: good.ca, cert, key }, now)).issuedByCa, true);
  t.equal((await diagnose({ ca: other.ca, cert, key }, now)).issuedByCa, false);
  if (process.getuid?.() !== 0) {
    await chmod(key, 0);
    t.match((await diagnose({ cert, key }, now)).problems[0]?.message, /may not read it/);
    await chmod(key, 0o600);
  }
});

t.test('what makes the certificates', async (t) => {
  const dir = join(root, 'kept');
  const first = await makeCertificates(dir, { gateways: ['a'] });
  const before = await readFile(first.ca, 'utf8');
  const second = await makeCertificates(dir, { gateways: ['a', 'b'] });
  t.equal(await readFile(second.ca, 'utf8'), before, 'the CA stays');
  for (const files of [second.server, ...second.gateways.values()]) {
    t.equal((await stat(files.key)).mode & 0o777, 0o600, 'keys are readable by their owner only');
    t.match(await diagnose({ ca: second.ca, ...files }, Date.now()), { problems: [], issuedByCa: true });
  }
  await t.rejects(makeCertificates(dir, { gateways: ['../escape'] }), { code: 'usage' });
  await t.rejects(makeCertificates(dir, { hosts: ['later.example'] }), { code: 'usage', message: /later\.example/ });
});
