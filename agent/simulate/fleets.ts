/** The fleets that exist, by name. */

import { energyFleet } from './energy.js';
import type { Fleet } from './fleet.js';
import { flowsFleet } from './flows.js';
import { trafficFleet } from './traffic.js';

export const FLEETS: readonly Fleet[] = [trafficFleet, energyFleet, flowsFleet];
export const FLEET_NAMES: readonly string[] = FLEETS.map((fleet) => fleet.name);

export function fleetNamed(name: string): Fleet | undefined {
  return FLEETS.find((fleet) => fleet.name === name);
}
