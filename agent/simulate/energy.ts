/**
 * Household energy meters. Every fourth home has solar panels and feeds in around noon, so its consumption is below
 * zero then. Time is a number of seconds since 1970, whole where the device is slow enough for that.
 */

import { type DayCurve, type Fleet, levelAt, numbered, type SensorMessage, type SensorMoment } from './fleet.js';
import { bell, between, randomOf } from './random.js';

/** Use of a home, kWh an hour. */
const USE: DayCurve = [
  0.35, 0.3, 0.28, 0.27, 0.28, 0.4, 0.9, 1.4, 1.1, 0.7, 0.6, 0.7, 1.0, 0.9, 0.65, 0.6, 0.8, 1.5, 2.3, 2.6, 2.2, 1.6,
  0.9, 0.5,
];

/** Yield of the panels, kWh an hour. */
const SUN: DayCurve = [
  0, 0, 0, 0, 0, 0.05, 0.3, 0.9, 1.7, 2.5, 3.2, 3.6, 3.7, 3.5, 3.0, 2.2, 1.3, 0.6, 0.15, 0, 0, 0, 0, 0,
];

const FLEET_SALT = 2;

export const energyFleet: Fleet = { name: 'energy', message: energyMessage };

function energyMessage({ seed, device, round, timeMs, subSecond }: SensorMoment): SensorMessage {
  const home = randomOf(seed, FLEET_SALT, device);
  const size = between(home, 0.6, 2.4);
  const feeder = between(home, 227, 233);
  const panels = device % 4 === 3 ? between(home, 0.7, 1.3) : 0;

  const moment = randomOf(seed, FLEET_SALT, device, round);
  const kettle = moment() < 0.06 ? between(moment, 0.8, 2.1) : 0;
  const use = size * levelAt(USE, timeMs) * (1 + 0.1 * bell(moment)) + kettle;
  const sun = panels * levelAt(SUN, timeMs) * between(moment, 0.75, 1);
  const voltage = feeder - 1.2 * (use - sun) + 0.6 * bell(moment);

  const name = numbered('apt', device);
  const seconds = subSecond ? (timeMs / 1000).toFixed(3) : String(Math.floor(timeMs / 1000));
  return {
    topic: `energy/${name}`,
    payload: `{"device_id":"${name}","energy_consumption":${(use - sun).toFixed(3)},"voltage":${voltage.toFixed(1)},"timestamp":${seconds}}`,
  };
}
