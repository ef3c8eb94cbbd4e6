/**
 * One connection to the broker, from CONNECT to the end. A new client each time, so that nothing of a failed one lives on.
 *
 * Promises: a message is acknowledged (PUBACK) only after its `accept` resolved; where it rejects, the connection ends
 * without, and the broker sends the message again. A few messages wait together, so that they share a commit; beyond them
 * the broker's own queue is the backlog.
 */
import mqtt, { type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt';
import { EdgetallyError } from '../../shared/errors.js';
import { type MqttEnd, reasonCodeOf } from '../../shared/mqtt-reasons.js';
import { pubacks } from '../../shared/puback.js';
import { TOPIC_ROOT } from '../../shared/topics.js';
import type { Log } from '../log.js';
import type { MqttOptions } from './options.js';

export interface IncomingMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
}

export interface ConnectionHandlers {
  /** Resolves once the message is durable. */
  accept(message: IncomingMessage): Promise<unknown>;
  /** Connected: receipts may go. Batches that the broker kept may come at once. */
  connected(client: MqttClient): void;
  /** Subscribed. */
  up(): void;
}

const BATCHES = `${TOPIC_ROOT}/+/up/batch`;
const STATUSES = `${TOPIC_ROOT}/+/up/status`;

/** Batches that may wait here for their commit; the others of a share group can have the rest. */
const RECEIVE_MAXIMUM = 16;

/** Tells mqtt.js to write no PUBACK for this packet, and to go on. Never seen by anyone. */
const HELD = new Error('held until it is committed');

const AGAIN_HINT = 'Nothing to do: the broker sends it again.';

/** Resolves when the connection is over, for whatever reason; never rejects. */
export function runConnection(
  options: MqttOptions,
  protocolVersion: 4 | 5,
  tls: Partial<IClientOptions>,
  handlers: ConnectionHandlers,
  log: Log,
  signal: AbortSignal,
): Promise<MqttEnd> {
  return new Promise((resolve) => {
    const client = mqtt.connect(options.url, connectOptions(options, protocolVersion, tls));
    let error: unknown;
    let reasonCode: number | undefined;
    let wasUp = false;
    const fail = (problem: Error) => {
      error ??= problem;
      client.end(true);
    };
    const abort = () => client.end(true);
    signal.addEventListener('abort', abort, { once: true });
    acknowledgeAfter(client, handlers, fail);
    client.on('connect', (connack) => {
      wasUp = true;
      handlers.connected(client);
      subscribe(client, connack, options, protocolVersion, log).then(handlers.up, fail);
    });
    client.on('disconnect', (packet) => {
      reasonCode ??= packet.reasonCode;
    });
    client.on('error', (problem) => {
      reasonCode ??= reasonCodeOf(problem);
      fail(problem);
    });
    client.on('close', () => {
      signal.removeEventListener('abort', abort);
      client.end(true);
      resolve({ error, reasonCode, wasUp });
    });
  });
}

function connectOptions(options: MqttOptions, protocolVersion: 4 | 5, tls: Partial<IClientOptions>): IClientOptions {
  const { clientId, username, password, connectTimeout, sessionExpiry, url } = options;
  return {
    ...tls,
    // AWS takes MQTT on 443 where the client asks for it.
    ...(new URL(url).port === '443' && { ALPNProtocols: ['x-amzn-mqtt-ca'] }),
    clientId,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    protocolVersion,
    clean: false,
    ...(protocolVersion === 5 && {
      properties: { sessionExpiryInterval: Math.floor(sessionExpiry / 1000), receiveMaximum: RECEIVE_MAXIMUM },
    }),
    connectTimeout,
    keepalive: 30,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
  };
}

/**
 * mqtt.js acknowledges when handleMessage calls back without an error, and reads the next message then; so it is called back
 * with one at once, and the PUBACK is written here, after the commit. At the limit it is called back when there is room.
 */
function acknowledgeAfter(client: MqttClient, handlers: ConnectionHandlers, fail: (error: Error) => void): void {
  let waiting = 0;
  let goOn: (() => void) | undefined;
  const failUnstored = (cause: Error) =>
    fail(
      new EdgetallyError('link-lost', `a message could not be stored: ${cause.message}`, { cause, hint: AGAIN_HINT }),
    );
  const stored = (messageId: number | undefined) => {
    waiting--;
    // After the end nobody waits for a PUBACK; the broker sends the message again, which changes nothing.
    if (client.connected && messageId !== undefined) client.stream.write(pubacks([messageId]));
    // The next message may come within this call, and find no room either.
    const next = goOn;
    goOn = undefined;
    next?.();
  };
  client.handleMessage = (packet, done) => {
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    const messageId = packet.qos === 1 ? packet.messageId : undefined;
    waiting++;
    handlers
      .accept({ topic: packet.topic.toString(), payload, retained: packet.retain })
      .then(() => stored(messageId), failUnstored);
    if (waiting < RECEIVE_MAXIMUM) done(HELD);
    else goOn = () => done(HELD);
  };
}

async function subscribe(
  client: MqttClient,
  connack: IConnackPacket,
  options: MqttOptions,
  protocolVersion: 4 | 5,
  log: Log,
): Promise<void> {
  const shared = options.shareGroup === undefined ? undefined : `$share/${options.shareGroup}/${BATCHES}`;
  const known =
    protocolVersion === 5 ? connack.properties?.sharedSubscriptionAvailable !== false : options.protocol === '3.1.1';
  const topic = shared !== undefined && known ? shared : BATCHES;
  if (shared !== undefined && topic !== shared) {
    log.warn('the broker may not have shared subscriptions: every process gets every batch, which does no harm');
  }
  // What an earlier process of this name asked for in another way would send every batch twice.
  const other = topic === BATCHES ? shared : BATCHES;
  if (connack.sessionPresent && other !== undefined) await client.unsubscribeAsync(other).catch(() => undefined);
  await subscribeTo(client, topic, log);
  await subscribeTo(client, STATUSES, log).catch((error: Error) => {
    if (!client.connected) throw error;
    log.error({ err: error }, `no statuses will come: ${error.message}`);
  });
}

async function subscribeTo(client: MqttClient, topic: string, log: Log): Promise<void> {
  try {
    const [granted] = await client.subscribeAsync(topic, { qos: 1 });
    if (granted?.qos === 0)
      log.warn({ topic }, 'the broker grants QoS 0 only: a batch lost on its way is sent again later');
  } catch (cause) {
    if (!client.connected) throw cause;
    const why = (cause as Error).message;
    throw new EdgetallyError('link-unauthorized', `the broker refused the subscription to ${topic}: ${why}`, {
      cause,
      hint: 'Allow this client to subscribe to, and receive, that topic in the broker’s policy.',
    });
  }
}
