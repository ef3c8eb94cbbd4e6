/**
 * The model: random streams of readings with everything that goes wrong on the way (late, repeated, redelivered, clocks that jump,
 * links that drop, double and reorder, receipts that get lost, crashes, another window length, a cap that is reached), against
 * a batch computation over the plain list of readings. The gateway is the real one, on real SQLite; the cloud is the rule
 * it follows: the highest revision of each window, part and epoch.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { imbalance, sumReasons } from '../agent/books.js';
import { bufferSchema } from '../agent/buffer/options.js';
import type { Delivery } from '../agent/reading.js';
import { type Observation, summarize } from '../shared/summary.js';
import { Cloud, comparable, deliver, Gateway, UNDATED } from './model-pipeline.js';
import { type Fate, ModelSensor } from './model-sensor.js';

const RUNS = Number(process.env.EDGETALLY_MODEL_RUNS ?? 300);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Where time begins in the model; clocks may jump back a little, and start in 1970. */
const T0 = Date.UTC(2026, 1, 1);

type Command =
  | { kind: 'publish'; device: string; ageMs: number; value: number }
  | { kind: 'again'; pick: number }
  | { kind: 'junk' | 'save' | 'crash' | 'linkDown' | 'linkUp' | 'receiptsLost' | 'room' | 'reconnect' }
  | { kind: 'undated'; value: number; fate: Fate }
  | { kind: 'pass' | 'jump'; byMs: number }
  | { kind: 'boot'; in1970: boolean }
  | { kind: 'right'; said: boolean }
  | { kind: 'window'; windowMs: number }
  | { kind: 'network'; seed: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 24,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      device: fc.constantFrom('a', 'b'),
      // mostly now, sometimes late, sometimes from the future
      ageMs: fc.oneof(fc.nat(MINUTE), fc.nat(3 * HOUR), fc.integer({ min: -HOUR, max: 0 })),
      value: fc.oneof(
        fc.integer({ min: -999, max: 999 }).map((m) => m / 10),
        fc.double({ min: -1e3, max: 1e3, noNaN: true }).filter((x) => x === 0 || Math.abs(x) > 1e-100),
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('again' as const), pick: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('undated' as const),
      value: fc.integer({ min: -1, max: 1 }),
      fate: fc.constantFrom('heard', 'unheard', 'lost'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), byMs: fc.integer({ min: 0, max: 5 * MINUTE }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('jump' as const), byMs: fc.integer({ min: -HOUR, max: HOUR }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('boot' as const), in1970: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('right' as const), said: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('network' as const), seed: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('window' as const),
      windowMs: fc.constantFrom(MINUTE, 5 * MINUTE, 15 * MINUTE, 45 * MINUTE, HOUR),
    }),
  },
  ...(['junk', 'save', 'crash', 'linkDown', 'linkUp', 'receiptsLost', 'room', 'reconnect'] as const).map((kind) => ({
    weight: 1,
    arbitrary: fc.constant({ kind } as const),
  })),
);

interface Model {
  readonly gateway: Gateway;
  readonly cloud: Cloud;
  readonly truth: Map<string, Observation & { device: string }>;
  readonly sent: string[];
  readonly sensor: ModelSensor;
  messages: number;
  receiptsLost: boolean;
}

async function step(model: Model, command: Command): Promise<void> {
  const { gateway, cloud } = model;
  switch (command.kind) {
    case 'publish': {
      const timeMs = gateway.nowMs - command.ageMs;
      publish(model, JSON.stringify([command.device, timeMs, command.value]));
      break;
    }
    case 'again':
      if (model.sent.length > 0) publish(model, model.sent[command.pick % model.sent.length]!);
      break;
    case 'junk':
      publish(model, 'junk');
      break;
    case 'undated':
      model.truth.set(`${UNDATED}/${model.truth.size}`, { device: UNDATED, timeUs: 0, value: command.value + 0 });
      model.sensor.publish(JSON.stringify([UNDATED, 0, command.value]), command.fate);
      break;
    case 'reconnect':
      model.sensor.connect();
      break;
    case 'pass':
      gateway.pass(command.byMs);
      await gateway.work();
      break;
    case 'jump':
      gateway.clocks.set(gateway.clocks.nowMs() + command.byMs);
      await gateway.work();
      break;
    case 'boot':
      gateway.crash(() => gateway.clocks.boot(command.in1970 ? 0 : gateway.clocks.nowMs()));
      model.sensor.broken();
      break;
    case 'right':
      gateway.clocks.set(gateway.nowMs);
      gateway.clocks.says = command.said ? 'synchronized' : 'unknown';
      await gateway.work();
      break;
    case 'window':
      gateway.windowMs = command.windowMs;
      break;
    case 'network':
      await gateway.work();
      deliver(gateway, cloud, command.seed, model.receiptsLost);
      break;
    case 'save':
      await gateway.pipeline.save('all');
      break;
    case 'crash':
      gateway.crash();
      model.sensor.broken();
      break;
    case 'linkDown':
      gateway.isUp = false;
      gateway.outbox.linkLost();
      gateway.wire = [];
      break;
    case 'linkUp':
      gateway.isUp = true;
      gateway.outbox.linkUp();
      break;
    case 'receiptsLost':
      model.receiptsLost = !model.receiptsLost;
      break;
    case 'room': {
      const coarsened = gateway.pipeline.buffer.coarsen(
        gateway.nowMs,
        (interval) => gateway.pipeline.isOpen(interval),
        gateway.pipeline.books,
        gateway.nowMs,
      );
      if (coarsened !== undefined) gateway.pipeline.books.coarsened = coarsened;
    }
  }
}

function accept(model: Model, text: string, delivery?: Delivery): void {
  model.messages++;
  if (!model.gateway.accept(text, delivery)) throw new Error('not stored');
}

function publish(model: Model, text: string): void {
  accept(model, text);
  if (text === 'junk') return;
  model.sent.push(text);
  const [device, timeMs, value] = JSON.parse(text) as [string, number, number];
  const key = `${device}/${timeMs}`;
  if (!model.truth.has(key)) model.truth.set(key, { device, timeUs: timeMs * 1000, value: value + 0 });
}

/** The clock is right again and the links are calm: everything arrives. */
async function settle({ gateway, cloud, sensor }: Model): Promise<void> {
  sensor.settle();
  gateway.isUp = true;
  gateway.pass(400 * 24 * HOUR);
  gateway.clocks.set(gateway.nowMs);
  for (let round = 0; round < 200; round++) {
    gateway.pass(2 * MINUTE);
    await gateway.work();
    const wire = gateway.wire;
    gateway.wire = [];
    for (const bytes of wire) gateway.receipt(cloud.take(bytes));
    const { books, buffer, openWindows } = gateway.pipeline;
    const told = buffer.losses.untold(1).length === 0;
    if (told && books.held === 0 && openWindows === 0 && buffer.windows.backlogState().windows === 0) return;
  }
  throw new Error(`not settled: ${JSON.stringify(gateway.pipeline.buffer.windows.backlogState())}`);
}

function batchComputation(truth: Model['truth']): Map<string, unknown> {
  const devices = new Map<string, Observation[]>();
  for (const { device, ...observation } of truth.values()) {
    devices.set(device, [...(devices.get(device) ?? []), observation]);
  }
  return new Map([...devices].map(([device, list]) => [device, comparable(device, summarize(list))]));
}

t.test('the cloud ends with what a batch computation says, and the books balance', { timeout: 280_000 }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-model-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const options = bufferSchema.parse({ retention: '3650d' });
  let run = 0;
  const property = fc.asyncProperty(
    fc.array(command, { minLength: 5, maxLength: 70, size: 'max' }),
    async (commands) => {
      const path = join(dir, `${run++}.db`);
      const gateway = new Gateway(path, options, T0);
      const sensor = new ModelSensor((text, delivery) => accept(model, text, delivery));
      const common = { sent: [], messages: 0, receiptsLost: false };
      const model: Model = { gateway, cloud: new Cloud(), truth: new Map(), sensor, ...common };
      try {
        for (const command of commands) await step(model, command);
        await settle(model);
        const { books } = gateway.pipeline;
        assert.equal(books.in, model.messages);
        assert.equal(books.counted, model.truth.size);
        assert.equal(imbalance(books), 0);
        checkLosses(model);
        assert.deepEqual(sorted(model.cloud.totals()), sorted(batchComputation(model.truth)));
      } finally {
        gateway.pipeline.buffer.close();
        for (const end of ['', '-wal', '-ballast']) rmSync(`${path}${end}`, { force: true });
      }
    },
  );
  const seed = Number(process.env.EDGETALLY_MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.comment(`${RUNS} runs, seed ${seed} (EDGETALLY_MODEL_RUNS, EDGETALLY_MODEL_SEED)`);
  await fc.assert(property, { numRuns: RUNS, seed });
});

/** What the cloud was told of losses is what the books say, whatever was lost, doubled or forgotten on the way. */
function checkLosses({ cloud, gateway }: Model): void {
  const { rejected, values, coarsened, duplicate } = gateway.pipeline.books;
  assert.deepEqual(cloud.lost('rejected'), rejected);
  assert.deepEqual(cloud.lost('values'), values);
  assert.deepEqual(cloud.lost('coarsened'), coarsened);
  assert.equal(sumReasons(cloud.lost('duplicate')), duplicate);
  assert.equal(sumReasons(cloud.lost('released')), sumReasons(cloud.lost('held')));
}

function sorted(map: Map<string, unknown>): [string, unknown][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
