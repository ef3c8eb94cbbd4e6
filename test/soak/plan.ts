/** What a soak does and to whom: all of it follows from these numbers, so that the same seed is the same soak. Pure. */

export interface SoakPlan {
  readonly seed: number;
  readonly minutes: number;
  /** Readings a second, of all gateways together. */
  readonly rate: number;
  /** Devices of each gateway. */
  readonly devices: number;
  /** Whether the clocks of the gateways are set, forward and back, while they run. */
  readonly clock: boolean;
  readonly gateways: readonly GatewayPlan[];
}

export interface StartedPlan extends SoakPlan {
  /** Observation time of the first reading, ms. */
  readonly startMs: number;
}

export interface GatewayPlan {
  readonly name: string;
  /** `broker`: sensors publish to the agent itself; `mqtt`: to a Mosquitto that the agent subscribes to. */
  readonly source: 'broker' | 'mqtt';
  /** Of all readings. */
  readonly share: number;
  /** A gateway that is never killed shows whether memory stays flat. */
  readonly killed: boolean;
}

/** Ahead of the clock by more than this, a reading is held apart. */
export const FUTURE_MS = 2_000;
/** Nobody repeats a reading after this long; what is sent longer ago may be forgotten. */
export const REPEATED_WITHIN_MS = 20_000;

export function planOf(
  options: { seed: number; minutes: number; rate: number; devices: number; clock: boolean },
  withMosquitto: boolean,
): SoakPlan {
  const gateways: GatewayPlan[] = [
    { name: 'gw-killed', source: 'broker', share: withMosquitto ? 0.4 : 0.6, killed: true },
    { name: 'gw-steady', source: 'broker', share: withMosquitto ? 0.3 : 0.4, killed: false },
  ];
  if (withMosquitto) gateways.push({ name: 'gw-mosquitto', source: 'mqtt', share: 0.3, killed: true });
  return { ...options, gateways };
}

/** How much shorter pauses and faults are than in a long soak. */
export function paceOf(minutes: number): number {
  return Math.min(1, Math.max(0.1, minutes / 5));
}

/** Lengths of windows that the gateways change between; what is published last is not due before one of these is over. */
export function windowsOf(minutes: number): readonly [usual: string, ...others: string[]] {
  return minutes < 2 ? ['5s', '2s', '10s'] : ['30s', '10s', '1m', '2m'];
}
