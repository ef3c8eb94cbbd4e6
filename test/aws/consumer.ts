/** What a broker had, once more: through MQTT and the long-running consumer into SQLite, shuffled and some of it doubled. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import type { Logger } from 'pino';
import type { Test } from 'tap';
import type { MadeCertificates } from '../../certs.example/make-certs.js';
import type { RuleMessage } from '../../cloud/aws/rule.js';
import { cloudSchema } from '../../cloud/config.js';
import { openDatabase } from '../../cloud/database.js';
import { Service } from '../../cloud/service.js';
import { startIotCore } from '../../demo/iot-core.js';
import { until } from '../cloud-rig.js';
import type { Dice } from '../dice.js';

export interface ConsumerOptions {
  readonly dir: string;
  readonly certs: MadeCertificates;
  readonly messages: readonly RuleMessage[];
  readonly dice: Dice;
  readonly log: Logger;
  readonly now: () => number;
}

const DOUBLED = 0.2;

/** Returns the path of the database. */
export async function throughConsumer(t: Test, options: ConsumerOptions): Promise<string> {
  const { dir, certs, messages, dice, log, now } = options;
  const pem = {
    ca: readFileSync(certs.ca),
    cert: readFileSync(certs.server.cert),
    key: readFileSync(certs.server.key),
  };
  // Here only the order and the repetitions matter.
  const limits = { publishesPerSecond: 1_000_000, connectIntervalMs: 0, inFlight: 65_535 };
  const core = await startIotCore({ ...pem, port: 0, limits });
  t.teardown(() => core.stop());
  const tls = (name: string) => ({ ca: certs.ca, ...certs.gateways.get(name)! });
  const url = `mqtts://localhost:${core.port}`;
  const database = join(dir, 'consumer.db');
  const config = cloudSchema.parse({ version: 1, database, mqtt: { ...tls('cloud'), url, clientId: 'cloud' } });
  const service = new Service(config, await openDatabase(config, log, now), log, now);
  await service.start();
  const clients = new Map<string, mqtt.MqttClient>();
  const all = dice.shuffled([...messages, ...messages.filter(() => dice.chance(DOUBLED))]);
  for (const { topic, payload, clientId } of all) {
    let client = clients.get(clientId);
    if (client === undefined) {
      const { ca, cert, key } = tls(clientId);
      const files = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
      client = await mqtt.connectAsync(url, { ...files, clientId, protocolVersion: 4, reconnectPeriod: 0 });
      clients.set(clientId, client);
    }
    await client.publishAsync(topic, Buffer.from(payload), { qos: 1 });
  }
  await until(() => service.state.books.messages >= all.length);
  for (const client of clients.values()) await client.endAsync(true);
  await service.stop();
  return database;
}
