/** Hears what goes over a broker for a while. A client of its own, with no session: nothing of it stays behind. */
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import { explainEnd, reasonCodeOf } from '../../shared/mqtt-reasons.js';
import type { Heard } from './propose.js';

export interface ListenOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly seconds: number;
}

/** More than that of one topic teaches nothing. */
const MAX_OF_A_TOPIC = 5;
const MAX_HEARD = 20_000;
const CONNECT_MS = 5_000;

/** Throws EdgetallyError in the words of a person where the broker does not let us in. */
export async function listen(options: ListenOptions): Promise<Heard[]> {
  const { url, username, password, seconds } = options;
  const heard: Heard[] = [];
  const times = new Map<string, number>();
  const client = await connected(url, {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  });
  client.on('message', (topic, payload) => {
    const before = times.get(topic) ?? 0;
    times.set(topic, before + 1);
    if (before < MAX_OF_A_TOPIC && heard.length < MAX_HEARD) heard.push({ topic, payload });
  });
  await client.subscribeAsync('#', { qos: 0 });
  await sleep(seconds * 1000);
  await client.endAsync(true);
  return heard;
}

/** Whether the broker lets us in; ends the connection again. */
export async function tryBroker(url: string, options: mqtt.IClientOptions): Promise<void> {
  await (await connected(url, options)).endAsync();
}

async function connected(url: string, options: mqtt.IClientOptions): Promise<mqtt.MqttClient> {
  const clientId = options.clientId ?? `edgetally-setup-${process.pid}`;
  try {
    const settings = { protocolVersion: 4 as const, clean: true, connectTimeout: CONNECT_MS, ...options, clientId };
    const client = await mqtt.connectAsync(url, { ...settings, reconnectPeriod: 0 }, false);
    client.on('error', () => undefined); // a connection that is lost later ends what is heard, and nothing else
    return client;
  } catch (error) {
    const end = { error, reasonCode: reasonCodeOf(error), wasUp: false };
    throw explainEnd(end, { address: new URL(url).host, clientId });
  }
}
