/** The same readings in the form that a peer can read: pure. */
import { DeviceTraffic, deviceTopic, METRICS, PAYLOAD_BYTES } from '../traffic.js';
import type { Dialect } from './peer.js';

export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
}

/** What collectd's sensors publish below. */
export const collectdTopics = 'collectd';

export function deviceName(index: number): string {
  return deviceTopic(index).split('/')[2]!;
}

/** The stream of one device's readings; each is one message, or one a metric. */
export function readingsOf(index: number, dialect: Dialect, startMs: number): (nowMs: number) => Message[] {
  const traffic = new DeviceTraffic(index, 0, startMs);
  const topic = deviceTopic(index);
  const json = (nowMs: number) => traffic.next(1, nowMs).subarray(-PAYLOAD_BYTES);
  if (dialect === 'json') return (nowMs) => [{ topic, payload: json(nowMs) }];
  const below = `${collectdTopics}/${deviceName(index)}/room/gauge-`;
  return (nowMs) => {
    const reading = JSON.parse(String(json(nowMs))) as Record<string, number>;
    const time = (reading.ts! / 1000).toFixed(3);
    return METRICS.map((metric) => {
      return { topic: below + metric, payload: Buffer.from(`${time}:${reading[metric]}`) };
    });
  };
}
