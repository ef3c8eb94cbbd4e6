/**
 * A question and its answer over MQTT, as AWS IoT does it: the answer comes on <topic>/accepted or <topic>/rejected. Subscribes
 * first; never waits longer than it is told.
 */
import type { MqttClient } from 'mqtt';
import { EdgetallyError } from '../../shared/errors.js';
import { ANSWERS } from '../../shared/provisioning.js';

export interface Answer {
  readonly accepted: boolean;
  readonly payload: Buffer;
}

export type Ask = (topic: string, question: string) => Promise<Answer>;

export async function ask(client: MqttClient, topic: string, question: string, timeoutMs: number): Promise<Answer> {
  const topics = ANSWERS.map((answer) => `${topic}/${answer}`);
  const over = new AbortController();
  const answered = hear(client, topics, timeoutMs, over.signal);
  answered.catch(() => undefined); // it is awaited below, where nothing before that fails
  try {
    const granted = await Promise.race([client.subscribeAsync(topics, { qos: 1 }), never(answered)]);
    if (granted.some(({ qos }) => qos === 128)) {
      throw new EdgetallyError('enroll-denied', `the broker does not let us listen to ${topics[0]}`);
    }
    client.publish(topic, question, { qos: 1 }, () => undefined); // the end of the connection is heard of too
    return await answered;
  } finally {
    over.abort();
    client.unsubscribe(topics, () => undefined);
  }
}

function hear(client: MqttClient, topics: string[], timeoutMs: number, over: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const message = (topic: string, payload: Buffer): void => {
      if (topics.includes(topic)) resolve({ accepted: topic === topics[0], payload });
    };
    const closed = (): void => {
      reject(new EdgetallyError('enroll-failed', `the broker closed the connection when it was asked: ${topics[0]}`));
    };
    const timer = setTimeout(() => {
      reject(new EdgetallyError('enroll-failed', `no answer within ${timeoutMs} ms: ${topics[0]}`));
    }, timeoutMs);
    client.on('message', message).on('close', closed);
    over.addEventListener('abort', () => {
      clearTimeout(timer);
      client.off('message', message).off('close', closed);
    });
  });
}

/** Only its failure counts. */
function never(answered: Promise<unknown>): Promise<never> {
  return answered.then(() => new Promise<never>(() => undefined));
}
