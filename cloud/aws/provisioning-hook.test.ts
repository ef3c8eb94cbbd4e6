/** Who gets a certificate: real certificates, and the list of serial numbers in a table as the template makes it (dynalite). */
import 'reflect-metadata'; // must come before @peculiar/x509
import { webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import {
  type AttributeValue,
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb';
import * as x509 from '@peculiar/x509';
import { pino } from 'pino';
import t from 'tap';
import { provisioningHook } from './provisioning-hook.js';
import { openSerials } from './serials.js';

const TABLE = 'serials';
const NOW_MS = Date.parse('2026-11-21T10:00:00Z');
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

const client = await startTable();
x509.cryptoProvider.set(webcrypto);
const keys = await webcrypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify']);

async function startTable(): Promise<DynamoDBClient> {
  const dynalite = createRequire(import.meta.url)('dynalite');
  const server = dynalite({ createTableMs: 0 });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const opened = new DynamoDBClient({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'local',
    credentials: { accessKeyId: 'none', secretAccessKey: 'none' },
  });
  t.teardown(() => {
    opened.destroy();
    server.close();
  });
  const AttributeDefinitions = [{ AttributeName: 'serial', AttributeType: 'S' as const }];
  const KeySchema = [{ AttributeName: 'serial', KeyType: 'HASH' as const }];
  await opened.send(
    new CreateTableCommand({ TableName: TABLE, AttributeDefinitions, KeySchema, BillingMode: 'PAY_PER_REQUEST' }),
  );
  return opened;
}

async function list(serial: string, item: Record<string, AttributeValue> = {}): Promise<void> {
  await client.send(new PutItemCommand({ TableName: TABLE, Item: { serial: { S: serial }, ...item } }));
}

async function listed(serial: string): Promise<Record<string, AttributeValue> | undefined> {
  return (await client.send(new GetItemCommand({ TableName: TABLE, Key: { serial: { S: serial } } }))).Item;
}

/** What AWS made of a signing request with this subject. */
async function certificate(subject: x509.JsonName): Promise<string> {
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: subject,
    keys,
    signingAlgorithm: ALGORITHM,
  });
  return made.toString('pem');
}

async function ask(
  serial: unknown,
  gateway: string,
  { clientId = 'edgetally-claim-1', subject = [{ CN: [gateway] }], id = 'c1' } = {},
) {
  const lines: { refusal?: string; by?: string }[] = [];
  const counts: Readonly<Record<string, number>>[] = [];
  const hook = provisioningHook({
    serials: openSerials(TABLE, client),
    log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    now: () => NOW_MS,
    count: (some) => counts.push(some),
  });
  const answer = await hook({
    claimCertificateId: 'claim',
    certificateId: id,
    certificatePem: await certificate(subject),
    templateArn: 'arn:aws:iot:eu-central-1:123456789012:provisioningtemplate/edgetally-prod',
    clientId,
    parameters: { SerialNumber: serial, GatewayName: gateway },
  });
  t.equal(counts[0]?.admitted, answer.allowProvisioning ? 1 : 0, 'counted');
  return answer.allowProvisioning ? `admitted by ${lines[0]?.by}` : lines[0]?.refusal;
}

t.test('who is on the list gets a certificate, and it is written down', async (t) => {
  await list('SN-1', { gateway: { S: 'pi-1' } });
  t.equal(await ask('SN-1', 'pi-1', { id: 'first' }), 'admitted by claim');
  t.match(await listed('SN-1'), {
    certificate: { S: 'first' },
    at: { S: '2026-11-21T10:00:00.000Z' },
    by: { S: 'claim' },
    claims: { N: '1' },
  });
  t.equal(await ask('SN-1', 'pi-1', { clientId: 'pi-1', id: 'second' }), 'admitted by certificate', 'the next one');
  t.match(await listed('SN-1'), { certificate: { S: 'second' }, by: { S: 'certificate' }, claims: { N: '1' } });
  t.equal(await ask('SN-1', 'pi-1'), 'admitted by claim', 'again by a claim: the last one expired in an outage');
});

t.test('a gateway is called as its serial number where the list says nothing else', async (t) => {
  await list('pi-9');
  t.equal(await ask('pi-9', 'pi-9'), 'admitted by claim');
  t.equal(await ask('pi-9', 'pi-1'), 'another-gateway');
});

t.test('a name that AWS gave is nobody’s', async (t) => {
  await list('SN-7', { gateway: { S: 'pi-7' } });
  t.equal(await ask('SN-7', 'pi-7', { subject: [{ CN: ['AWS IoT Certificate'] }] }), 'admitted by claim');
});

t.test('who is not on the list, or barred, gets none', async (t) => {
  t.equal(await ask('SN-0', 'pi-0'), 'not-listed');
  t.equal(await listed('SN-0'), undefined, 'and is not on it afterwards');
  await list('SN-2', { gateway: { S: 'pi-2' }, allowed: { BOOL: false } });
  t.equal(await ask('SN-2', 'pi-2'), 'not-allowed');
  t.equal(await ask('SN-2', 'pi-2', { clientId: 'pi-2' }), 'not-allowed', 'nor its next one');
});

t.test('nobody gets the certificate of another', async (t) => {
  await list('SN-3', { gateway: { S: 'pi-3' } });
  t.equal(await ask('SN-3', 'pi-1'), 'another-gateway', 'by a serial number of its own');
  t.equal(await ask('SN-1', 'pi-1', { clientId: 'pi-3' }), 'client-id', 'by being a gateway');
  t.equal(await ask('SN-3', 'pi-3', { subject: [{ CN: ['pi-1'] }] }), 'common-name', 'by the name in the request');
  t.equal(
    await ask('SN-3', 'pi-3', { subject: [{ CN: ['pi-1'] }, { CN: ['pi-3'] }] }),
    'common-name',
    'by a second name',
  );
  t.equal(
    await ask('SN-3', 'pi-3', { subject: [{ CN: ['pi-3'] }, { CN: ['pi-1'] }] }),
    'common-name',
    'whichever is first',
  );
  t.equal(await ask('SN-3', 'pi-3', { subject: [] }), 'common-name', 'or by none');
  await list('SN-4', { gateway: { S: 'edgetally-claim-x' } });
  t.equal(await ask('SN-4', 'edgetally-claim-x', { clientId: 'edgetally-claim-x' }), 'gateway-name', 'or as a claim');
  await list('SN-5', { gateway: { S: 'a.b' } });
  t.equal(await ask('SN-5', 'a.b'), 'gateway-name', 'IoT Core knows no things with a dot');
});

t.test('one claim only, where the list says so, however many come at once', async (t) => {
  await list('SN-6', { gateway: { S: 'pi-6' }, once: { BOOL: true } });
  const outcomes = await Promise.all([1, 2, 3, 4].map(() => ask('SN-6', 'pi-6')));
  t.strictSame(outcomes.sort(), ['admitted by claim', 'claimed-already', 'claimed-already', 'claimed-already']);
  t.equal(await ask('SN-6', 'pi-6', { clientId: 'pi-6' }), 'admitted by certificate', 'renewal is no claim');
  t.equal(await ask('SN-6', 'pi-6'), 'claimed-already');
});

t.test('what is not understood is refused; a list that cannot be read is an error', async (t) => {
  t.equal(await ask(undefined, 'pi-1'), 'malformed');
  t.equal(await ask('', 'pi-1'), 'malformed');
  const services = { log: pino({ level: 'silent' }), now: () => NOW_MS, count: () => undefined };
  const hook = provisioningHook({ ...services, serials: openSerials(TABLE, client) });
  for (const event of [undefined, null, 'x', {}, { parameters: {} }]) {
    t.strictSame(await hook(event), { allowProvisioning: false });
  }
  const parameters = { SerialNumber: 'SN-1', GatewayName: 'pi-1' };
  const event = { certificateId: 'c', certificatePem: 'no PEM', clientId: 'edgetally-claim-1', parameters };
  t.strictSame(await hook(event), { allowProvisioning: false }, 'not a certificate');
  const blind = provisioningHook({ ...services, serials: openSerials('no-such-table', client) });
  const certificatePem = await certificate([{ CN: ['pi-1'] }]);
  await t.rejects(blind({ ...event, certificatePem }), { name: 'ResourceNotFoundException' });
});
