/**
 * In which order messages leave the sensors: a pure, lazy list made from a seed. A share of the messages is late (sent
 * after newer ones) and a share is sent twice, as by a sensor that missed a PUBACK or a bridge that replays its queue.
 *
 * Promises: every message 0 … count−1 is in the list at least once; the same plan gives the same list; memory is bounded
 * by the messages that wait to be late, not by count.
 */

import type { Fleet } from './fleet.js';
import { randomOf } from './random.js';

export interface SchedulePlan {
  readonly seed: number;
  readonly fleets: readonly Fleet[];
  /** Devices of each fleet. They report in turn. */
  readonly devices: number;
  /** How many distinct messages; may be Infinity. */
  readonly count: number;
  /** Observation time of the first message, ms since 1970 UTC. */
  readonly startMs: number;
  /** Observation time between one message and the next, ms (fractions allowed). */
  readonly stepMs: number;
  /** Share of messages that are late, 0 … 1, and by how many places at most. */
  readonly lateShare: number;
  readonly latePlaces: number;
  /** Share of messages that are sent a second time, 0 … 1. */
  readonly duplicateShare: number;
}

export interface Outgoing {
  /** The place in the list that this message belongs to: with the rate it says when to send it. */
  readonly place: number;
  /** Number of the distinct message. */
  readonly index: number;
  /** Number of the fleet in the plan. */
  readonly fleet: number;
  readonly kind: 'on-time' | 'late' | 'duplicate';
  /** Whether this message is in the list twice. */
  readonly isRepeated: boolean;
  readonly topic: string;
  readonly payload: string;
}

const DISORDER_SALT = 0x5eed;
/** A duplicate of a message that is not late follows within this many places at most, where lateness allows no more. */
const DUPLICATE_PLACES = 500;

export function* schedule(plan: SchedulePlan): Generator<Outgoing, void, undefined> {
  const waiting = new Map<number, Outgoing[]>();
  const wait = (place: number, outgoing: Outgoing): void => {
    const there = waiting.get(place);
    if (there === undefined) waiting.set(place, [{ ...outgoing, place }]);
    else there.push({ ...outgoing, place });
  };
  for (let place = 0; place < plan.count || waiting.size > 0; place++) {
    if (place < plan.count) {
      const { lateBy, repeatAfter } = disorderOf(plan, place);
      const outgoing = { ...messageAt(plan, place), isRepeated: repeatAfter > 0 };
      if (lateBy === 0) yield outgoing;
      else wait(place + lateBy, { ...outgoing, kind: 'late' });
      if (repeatAfter > 0) wait(place + lateBy + repeatAfter, { ...outgoing, kind: 'duplicate' });
    }
    const due = waiting.get(place);
    if (due === undefined) continue;
    waiting.delete(place);
    yield* due;
  }
}

/** Message number `index`, before any disorder. */
export function messageAt(plan: SchedulePlan, index: number): Omit<Outgoing, 'isRepeated'> {
  const reporters = plan.fleets.length * plan.devices;
  const turn = index % reporters;
  const fleet = turn % plan.fleets.length;
  const message = fleetAt(plan, fleet).message({
    seed: plan.seed,
    device: Math.floor(turn / plan.fleets.length),
    round: Math.floor(index / reporters),
    timeMs: Math.floor(plan.startMs + index * plan.stepMs),
    subSecond: deviceIntervalMs(plan) < 1001,
  });
  return { place: index, index, fleet, kind: 'on-time', topic: message.topic, payload: message.payload };
}

/** Observation time between two readings of one device, ms. */
export function deviceIntervalMs(plan: Pick<SchedulePlan, 'fleets' | 'devices' | 'stepMs'>): number {
  return plan.fleets.length * plan.devices * plan.stepMs;
}

function fleetAt(plan: SchedulePlan, number: number): Fleet {
  const fleet = plan.fleets[number];
  if (fleet === undefined) throw new RangeError('a schedule needs at least one fleet');
  return fleet;
}

/** By how many places a message is late, and how many places after it its duplicate follows; 0 for neither. */
function disorderOf(plan: SchedulePlan, index: number): { lateBy: number; repeatAfter: number } {
  const random = randomOf(plan.seed, DISORDER_SALT, index);
  const isLate = random() < plan.lateShare && plan.latePlaces >= 1;
  const isRepeated = random() < plan.duplicateShare;
  // Squared and cubed: most are a little late or repeated at once, a few very much later.
  const lateBy = isLate ? 1 + Math.floor(random() ** 2 * plan.latePlaces) : 0;
  const reach = Math.max(plan.latePlaces, DUPLICATE_PLACES);
  return { lateBy, repeatAfter: isRepeated ? 1 + Math.floor(random() ** 3 * reach) : 0 };
}
