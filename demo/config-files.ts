/** The configuration that the demo runs agent and cloud with: the same files that an operator would write. Pure. */

import { stringify } from 'yaml';

export interface DemoAddresses {
  /** Port that the sensors publish to; 0 for any free one. */
  readonly sensorPort: number;
  /** Port of the link that the gateway reaches the broker over, and of the broker itself. */
  readonly linkPort: number;
  readonly brokerPort: number;
}

/** PEM files of one client. */
export interface DemoCertificate {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export const GATEWAY = 'demo-gateway';
export const CLOUD = 'cloud';

export function agentConfig(
  dataDir: string,
  certificate: DemoCertificate,
  addresses: DemoAddresses,
  windowSeconds: number,
): string {
  const windows = { window: `${windowSeconds}s`, lateness: '1s' };
  return stringify({
    version: 1,
    gateway: GATEWAY,
    data: dataDir,
    accept: {
      sources: [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${addresses.sensorPort}` }] }],
      routes: [
        { name: 'traffic', topic: 'traffic/#', device: 'sensor_id', group: 'zone_id', time: 'timestamp', ...windows },
        {
          name: 'energy',
          topic: 'energy/#',
          device: 'device_id',
          group: { constant: 'homes' },
          time: 'timestamp',
          ...windows,
        },
        { name: 'flows', shape: 'flows', topic: 'flows/{group}', ...windows },
      ],
    },
    push: { url: `mqtts://127.0.0.1:${addresses.linkPort}`, ...certificate, minBackoff: '1s', maxBackoff: '2s' },
  });
}

export function cloudConfig(database: string, certificate: DemoCertificate, addresses: DemoAddresses): string {
  return stringify({
    version: 1,
    database,
    mqtt: { url: `mqtts://127.0.0.1:${addresses.brokerPort}`, ...certificate, clientId: CLOUD },
  });
}
