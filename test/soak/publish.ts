/**
 * The sensors of a soak, as a process of their own: `node publish.js <job as JSON>`. Publishes what the plan says, at its
 * rate and behind it where gateways are down; writes down each reading when it is acknowledged first (gateway, device,
 * identity, time, values: a line of CSV); ends when everything has its PUBACK, and says what left and what was acknowledged.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Dice } from '../dice.js';
import type { GatewayPlan, StartedPlan } from './plan.js';
import { type Fate, readingAt, type SoakReading, stepMs } from './readings.js';
import { Sensor } from './sensors.js';

export interface PublishJob {
  readonly plan: StartedPlan;
  /** Where each gateway's sensors publish to. */
  readonly ports: readonly number[];
  readonly recordPath: string;
}

export interface Published {
  readonly gateway: string;
  /** Distinct messages, all of them acknowledged, by what is to become of them. */
  readonly distinct: Readonly<Partial<Record<Fate, number>>>;
  /** Messages that were acknowledged, repetitions among them. */
  readonly acknowledged: Readonly<Partial<Record<Fate, number>>>;
  /** PUBLISH packets that were written, redeliveries among them. */
  readonly transmitted: Readonly<Partial<Record<Fate, number>>>;
  readonly redelivered: number;
  readonly connections: number;
}

const SENSORS = 4;
const TICK_MS = 20;
/** Mean time between two network losses of a sensor. */
const DROP_EVERY_MS = 15_000;
const REPORT_MS = 5_000;

class Fleet {
  readonly #plan: StartedPlan;
  readonly #gateway: GatewayPlan;
  readonly #record: WriteStream;
  readonly #sensors: Sensor[];
  readonly #dice: Dice;
  /** Without any acknowledgement yet. */
  readonly #fresh = new Set<SoakReading>();
  readonly distinct: Partial<Record<Fate, number>> = {};
  readonly acknowledged: Partial<Record<Fate, number>> = {};
  #repeats: { atMs: number; reading: SoakReading }[] = [];
  #next = 0;

  constructor(plan: StartedPlan, gateway: GatewayPlan, port: number, record: WriteStream) {
    this.#plan = plan;
    this.#gateway = gateway;
    this.#record = record;
    this.#dice = new Dice(plan.seed, 99, plan.gateways.indexOf(gateway));
    this.#sensors = Array.from(
      { length: SENSORS },
      (_, i) => new Sensor(port, `sensor-${gateway.name}-${i}`, (reading) => this.#acknowledge(reading)),
    );
  }

  /** Offers what is due by now, as far as the connections take it. True when there is nothing more to come. */
  offer(nowMs: number): boolean {
    const endIndex = Math.floor((this.#plan.minutes * 60_000) / stepMs(this.#plan, this.#gateway));
    const due = Math.min(endIndex, Math.floor((nowMs - this.#plan.startMs) / stepMs(this.#plan, this.#gateway)));
    for (const sensor of this.#sensors) if (this.#dice.below(DROP_EVERY_MS / TICK_MS) === 0) sensor.drop();
    const isLast = this.#next >= endIndex;
    this.#repeats = this.#repeats.filter(({ atMs, reading }) => (atMs > nowMs && !isLast) || !this.#hand(reading));
    while (this.#next < due) {
      const reading = readingAt(this.#plan, this.#gateway, this.#next);
      if (!this.#hand(reading)) return false;
      this.#fresh.add(reading);
      this.#next++;
      if (reading.repeatedAfterMs !== undefined) {
        this.#repeats.push({ atMs: nowMs + reading.repeatedAfterMs, reading });
      }
    }
    return isLast && this.#repeats.length === 0 && this.inFlight === 0;
  }

  get inFlight(): number {
    return this.#sensors.reduce((sum, sensor) => sum + sensor.inFlight, 0);
  }

  /** Any sensor will do, so that the readings of a device come by several connections and out of order. */
  #hand(reading: SoakReading): boolean {
    const sensor = this.#sensors.find(({ isFull }) => !isFull);
    if (sensor === undefined) return false;
    const free = this.#dice.pick(this.#sensors);
    (free.isFull ? sensor : free).offer(reading);
    return true;
  }

  #acknowledge(reading: SoakReading): void {
    const { fate, record } = reading;
    this.acknowledged[fate] = (this.acknowledged[fate] ?? 0) + 1;
    if (!this.#fresh.delete(reading)) return;
    this.distinct[fate] = (this.distinct[fate] ?? 0) + 1;
    if (record === undefined || fate !== 'counted') return;
    const { device, identity, timeUs, values } = record;
    this.#record.write(`${this.#gateway.name},${device},${identity},${timeUs},${values[0]},${values[1]}\n`);
  }

  end(): Published {
    const transmitted: Partial<Record<Fate, number>> = {};
    for (const sensor of this.#sensors) {
      sensor.end();
      for (const [fate, count] of Object.entries(sensor.transmitted)) {
        transmitted[fate as Fate] = (transmitted[fate as Fate] ?? 0) + count;
      }
    }
    const sum = (of: (sensor: Sensor) => number) => this.#sensors.reduce((total, sensor) => total + of(sensor), 0);
    return {
      gateway: this.#gateway.name,
      distinct: this.distinct,
      acknowledged: this.acknowledged,
      transmitted,
      redelivered: sum((sensor) => sensor.redelivered),
      connections: sum((sensor) => sensor.connections),
    };
  }
}

async function main(job: PublishJob): Promise<void> {
  const record = createWriteStream(job.recordPath);
  const fleets = job.plan.gateways.map((gateway, i) => new Fleet(job.plan, gateway, job.ports[i]!, record));
  let saidMs = 0;
  for (let over = false; !over; ) {
    await sleep(TICK_MS);
    const nowMs = Date.now();
    over = fleets.map((fleet) => fleet.offer(nowMs)).every((done) => done);
    if (nowMs - saidMs < REPORT_MS) continue;
    saidMs = nowMs;
    const acknowledged = fleets.map((fleet) => Object.values(fleet.acknowledged).reduce((a, b) => a + b, 0));
    process.stdout.write(`${JSON.stringify({ acknowledged, inFlight: fleets.map((fleet) => fleet.inFlight) })}\n`);
  }
  record.end();
  await finished(record);
  process.stdout.write(`${JSON.stringify({ published: fleets.map((fleet) => fleet.end()) })}\n`);
}

await main(JSON.parse(process.argv[2]!) as PublishJob);
