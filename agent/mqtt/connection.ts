/** One MQTT connection, from CONNECT to its end. A new client each time, so that nothing of a failed one lives on. */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { type MqttEnd, reasonCodeOf } from '../../shared/mqtt-reasons.js';
import type { Connection } from './lifecycle.js';

export interface Granted {
  readonly sessionPresent: boolean;
}

export class MqttConnection implements Connection {
  readonly client: MqttClient;
  readonly up: Promise<Granted | undefined>;
  readonly ended: Promise<MqttEnd>;

  /** Starts to connect. */
  constructor(url: string, options: IClientOptions) {
    const client = mqtt.connect(url, {
      ...options,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false, // mqtt.js remembers nothing: the buffer does
    });
    this.client = client;
    let error: unknown;
    let reasonCode: number | undefined;
    let wasUp = false;
    client.on('error', (problem) => {
      error ??= problem;
      reasonCode ??= reasonCodeOf(problem);
    });
    client.on('disconnect', (packet) => {
      reasonCode ??= packet.reasonCode;
    });
    this.ended = new Promise((resolve) => client.once('close', () => resolve({ error, reasonCode, wasUp })));
    this.up = new Promise((resolve) => {
      client.once('connect', ({ sessionPresent }) => {
        wasUp = true;
        resolve({ sessionPresent });
      });
      client.once('close', () => resolve(undefined));
    });
  }

  end(force: boolean): void {
    this.client.end(force);
    if (force) this.client.stream.destroy(); // end() does nothing the second time
  }
}
