/**
 * What the sensors of a soak say: reading `index` of a gateway is a pure function of the plan. Most are plain; some are
 * late, by seconds to a month; some are ahead of the clock; a few come from a broken clock or are no readings at all.
 * Every tenth device numbers its readings and rounds its times, so that several have the same one.
 */
import { Dice } from '../dice.js';
import { FUTURE_MS, type GatewayPlan, REPEATED_WITHIN_MS, type SoakPlan, type StartedPlan } from './plan.js';

/** How the gateway names what is no reading; `counted` and `held` otherwise. */
export type Fate = 'counted' | 'held' | 'not-json' | 'not-text' | 'no-route' | 'bad-time' | 'no-metrics';

export interface SoakReading {
  readonly fate: Fate;
  readonly topic: string;
  readonly payload: Buffer;
  /** When a repetition follows, ms after it; undefined where there is none. */
  readonly repeatedAfterMs: number | undefined;
  /** What a batch job is given, where it is a reading. */
  readonly record: RawReading | undefined;
}

export interface RawReading {
  readonly device: string;
  /** Record id, or observation time. */
  readonly identity: string;
  readonly timeUs: number;
  /** As they are written. */
  readonly values: readonly [level: string, energy: string];
}

const DAY_MS = 86_400_000;
const SHARES = { late: 0.02, ahead: 0.003, brokenClock: 0.001, malformed: 0.005, repeated: 0.03 };
const MALFORMED = ['not-json', 'not-text', 'no-route', 'bad-time', 'no-metrics'] as const;

/** Observation time between one reading of a gateway and the next, ms. */
export function stepMs(plan: SoakPlan, gateway: GatewayPlan): number {
  return 1000 / (plan.rate * gateway.share);
}

export function readingAt(plan: StartedPlan, gateway: GatewayPlan, index: number): SoakReading {
  const dice = new Dice(plan.seed, plan.gateways.indexOf(gateway), index);
  const number = index % plan.devices;
  const repeatedAfterMs = dice.chance(SHARES.repeated) ? dice.below(REPEATED_WITHIN_MS) : undefined;
  if (dice.chance(SHARES.malformed)) return { ...malformed(dice, number), repeatedAfterMs, record: undefined };
  const numbered = number % 10 === 0;
  const { fate, timeUs } = observed(plan, gateway, index, dice);
  const roundedUs = numbered ? timeUs - (timeUs % 1_000_000) : timeUs;
  const values = [(dice.below(9_000) / 10 - 400).toFixed(1), (1e7 + dice.below(10_000_000) / 1e4).toFixed(4)] as const;
  const device = `d${number}`;
  const sequence = Math.floor(index / plan.devices);
  const time = roundedUs % 1000 === 0 ? `"${new Date(roundedUs / 1000).toISOString()}"` : String(roundedUs);
  const id = numbered ? `"n":${sequence},` : '';
  return {
    fate,
    topic: `${numbered ? 'numbered' : 'plain'}/g${number % 7}/${device}`,
    payload: Buffer.from(`{${id}"t":${time},"level":${values[0]},"energy":${values[1]}}`),
    repeatedAfterMs,
    record: { device, identity: String(numbered ? sequence : roundedUs), timeUs: roundedUs, values },
  };
}

function observed(plan: StartedPlan, gateway: GatewayPlan, index: number, dice: Dice): { fate: Fate; timeUs: number } {
  const nowUs = Math.floor(plan.startMs + index * stepMs(plan, gateway)) * 1000;
  // a gateway that is in doubt of its own clock does not know which one is broken
  if (!plan.clock && dice.chance(SHARES.brokenClock))
    return { fate: 'held', timeUs: nowUs + (1 + dice.below(300)) * DAY_MS * 1000 };
  if (dice.chance(SHARES.ahead))
    return { fate: 'counted', timeUs: nowUs + (FUTURE_MS + dice.below(8_000)) * 1000 + 500 + (index % 499) };
  if (!dice.chance(SHARES.late)) return { fate: 'counted', timeUs: nowUs };
  // as many by seconds as by hours or days; odd microseconds keep it apart from what was measured on time
  const lateMs = Math.round(1000 * (30 * 86_400) ** (dice.below(1e6) / 1e6));
  return { fate: 'counted', timeUs: nowUs - lateMs * 1000 + 1 + (index % 499) };
}

function malformed(dice: Dice, number: number): Pick<SoakReading, 'fate' | 'topic' | 'payload'> {
  const fate = dice.pick(MALFORMED);
  const topic = fate === 'no-route' ? `nowhere/d${number}` : `plain/g0/d${number}`;
  const payload = {
    'not-json': Buffer.from('{"t":17952480'),
    'not-text': Buffer.from([0x7b, 0xff, 0xfe, 0x7d]),
    'no-route': Buffer.from('{"level":1}'),
    'bad-time': Buffer.from('{"t":"yesterday","level":1}'),
    'no-metrics': Buffer.from(`{"t":${Date.UTC(2026, 0, 1)},"note":"all is well"}`),
  }[fate];
  return { fate, topic, payload };
}
