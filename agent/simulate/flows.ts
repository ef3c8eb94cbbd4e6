/**
 * Network flows as a CIC flow meter writes them, one message a finished flow, with a record id: the device is the pair
 * of addresses. Durations are in µs and heavy-tailed, so that sums leave 32 bits behind within minutes, and the rate of
 * bytes has all the digits of a double, as the meter prints it.
 */

import { type DayCurve, type Fleet, levelAt, type SensorMessage, type SensorMoment } from './fleet.js';
import { between, type Random, randomOf } from './random.js';

const PROBES = ['probe-core', 'probe-dmz'] as const;
const SERVICES = [
  { port: 443, protocol: 6 },
  { port: 53, protocol: 17 },
  { port: 22, protocol: 6 },
  { port: 1883, protocol: 6 },
] as const;

/** How busy the network is. */
const LOAD: DayCurve = [
  0.3, 0.25, 0.2, 0.2, 0.2, 0.25, 0.35, 0.6, 0.9, 1, 1, 0.95, 0.8, 0.95, 1, 1, 0.95, 0.85, 0.7, 0.65, 0.6, 0.55, 0.45,
  0.35,
];

const FLEET_SALT = 3;

export const flowsFleet: Fleet = { name: 'flows', message: flowMessage };

function flowMessage({ seed, device, round, timeMs }: SensorMoment): SensorMessage {
  const pair = randomOf(seed, FLEET_SALT, device);
  const source = `10.${Math.floor(device / 240) % 250}.${device % 8}.${10 + (device % 240)}`;
  const target = `192.168.${Math.floor(between(pair, 0, 4))}.${Math.floor(between(pair, 2, 250))}`;
  const service = SERVICES[device % SERVICES.length] ?? SERVICES[0];

  const moment = randomOf(seed, FLEET_SALT, device, round);
  const durationUs = Math.floor(heavyTail(moment, 900, 119_000_000));
  const forward = 1 + Math.floor(heavyTail(moment, 1, 4000) * levelAt(LOAD, timeMs));
  const backward = Math.floor(forward * between(moment, 0, 1.6));
  const bytes = forward * Math.floor(between(moment, 40, 1400)) + backward * Math.floor(between(moment, 40, 1460));
  const bytesPerSecond = (bytes * 1e6) / durationUs;

  const probe = PROBES[device % PROBES.length] ?? PROBES[0];
  const id = `${probe}-${device.toString(36)}-${round.toString(36).padStart(5, '0')}`;
  return {
    topic: `flows/${probe}`,
    payload:
      `{"record_id":"${id}","SrcIP":"${source}","SrcPort":${Math.floor(between(moment, 32768, 60999))},"DstIP":"${target}",` +
      `"DstPort":${service.port},"Protocol":${service.protocol},"Timestamp":${timeMs},"Flow Duration":${durationUs},` +
      `"Tot Fwd Pkts":${forward},"Tot Bwd Pkts":${backward},"Flow Byts/s":${bytesPerSecond},"Label":"BENIGN"}`,
  };
}

/** Between low and high, most of it near low: each decade is about as likely as the next. */
function heavyTail(random: Random, low: number, high: number): number {
  const decades = Math.log10(high / low);
  const position = random() * decades;
  const whole = Math.floor(position);
  return Math.min(high, low * 10 ** whole * (1 + 9 * (position - whole)));
}
