/**
 * A broker that stands in for AWS IoT Core: mutual TLS, its limits, its manners, its policies. Everything it refuses is
 * counted with a reason. It speaks MQTT 3.1.1 only: clients that start with MQTT 5 are told so and fall back. One port serves
 * MQTT and HTTPS, told apart by ALPN, as 443 does on AWS.
 *
 *   node build/demo/iot-core.js --dir certs --port 0     prints {"port":…}, then its counters when it ends
 *
 * Where it differs from AWS: no throughput limit in bytes, messages in a session are replayed at once, and a shared
 * subscription has one member.
 */

import { readFileSync, realpathSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Aedes, type AuthenticateError, type Client, type PublishPacket } from 'aedes';
import { PACKET } from './frames.js';
import { GuardedConnection } from './guard.js';
import { httpsPublish } from './https-publish.js';
import { ConnectionLimits, ConnectRate, IOT_CORE_LIMITS, type Limits, type Refusal } from './limits.js';
import { messagesIn, messagesOfApi, messagesOut } from './meter.js';
import { CLAIM_PERMISSIONS, mayPublishByHttps, permissionsOf } from './policy.js';
import type { Provisioning } from './provisioning.js';
import { type RuleOptions, ruleOutput, takes } from './rule.js';
import { SESSION_LIMITS, type SessionLimits, Sessions } from './sessions.js';

const ALPN_MQTT = 'x-amzn-mqtt-ca';
const ALPN_HTTPS = 'x-amzn-http-ca';

export interface IotCoreOptions {
  /** PEM, as from certs.example: CA of the clients, and the server's certificate and key. */
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** 0 for any free port. */
  readonly port: number;
  readonly host?: string;
  readonly limits?: Partial<Limits>;
  readonly sessions?: Partial<SessionLimits>;
  readonly provisioning?: Provisioning;
  readonly rules?: readonly Rule[];
  /** What rules say as the time of a message. */
  readonly now?: () => number;
}

export interface Rule extends RuleOptions {
  /** What the rule puts out, for its action. */
  take(output: string): void;
}

export interface IotCoreCounters {
  connections: number;
  takeovers: number;
  publishesIn: number;
  /** Of those, what came by HTTPS. */
  publishesByHttps: number;
  publishesOut: number;
  bytesIn: number;
  /** As AWS meters them (meter.ts). */
  metered: number;
  readonly refused: Partial<Record<Refusal, number>>;
}

export interface IotCore {
  readonly port: number;
  readonly counters: IotCoreCounters;
  /** As the data plane's API does; QoS 0. */
  publish(topic: string, payload: Uint8Array): Promise<void>;
  /** Idempotent; ends every connection. */
  stop(): Promise<void>;
}

export async function startIotCore(options: IotCoreOptions): Promise<IotCore> {
  const counters: IotCoreCounters = {
    connections: 0,
    takeovers: 0,
    publishesIn: 0,
    publishesByHttps: 0,
    publishesOut: 0,
    bytesIn: 0,
    metered: 0,
    refused: {},
  };
  const refuse = (refusal: Refusal): void => {
    counters.refused[refusal] = (counters.refused[refusal] ?? 0) + 1;
  };
  const { broker, sessions } = await startBroker(
    { ...SESSION_LIMITS, ...options.sessions },
    options.provisioning,
    counters,
    refuse,
  );
  runRules(broker, options);
  const server = guardedServer(options, broker, counters, refuse);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host ?? '127.0.0.1', resolve);
  });
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    sessions.stop();
    await new Promise<void>((resolve) => broker.close(() => resolve()));
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return {
    port: (server.address() as AddressInfo).port,
    counters,
    publish: (topic, payload) => {
      counters.metered += messagesOfApi(topic, payload);
      return publishTo(broker, topic, payload);
    },
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

function guardedServer(
  options: IotCoreOptions,
  broker: Aedes,
  counters: IotCoreCounters,
  refuse: (refusal: Refusal) => void,
): Server {
  const limits = { ...IOT_CORE_LIMITS, ...options.limits };
  const connects = new ConnectRate(limits.connectIntervalMs);
  const { ca, cert, key } = options;
  const https = httpsPublish({
    maxBytes: limits.payloadBytes,
    mayPublish: mayPublishByHttps,
    publish: async (topic, payload) => {
      counters.publishesIn++;
      counters.publishesByHttps++;
      await publishAs(broker, topic, payload);
    },
    refuse,
  });
  const server = createServer({
    ...{ ca, cert, key, ALPNProtocols: [ALPN_MQTT, ALPN_HTTPS] },
    ...{ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' },
  });
  server.on('tlsClientError', () => refuse('certificate'));
  server.on('secureConnection', (socket: TLSSocket) => {
    counters.connections++;
    if (options.provisioning?.admits(socket.getPeerCertificate().fingerprint256) === false) {
      refuse('certificate');
      socket.destroy();
      return;
    }
    if (socket.alpnProtocol === ALPN_HTTPS) {
      https.emit('connection', socket);
      return;
    }
    const guarded = new GuardedConnection(socket, new ConnectionLimits(limits, connects), {
      onRefusal: refuse,
      onPass: (frame, direction) => {
        if (direction === 'in') counters.bytesIn += frame.bytes.length;
        counters.metered += direction === 'in' ? messagesIn(frame) : messagesOut(frame);
        if (frame.type !== PACKET.publish) return;
        if (direction === 'in') counters.publishesIn++;
        else counters.publishesOut++;
      },
    });
    broker.handle(guarded);
  });
  return server;
}

/** Each message that a client publishes, to each rule that takes it. */
function runRules(broker: Aedes, { rules = [], now = Date.now }: IotCoreOptions): void {
  broker.on('publish', ({ topic, payload }, client) => {
    if (client === null) return;
    const { principal } = client.conn as GuardedConnection;
    const message = { topic, payload: payload as Buffer, clientId: client.id, principal, timestampMs: now() };
    for (const rule of rules) if (takes(rule, topic)) rule.take(ruleOutput(message));
  });
}

function publishTo(broker: Aedes, topic: string, payload: Uint8Array): Promise<void> {
  const packet = { cmd: 'publish', qos: 0, retain: false, dup: false, topic, payload: Buffer.from(payload) } as const;
  return new Promise((resolve, reject) => {
    broker.publish(packet, (error) => (error ? reject(error) : resolve()));
  });
}

/** aedes with the policies in its hooks. A denied publish ends the connection, a denied subscription is answered 0x80. */
async function startBroker(
  limits: SessionLimits,
  provisioning: Provisioning | undefined,
  counters: IotCoreCounters,
  refuse: (refusal: Refusal) => void,
): Promise<{ broker: Aedes; sessions: Sessions }> {
  const connected = new Set<string>();
  const may = (name: string) => (provisioning?.isClaim(name) ? CLAIM_PERMISSIONS : permissionsOf(name));
  /** What each client subscribed to. */
  const heard = new WeakMap<Client, Set<string>>();
  const broker = await Aedes.createBroker({
    authenticate: (client, _username, _password, done) => {
      const allowed = may(nameOf(client)).mayConnect(client.id);
      const hasRoom = client.clean || sessions.hasRoomFor(client.id);
      if (!allowed) refuse('client-id-denied');
      else if (!hasRoom) refuse('too-many-sessions');
      else if (connected.has(client.id)) counters.takeovers++;
      if (allowed && hasRoom) done(null, true);
      else done(denied(`${nameOf(client)} may not connect as ${client.id}`), false);
    },
    authorizePublish: (client, packet, done) => {
      if (client === null || may(nameOf(client)).mayPublish(packet.topic, packet.retain)) {
        if (client !== null && provisioning?.isRequest(packet.topic))
          void answer(provisioning, client, packet, heard.get(client));
        return done(null);
      }
      refuse('publish-denied');
      done(new Error(`${nameOf(client)} may not publish to ${packet.topic}`));
    },
    authorizeSubscribe: (client, subscription, done) => {
      const filter = subscription.topic.replace(/^\$share\/[^/]+\//, '');
      if (may(nameOf(client)).maySubscribe(filter)) {
        heard.set(client, (heard.get(client) ?? new Set()).add(filter));
        subscription.topic = filter;
        return done(null, subscription);
      }
      refuse('subscribe-denied');
      done(null, null);
    },
  });
  const sessions = new Sessions(broker, limits, () => refuse('session-full'));
  broker.on('clientReady', (client) => connected.add(client.id));
  broker.on('clientDisconnect', (client) => connected.delete(client.id));
  return { broker, sessions };
}

/** To whoever asked, if still there and listening. */
async function answer(
  provisioning: Provisioning,
  client: Client,
  packet: PublishPacket,
  heard: ReadonlySet<string> | undefined,
): Promise<void> {
  const reply = await provisioning.answer(packet.topic, Buffer.from(packet.payload), client.id);
  if (client.closed || heard?.has(reply.topic) !== true) return;
  client.publish({ ...reply, cmd: 'publish', qos: 0, retain: false, dup: false }, () => undefined);
}

function publishAs(broker: Aedes, topic: string, payload: Buffer): Promise<void> {
  const packet = { cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false } as const;
  return new Promise((resolve, reject) => broker.publish(packet, (error) => (error ? reject(error) : resolve())));
}

/** [MQTT-3.2.2-3] return code 5: not authorized. */
function denied(message: string): AuthenticateError {
  return Object.assign(new Error(message), { returnCode: 5 as AuthenticateError['returnCode'] });
}

function nameOf(client: Client): string {
  return client.conn instanceof GuardedConnection ? client.conn.commonName : '';
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      dir: { type: 'string', default: 'certs' },
      port: { type: 'string', default: '8883' },
      host: { type: 'string', default: '127.0.0.1' },
    },
  });
  const pem = (name: string): Buffer => readFileSync(join(values.dir, name));
  const core = await startIotCore({
    ca: pem('ca.pem'),
    cert: pem('server.pem'),
    key: pem('server-key.pem'),
    port: Number(values.port),
    host: values.host,
  });
  process.stdout.write(`${JSON.stringify({ port: core.port })}\n`);
  const stop = async (): Promise<void> => {
    await core.stop();
    process.stdout.write(`${JSON.stringify(core.counters)}\n`);
  };
  process.once('SIGINT', () => void stop()).once('SIGTERM', () => void stop());
}

const script = process.argv[1];
if (script !== undefined && import.meta.url === pathToFileURL(realpathSync(script)).href) await main();
