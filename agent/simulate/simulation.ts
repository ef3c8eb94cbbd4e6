/**
 * A run of simulated fleets: paces the schedule, publishes it over one connection a fleet, records what was
 * acknowledged. Ends when every message is acknowledged, or some time after the signal is aborted.
 *
 * Promises: a message is given up only where the signal was aborted and its PUBACK did not come within `graceMs`; the
 * result says how many.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { EdgetallyError } from '../../shared/errors.js';
import { FLEET_NAMES, fleetNamed } from './fleets.js';
import { Publisher, type PublisherOptions, probe } from './publisher.js';
import { Recorder } from './record.js';
import { deviceIntervalMs, type Outgoing, type SchedulePlan, schedule } from './schedule.js';

export interface SimulationOptions extends Omit<PublisherOptions, 'clientId'> {
  /** Connections are called `<clientId>-<fleet>`. */
  readonly clientId: string;
  readonly fleets: readonly string[];
  /** Devices of each fleet. */
  readonly devices: number;
  /** Distinct messages a second, all fleets together. */
  readonly rate: number;
  /** How many distinct messages; undefined: until the signal is aborted. */
  readonly count?: number;
  readonly seed: number;
  readonly lateShare: number;
  readonly lateByMs: number;
  readonly duplicateShare: number;
  /** How many times faster than the clock observation time passes. */
  readonly speed: number;
  /** Observation time of the first message; undefined: so that the last one is observed about when it is sent. */
  readonly startMs?: number;
  readonly record?: string;
  /** How long to wait for the last PUBACKs after the signal, ms. */
  readonly graceMs: number;
  readonly onProgress?: (progress: SimulationProgress) => void;
}

export interface SimulationProgress {
  /** Distinct messages that left, and how many of them late. */
  readonly messages: number;
  readonly late: number;
  /** Messages sent a second time on purpose. */
  readonly duplicates: number;
  readonly acknowledged: number;
  /** Offered, and no PUBACK yet. */
  readonly unacknowledged: number;
  /** Sent again because a connection ended before their PUBACK. */
  readonly resent: number;
  readonly reconnects: number;
}

const PROGRESS_MS = 250;
/** Waiting for less than this is not worth a timer. */
const PACE_GRAIN_MS = 4;

export async function runSimulation(options: SimulationOptions, signal: AbortSignal): Promise<SimulationProgress> {
  const plan = planOf(options, Date.now());
  const recorder = new Recorder(options.record);
  const publishers = options.fleets.map(
    (fleet) =>
      new Publisher<Outgoing>({ ...options, clientId: `${options.clientId}-${fleet}` }, (sent) => recorder.add(sent)),
  );
  const tally = { messages: 0, late: 0, duplicates: 0 };
  const progress = (): SimulationProgress => progressOf(tally, publishers);
  const connections = new AbortController();
  const reporter = setInterval(() => {
    options.onProgress?.(progress());
    recorder.flush();
  }, PROGRESS_MS);
  let running: Promise<void>[] = [];
  try {
    await probe(options);
    running = publishers.map((publisher) => publisher.run(connections.signal));
    await publishAll(options, plan, publishers, tally, signal);
    await settle(publishers, signal, options.graceMs);
  } finally {
    clearInterval(reporter);
    connections.abort();
    await Promise.all(running);
    await recorder.close();
  }
  options.onProgress?.(progress());
  return progress();
}

/** The schedule that the options ask for; throws where they contradict each other. Exported for tests. */
export function planOf(options: SimulationOptions, nowMs: number): SchedulePlan {
  const fleets = options.fleets.map((name) => {
    const fleet = fleetNamed(name);
    if (fleet === undefined) throw usage(`no fleet is called ${name}: there are ${FLEET_NAMES.join(', ')}`);
    return fleet;
  });
  if (fleets.length === 0 || new Set(fleets).size < fleets.length) throw usage('name each fleet once, at least one');
  const count = options.count ?? Number.POSITIVE_INFINITY;
  if (options.speed > 1 && count === Number.POSITIVE_INFINITY && options.startMs === undefined) {
    throw usage('a speed above 1 without an end would observe the future: give --duration, --count or --start');
  }
  const stepMs = (1000 / options.rate) * options.speed;
  const aheadMs = Number.isFinite(count) ? ((count * 1000) / options.rate) * (options.speed - 1) : 0;
  const plan: SchedulePlan = {
    seed: options.seed,
    fleets,
    devices: options.devices,
    count,
    startMs: options.startMs ?? Math.floor(nowMs - aheadMs),
    stepMs,
    lateShare: options.lateShare,
    latePlaces: Math.round((options.lateByMs / 1000) * options.rate),
    duplicateShare: options.duplicateShare,
  };
  if (deviceIntervalMs(plan) < 2) {
    throw usage('each device would report more often than every 2 ms: give more --devices or a lower --rate');
  }
  return plan;
}

async function publishAll(
  options: SimulationOptions,
  plan: SchedulePlan,
  publishers: readonly Publisher<Outgoing>[],
  tally: { messages: number; late: number; duplicates: number },
  signal: AbortSignal,
): Promise<void> {
  const startedMs = performance.now();
  for (const outgoing of schedule(plan)) {
    const waitMs = startedMs + (outgoing.place / options.rate) * 1000 - performance.now();
    if (waitMs > PACE_GRAIN_MS) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    const publisher = publishers[outgoing.fleet]!;
    while (publisher.isFull && !signal.aborted) await publisher.change(signal);
    if (signal.aborted) return;
    publisher.offer(outgoing.topic, outgoing.payload, outgoing);
    if (outgoing.kind === 'duplicate') tally.duplicates++;
    else tally.messages++;
    if (outgoing.kind === 'late') tally.late++;
  }
}

/** Waits until everything is acknowledged; once the signal is aborted, for `graceMs` more. */
async function settle(publishers: readonly Publisher<Outgoing>[], signal: AbortSignal, graceMs: number): Promise<void> {
  const giveUp = new AbortController();
  const startGrace = (): void => {
    setTimeout(() => giveUp.abort(), graceMs).unref();
  };
  if (signal.aborted) startGrace();
  else signal.addEventListener('abort', startGrace, { once: true });
  try {
    for (const publisher of publishers) {
      while (publisher.unacknowledged > 0 && !giveUp.signal.aborted) await publisher.change(giveUp.signal);
    }
  } finally {
    signal.removeEventListener('abort', startGrace);
  }
}

function progressOf(
  tally: { messages: number; late: number; duplicates: number },
  publishers: readonly Publisher<Outgoing>[],
): SimulationProgress {
  const sum = (of: (publisher: Publisher<Outgoing>) => number): number =>
    publishers.reduce((total, publisher) => total + of(publisher), 0);
  return {
    ...tally,
    acknowledged: sum((publisher) => publisher.counters.acknowledged),
    unacknowledged: sum((publisher) => publisher.unacknowledged),
    resent: sum((publisher) => publisher.counters.resent),
    reconnects: sum((publisher) => Math.max(0, publisher.counters.connections - 1)),
  };
}

function usage(message: string): EdgetallyError {
  return new EdgetallyError('usage', message);
}
