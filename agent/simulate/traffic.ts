/** Road traffic sensors: counts, speeds and congestion with two rush hours a day. Time is an ISO string. */

import { clamp, type DayCurve, type Fleet, levelAt, numbered, type SensorMessage, type SensorMoment } from './fleet.js';
import { bell, between, randomOf } from './random.js';

const ZONES = ['downtown', 'harbour', 'airport', 'north'] as const;

/** Share of a road's capacity in use. */
const LOAD: DayCurve = [
  0.06, 0.04, 0.03, 0.04, 0.08, 0.2, 0.48, 0.85, 0.95, 0.7, 0.55, 0.52, 0.56, 0.54, 0.58, 0.68, 0.86, 0.97, 0.84, 0.6,
  0.42, 0.3, 0.2, 0.11,
];

const FLEET_SALT = 1;

export const trafficFleet: Fleet = { name: 'traffic', message: trafficMessage };

function trafficMessage({ seed, device, round, timeMs }: SensorMoment): SensorMessage {
  const road = randomOf(seed, FLEET_SALT, device);
  const capacity = between(road, 25, 160);
  const freeSpeed = between(road, 38, 96);

  const moment = randomOf(seed, FLEET_SALT, device, round);
  const load = clamp(levelAt(LOAD, timeMs) * (1 + 0.15 * bell(moment)), 0, 1.2);
  const count = Math.round(capacity * load);
  const speed = clamp(freeSpeed * (1 - 0.62 * load * load) + 2 * bell(moment), 3, 140);
  const congestion = clamp(100 * load * load + 3 * bell(moment), 0, 100);

  const zone = ZONES[device % ZONES.length] ?? ZONES[0];
  const sensor = numbered('S-', device);
  const time = new Date(timeMs).toISOString();
  return {
    topic: `traffic/${zone}/${sensor}`,
    payload: `{"sensor_id":"${sensor}","zone_id":"${zone}","timestamp":"${time}","vehicle_count":${count},"avg_speed":${speed.toFixed(1)},"congestion_index":${congestion.toFixed(1)}}`,
  };
}
