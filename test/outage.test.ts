/**
 * Ninety days without a link, 500 series, 64 MB: the files stay under the cap at every simulated hour, and when the link is
 * back everything drains: count, sum, min and max of each series and day are what a batch computation says.
 *
 * In `npm test` a fiftieth of that: as many series and bytes, and readings minutes apart. EDGETALLY_OUTAGE=50 takes all series
 * and bytes, EDGETALLY_OUTAGE_SECONDS=10 a reading each ten seconds. What is left of the resolution is printed.
 */
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { imbalance, sumReasons } from '../agent/books.js';
import { bufferSchema } from '../agent/buffer/options.js';
import { bytesOnDisk, fastDirectory } from '../agent/disk-testing.js';
import { Pipeline } from '../agent/pipeline.js';
import type { Reading } from '../agent/reading.js';
import type { BacklogWindow, WindowId } from '../agent/stored-window.js';
import { ALWAYS, clocksOf } from '../agent/time/clock-testing.js';

const DAYS = 90;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const SCALE = Number(process.env.EDGETALLY_OUTAGE ?? 1);
const SECONDS = Number(process.env.EDGETALLY_OUTAGE_SECONDS ?? 0);
const CAP = Math.floor((64 * 1024 * 1024 * SCALE) / 50);
/** Days on a small machine, with all series. */
const TIMEOUT_MS = SCALE > 1 ? DAY_MS : 280_000;
const START: WindowId = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };

/** What a sensor of each kind says: a middle, and how far it strays from one reading to the next, in tenths. */
const METRICS = [
  { name: 'temperature', middle: 214, step: 2 },
  { name: 'humidity', middle: 451, step: 4 },
  { name: 'pressure', middle: 10_132, step: 2 },
  { name: 'co2', middle: 6_000, step: 60 },
  { name: 'power', middle: 1_200, step: 90 },
] as const;

interface Fleet {
  readonly devices: number;
  readonly metrics: number;
  readonly everyMs: number;
}

/** In tenths, so that adding them up is exact. */
interface Truth {
  n: number;
  sum: number;
  min: number;
  max: number;
}

class Sensors {
  readonly truth = new Map<string, Truth>();
  readonly #fleet: Fleet;
  readonly #names: string[];
  readonly #now: number[][];
  #state = 1;
  sent = 0;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.#names = METRICS.slice(0, fleet.metrics).map(({ name }) => name);
    this.#now = Array.from({ length: fleet.devices }, () => METRICS.map(({ middle }) => middle));
  }

  #roll(): number {
    this.#state = (this.#state * 48271) % 0x7fffffff;
    return this.#state / 0x7fffffff;
  }

  /** All readings of an hour, in the order in which they come. */
  hour(startMs: number): Reading[] {
    const readings: Reading[] = [];
    for (let atMs = startMs; atMs < startMs + HOUR_MS; atMs += this.#fleet.everyMs) {
      for (let device = 0; device < this.#fleet.devices; device++) readings.push(this.#reading(device, atMs + device));
    }
    this.sent += readings.length;
    return readings;
  }

  #reading(device: number, timeMs: number): Reading {
    const day = Math.floor(timeMs / DAY_MS);
    const tenths = this.#names.map((name, i) => {
      const { middle, step } = METRICS[i]!;
      const before = this.#now[device]![i]!;
      const value = Math.round(before + (2 * this.#roll() - 1) * step + (middle - before) * 0.01);
      this.#now[device]![i] = value;
      this.#enter(`${device} ${name} ${day}`, value);
      return value;
    });
    const values = tenths.map((value) => value / 10);
    const common = { group: '', lane: '', windowMs: 60_000, latenessMs: 0, metrics: this.#names };
    return { ...common, device: String(device), timeUs: timeMs * 1000, values };
  }

  #enter(key: string, value: number): void {
    const truth = this.truth.get(key);
    if (truth === undefined) {
      this.truth.set(key, { n: 1, sum: value, min: value, max: value });
      return;
    }
    truth.n++;
    truth.sum += value;
    truth.min = Math.min(truth.min, value);
    truth.max = Math.max(truth.max, value);
  }
}

function open(t: Test, databasePath: string, clock: { ms: number }, decode: () => readonly Reading[]): Pipeline {
  const pipeline = new Pipeline({
    options: bufferSchema.parse({ commitInterval: 0, maxBytes: CAP, retention: 0 }),
    databasePath,
    decode: () => ({ readings: decode(), rejects: [], valueRejects: [] }),
    clock: clocksOf(clock),
    clockOptions: ALWAYS,
    log: pino({ level: 'silent' }),
  });
  t.teardown(() => pipeline.stop());
  return pipeline;
}

/** Takes everything over as the cloud would, page by page, with receipts. */
function drain(pipeline: Pipeline, take: (window: BacklogWindow) => void): void {
  const { buffer } = pipeline;
  for (;;) {
    const page = buffer.windows.backlog(Number.MAX_SAFE_INTEGER, START, 1_000);
    const refs = buffer.attempted(page.map(({ ref }) => ref));
    if (refs.length === 0) return;
    const left = new Set(refs);
    for (const window of page) if (left.has(window.ref)) take(window);
    buffer.receipted(refs);
  }
}

class Cloud {
  readonly days = new Map<string, Truth>();
  readonly lengths = new Map<number, number>();

  readonly take = ({ ref, summary }: BacklogWindow): void => {
    this.lengths.set(ref.lengthMs, (this.lengths.get(ref.lengthMs) ?? 0) + 1);
    for (const [metric, { n, sums, min, max }] of summary.metrics) {
      const key = `${summary.device} ${metric} ${Math.floor(ref.startMs / DAY_MS)}`;
      const sum = Number((sums.sum * 10n) / 10n ** BigInt(sums.scale));
      const day = this.days.get(key);
      const [low, high] = [Math.round(min * 10), Math.round(max * 10)];
      if (day === undefined) this.days.set(key, { n, sum, min: low, max: high });
      else {
        day.n += n;
        day.sum += sum;
        day.min = Math.min(day.min, low);
        day.max = Math.max(day.max, high);
      }
    }
  };

  /** Share of the device time at each resolution. */
  resolution(devices: number): string {
    const share = (lengthMs: number, count: number) =>
      ((100 * lengthMs * count) / (devices * DAYS * DAY_MS)).toFixed(1);
    const lengths = [...this.lengths].sort(([a], [b]) => a - b);
    return lengths.map(([lengthMs, n]) => `${share(lengthMs, n)} % at ${lengthMs / 60_000} min (${n})`).join(', ');
  }
}

async function outage(t: Test, fleet: Fleet): Promise<void> {
  const clock = { ms: 0 };
  const path = join(fastDirectory(t), 'edgetally.db');
  const sensors = new Sensors(fleet);
  let readings: readonly Reading[] = [];
  const pipeline = open(t, path, clock, () => readings);
  let most = 0;
  const failures: Error[] = [];
  for (let hour = 0; hour < DAYS * 24; hour++) {
    readings = sensors.hour(hour * HOUR_MS);
    clock.ms = (hour + 1) * HOUR_MS;
    pipeline.accept({ topic: 't', payload: new Uint8Array(), arrivalUs: 0 }, (error) => error && failures.push(error));
    await pipeline.save('due');
    most = Math.max(most, bytesOnDisk(path));
    await pipeline.makeRoom();
    most = Math.max(most, bytesOnDisk(path));
  }
  t.strictSame(failures, [], 'nothing was turned away');
  t.ok(most <= CAP, `${most} bytes on disk at most, the cap is ${CAP}`);
  const { books } = pipeline;
  t.match(books, { in: sensors.sent, counted: sensors.sent, duplicate: 0, held: 0 });
  t.equal(imbalance(books), 0, 'the books balance');
  t.ok(sumReasons(books.coarsened) > 0, `coarsened: ${JSON.stringify(books.coarsened)}`);

  const cloud = new Cloud();
  drain(pipeline, cloud.take);
  t.comment(cloud.resolution(fleet.devices));
  t.equal(pipeline.buffer.windows.backlogState().windows, 0, 'everything has its receipt');
  t.ok(bytesOnDisk(path) <= CAP);
  const wrong = [...sensors.truth].filter(([key, day]) => JSON.stringify(cloud.days.get(key)) !== JSON.stringify(day));
  t.strictSame(wrong.slice(0, 3), [], `${wrong.length} of ${sensors.truth.size} days of series differ`);
  t.equal(cloud.days.size, sensors.truth.size);
}

const everyMs = (minutes: number) => (SECONDS > 0 ? SECONDS * 1000 : minutes * 60_000);

t.test(`${100 * (SCALE / 50)} devices of five metrics`, { timeout: TIMEOUT_MS }, (t) =>
  outage(t, { devices: 2 * SCALE, metrics: 5, everyMs: everyMs(5) }),
);

t.test(`${500 * (SCALE / 50)} devices of one metric`, { timeout: TIMEOUT_MS }, (t) =>
  outage(t, { devices: 10 * SCALE, metrics: 1, everyMs: everyMs(20) }),
);
