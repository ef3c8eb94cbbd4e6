/**
 * What a fleet of simulated sensors is: a name, and a pure function from (seed, device, round, time) to one MQTT
 * message. Payloads are written by hand, digit by digit, as the firmware of a real sensor does: fixed decimals, so that
 * a whole number arrives as `35.0`.
 */

export interface SensorMoment {
  readonly seed: number;
  /** 0-based number of the device in its fleet. */
  readonly device: number;
  /** How many readings this device sent before. */
  readonly round: number;
  /** Observation time, whole ms since 1970 UTC. */
  readonly timeMs: number;
  /** True where a device sends more than once a second, so that times in whole seconds would not tell readings apart. */
  readonly subSecond: boolean;
}

export interface SensorMessage {
  readonly topic: string;
  readonly payload: string;
}

export interface Fleet {
  readonly name: string;
  /** The message of one device at one moment. Pure: the same moment gives the same bytes. */
  message(moment: SensorMoment): SensorMessage;
}

/** A day as 24 hourly levels (UTC), with straight lines between them: arithmetic that every platform does alike. */
export type DayCurve = readonly number[];

export function levelAt(curve: DayCurve, timeMs: number): number {
  const hours = (timeMs / 3_600_000) % 24;
  const hour = Math.floor(hours);
  const from = curve[hour] ?? 0;
  const to = curve[(hour + 1) % 24] ?? 0;
  return from + (to - from) * (hours - hour);
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

/** A name with its number, as installers write them: `S-007`. */
export function numbered(prefix: string, index: number): string {
  return `${prefix}${String(index + 1).padStart(3, '0')}`;
}
