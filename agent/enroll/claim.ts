/**
 * A connection with the claim certificate, for as long as it takes to ask for a certificate of one's own. Never with the client id
 * of the gateway: that would end the connection of whoever has it.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IClientOptions } from 'mqtt';
import { credentialsOf, type Diagnosis, pemOf } from '../../shared/certificates.js';
import { explainEnd, isAboutVersion, type MqttEnd } from '../../shared/mqtt-reasons.js';
import { CLAIM_CLIENT_PREFIX } from '../../shared/provisioning.js';
import { type Ask, ask } from '../mqtt/ask.js';
import { MqttConnection } from '../mqtt/connection.js';
import { mqttAlpn } from '../push/endpoint.js';
import type { PushOptions } from '../push/options.js';
import type { KeyPair } from './slots.js';

export interface BriefOptions {
  readonly push: PushOptions;
  readonly pair: KeyPair;
  readonly clientId: string;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

/** What the policy of claim certificates lets them call themselves. */
export function claimClientId(): string {
  return `${CLAIM_CLIENT_PREFIX}${randomBytes(8).toString('hex')}`;
}

/** One connection, from its beginning to its end. Rejects in our words. */
export async function briefly<T>(options: BriefOptions, work: (connection: MqttConnection) => Promise<T>): Promise<T> {
  const { push, pair, clientId, nowMs, signal } = options;
  const own = await credentialsOf({ url: push.url, ca: push.ca, ...pair }, nowMs, readFile);
  const { connection, end } = await connect(push, { ...pemOf(own), clientId }, signal);
  if (end !== undefined) throw explain(end, options, own);
  const abort = (): void => connection.end(true);
  signal.addEventListener('abort', abort);
  try {
    return await work(connection);
  } finally {
    signal.removeEventListener('abort', abort);
    connection.end(false);
  }
}

/** Questions on such a connection. */
export function asking({ client }: MqttConnection, timeoutMs: number): Ask {
  return (topic, question) => ask(client, topic, question, timeoutMs);
}

/** `end` says why it is not up. */
async function connect(
  push: PushOptions,
  options: IClientOptions,
  signal: AbortSignal,
  protocolVersion: 5 | 4 = 5,
): Promise<{ connection: MqttConnection; end?: MqttEnd }> {
  signal.throwIfAborted();
  const alpn = mqttAlpn(push);
  const connection = new MqttConnection(push.url, {
    ...options,
    ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
    protocolVersion,
    clean: true,
    connectTimeout: push.connectTimeout,
    rejectUnauthorized: true,
  });
  const abort = (): void => connection.end(true);
  signal.addEventListener('abort', abort);
  const granted = await connection.up;
  signal.removeEventListener('abort', abort);
  if (granted !== undefined) return { connection };
  const end = await connection.ended;
  connection.end(true);
  // an old broker hangs up without a word
  const isOld = isAboutVersion(end.reasonCode) || (end.error === undefined && end.reasonCode === undefined);
  return isOld && protocolVersion === 5 ? connect(push, options, signal, 4) : { connection, end };
}

function explain(end: MqttEnd, { push, clientId }: BriefOptions, own: Diagnosis) {
  return explainEnd(end, { address: new URL(push.url).host, ca: push.ca, clientId, own });
}
