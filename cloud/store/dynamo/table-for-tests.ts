/**
 * An empty table for a test, in a DynamoDB that goes with it: dynalite in this process, or whatever listens at
 * EDGETALLY_TEST_DYNAMODB.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { CreateTableCommand, DeleteTableCommand, DynamoDBClient, waitUntilTableExists } from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';
import type { Test } from 'tap';
import { TABLE } from './table.js';

export interface TestTable {
  readonly table: string;
  readonly endpoint: string;
  /** A client of its own for each store: a store ends it. */
  client(): DynamoDBClient;
}

/** Nobody asks dynalite who we are. */
const IDENTITY = { region: 'eu-central-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };

/** The same as the standard environment of a process. */
export function environmentFor({ endpoint }: TestTable): Record<string, string> {
  const { accessKeyId, secretAccessKey } = IDENTITY.credentials;
  const identity = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  return { AWS_REGION: IDENTITY.region, AWS_ENDPOINT_URL_DYNAMODB: endpoint, ...identity };
}

let tables = 0;

export async function tableForTests(t: Test): Promise<TestTable> {
  const endpoint = process.env.EDGETALLY_TEST_DYNAMODB ?? (await listening(t));
  const client = () => new DynamoDBClient({ ...IDENTITY, endpoint });
  const admin = client();
  const table = `edgetally-test-${process.pid}-${++tables}`;
  await admin.send(new CreateTableCommand({ TableName: table, ...TABLE }));
  await waitUntilTableExists({ client: admin, minDelay: 1, maxDelay: 1, maxWaitTime: 60 }, { TableName: table });
  t.teardown(async () => {
    await admin.send(new DeleteTableCommand({ TableName: table }));
    admin.destroy();
  });
  return { table, endpoint, client };
}

async function listening(t: Test): Promise<string> {
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
