/**
 * A gateway and the function that decides over its certificate, each as it is: what the agent sends is what the hook asks for,
 * for the first certificate and for the next one.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { CreateTableCommand, DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { pino } from 'pino';
import t from 'tap';
import { provisioningHook } from '../cloud/aws/provisioning-hook.js';
import { openSerials } from '../cloud/aws/serials.js';
import { tableForTests } from '../cloud/store/dynamo/table-for-tests.js';
import { EnrollRig } from './enroll-rig.js';

const SERIALS = 'serials';
const rig = await EnrollRig.start(t);
const { endpoint } = await tableForTests(t);
const client = new DynamoDBClient({
  endpoint,
  region: 'eu-central-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});
t.teardown(() => client.destroy());
await client.send(
  new CreateTableCommand({
    TableName: SERIALS,
    AttributeDefinitions: [{ AttributeName: 'serial', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'serial', KeyType: 'HASH' }],
    BillingMode: 'PAY_PER_REQUEST',
  }),
);

/** Who was let in, and how; why not, where not. */
const told: string[] = [];
const hook = provisioningHook({
  serials: openSerials(SERIALS, client),
  log: pino({}, { write: (line: string) => void told.push(line) }),
  now: Date.now,
  count: () => undefined,
});
rig.rules.hook = async ({ certificate, clientId, parameters }) => {
  const certificateId = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  const event = { certificateId, certificatePem: certificate.toString(), clientId, parameters };
  return (await hook(event)).allowProvisioning;
};

t.test('a gateway on the list gets its first certificate by a claim, and the next one by the first', async (t) => {
  const gateway = await rig.gateway(t);
  t.match(await gateway.enroll(), { code: 1, out: /hook denied/ });
  t.match(told.at(-1), /"refusal":"not-listed"/);
  const Item = { serial: { S: `serial-of-${gateway.name}` }, gateway: { S: gateway.name }, once: { BOOL: true } };
  await client.send(new PutItemCommand({ TableName: SERIALS, Item }));
  t.match(await gateway.enroll(), { code: 0 });
  t.match(told.at(-1), /"by":"claim"/);
  await gateway.agent.start();
  await gateway.publish(1);
  await gateway.settled();
  const rotated = gateway.command('rotate');
  // a new certificate is trusted for the receipts that come over it
  for (let x = 2; rig.active(gateway.name).length < 2 || (await gateway.status())?.certificate?.confirmed !== 2; x++) {
    await gateway.publish(x);
    await sleep(100);
  }
  t.match(await rotated, { code: 0 });
  t.match(told.at(-1), /"by":"certificate"/, 'over the uplink, as itself');
  t.equal(rig.active(gateway.name).length, 2);
  await gateway.agent.end('SIGTERM');
});
