/** Writers, keepers and reports at once, one request after the other in an order of the test’s choosing; some of them die. */
import fc from 'fast-check';
import { test } from 'tap';
import { collect, recomputeAll, total } from '../conformance-tools.js';
import { gather, recompute } from '../gather.js';
import { batchOf, NOON, windowsOf } from '../samples.js';
import { type BatchChange, HOUR_MS, LEVELS, type Level, type Snapshot } from '../store.js';
import { MemoryTable } from './memory-table.js';
import { Died, Steps } from './stepped-table.js';
import { DynamoStore } from './store.js';

const SPAN = { fromMs: NOON - HOUR_MS, toMs: NOON + 2 * HOUR_MS };
const DAY = { fromMs: NOON - 12 * HOUR_MS, toMs: NOON + 12 * HOUR_MS };
const options = { maxQuarantineBytes: 1000, now: () => NOON };

test('a window that comes while its roll-up is computed: the roll-up stays marked', async (t) => {
  const table = new MemoryTable();
  const [writer, keeper] = [new DynamoStore(table, options), new DynamoStore(table, options)];
  const window = (part: number) => batchOf(windowsOf([{ timeMs: NOON, values: { c: 1 } }], 60_000, 1, part));
  for (const moment of ['before the windows are read', 'before it is put', 'before it is taken out of the books']) {
    await writer.commit([window(NOON + moment.length)]);
    const steps = new Steps();
    const slow = new DynamoStore(steps.tableOf('keeper', table), options);
    const [stale] = await keeper.read((snapshot) => snapshot.due(LEVELS[0], { staleSinceMs: NOON, limit: 1 }));
    const put = async () => {
      const rollUp = await slow.read((snapshot) => recompute(snapshot, stale!));
      await slow.putRollUps([rollUp]);
    };
    let done = false;
    const putting = put().finally(() => {
      done = true;
    });
    const isMoment =
      { 'before the windows are read': /query window/, 'before it is put': /put hour/ }[moment] ?? /put books/;
    for (await steps.quiet(); !done; ) {
      if (steps.pending.some(({ request }) => isMoment.test(request))) await writer.commit([window(moment.length)]);
      await steps.go(0);
    }
    await putting;
    const truth = await keeper.read((snapshot) => total(snapshot, 'windows'));
    for (const level of LEVELS.slice(0, 2)) {
      t.equal(await keeper.read((snapshot) => total(snapshot, level)), truth, `${moment}: ${level.resolution}`);
    }
    await recomputeAll(keeper);
    t.equal(await keeper.read((snapshot) => total(snapshot, LEVELS[5])), truth, `${moment}: in the end`);
  }
});

/** A window whose revision can be read from a sum over any of them: digit `place` of a number of base 16. */
function windowOf(place: number, revision: number) {
  const [device, hour, minute] = [place % 2, (place >> 1) % 2, place >> 2];
  const startMs = NOON + hour * HOUR_MS + minute * 60_000;
  const readings = Array.from({ length: revision }, (_, i) => ({
    device: `d${device}`,
    timeMs: startMs + i,
    values: { c: 16 ** place },
  }));
  return windowsOf(readings, 60_000, revision)[0]!;
}

const PLACES = 8;

/** The revision of each window that a report sees. */
async function seen(snapshot: Snapshot, level: Level | 'windows', span: typeof SPAN): Promise<number[]> {
  const query = { span, where: {}, metrics: 'all' } as const;
  const portions = await collect(level === 'windows' ? snapshot.windows(query) : gather(snapshot, level, query));
  let sum = 0n;
  for (const { metrics } of portions) sum += metrics.get('c')?.sums.sum ?? 0n;
  return Array.from({ length: PLACES }, (_, place) => Number((sum >> BigInt(4 * place)) & 15n));
}

interface World {
  readonly table: MemoryTable;
  readonly steps: Steps;
  /** By place: the highest revision that has a receipt, and that was ever sent. */
  readonly receipted: number[];
  readonly sent: number[];
  readonly wrong: string[];
}

function store({ steps, table }: World, actor: string): DynamoStore {
  return new DynamoStore(steps.tableOf(actor, table), { ...options, receipts: { delayMs: 1e12, most: 3 } });
}

/** Commits batch after batch; a process that died is followed by one that gets the same batch again. */
async function write(world: World, actor: string, batches: readonly BatchChange[]): Promise<void> {
  for (const batch of batches) {
    for (let isDone = false; !isDone; ) {
      const places = batch.windows.map(({ device, startMs }) => placeOf(device, startMs));
      for (const [i, place] of places.entries()) {
        world.sent[place] = Math.max(world.sent[place]!, batch.windows[i]!.revision);
      }
      isDone = await survives(() => store(world, actor).commit([batch]));
      if (!isDone) continue;
      for (const [i, place] of places.entries()) {
        world.receipted[place] = Math.max(world.receipted[place]!, batch.windows[i]!.revision);
      }
    }
  }
}

function placeOf(device: string, startMs: number): number {
  const ms = startMs - NOON;
  return Number(device.slice(1)) + 2 * Math.floor(ms / HOUR_MS) + 4 * ((ms % HOUR_MS) / 60_000);
}

async function keep(world: World, actor: string, rounds: number): Promise<void> {
  for (let i = 0; i < rounds; i++) await survives(() => recomputeAll(store(world, actor)));
}

async function report(world: World, rounds: number): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    for (const level of LEVELS.slice(0, 6)) {
      const before = [...world.receipted];
      const found = await store(world, 'report').read((snapshot) => seen(snapshot, level, DAY));
      for (let place = 0; place < PLACES; place++) {
        const isRight = found[place]! >= before[place]! && found[place]! <= world.sent[place]!;
        if (!isRight) world.wrong.push(`${level.scope} ${level.resolution}: ${found} of ${before} to ${world.sent}`);
      }
    }
  }
}

async function survives(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Died) return false;
    throw error;
  }
}

async function play(plan: readonly (readonly number[])[], choices: readonly number[]): Promise<World> {
  const none = () => new Array<number>(PLACES).fill(0);
  const world: World = { table: new MemoryTable(), steps: new Steps(), receipted: none(), sent: none(), wrong: [] };
  const { steps } = world;
  const batches = plan.map((places, i) =>
    batchOf(
      [...new Set(places)].map((place) => windowOf(place, 1 + Math.floor(i / 2))),
      { sequence: i + 1, ledger: [{ group: '', device: 'd0', dayMs: DAY.fromMs, readings: i + 1 }] },
    ),
  );
  let living = 5;
  const actors = [
    write(
      world,
      'writer 1',
      batches.filter((_, i) => i % 3 !== 0),
    ),
    // Some of them come to both.
    write(
      world,
      'writer 2',
      batches.filter((_, i) => i % 3 !== 1),
    ),
    keep(world, 'keeper 1', 2),
    keep(world, 'keeper 2', 2),
    report(world, 2),
  ].map((actor) => actor.finally(() => living--));
  const all = Promise.all(actors);
  all.catch(() => undefined);
  await steps.quiet();
  for (let i = 0; living > 0; i++) {
    const choice = choices[i % choices.length]! + i;
    if (steps.pending.length === 0) break;
    const place = choice % steps.pending.length;
    const { actor } = steps.pending[place]!;
    if (choice % 29 === 0 && actor !== 'report' && i < 2000) await steps.kill(actor);
    else await steps.go(place);
  }
  await all;
  return world;
}

test('any order of requests, and deaths between any two', async (t) => {
  let plays = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(PLACES - 1), { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 7 }),
      fc.array(fc.nat(10_000), { minLength: 5, maxLength: 60 }),
      async (plan, choices) => {
        plays++;
        const world = await play(plan, choices);
        const calm = new DynamoStore(world.table, options);
        if (world.wrong.length > 0) throw new Error(world.wrong.join('\n'));
        await recomputeAll(calm);
        await calm.read(async (snapshot) => {
          const truth = String(world.receipted);
          for (const level of [...LEVELS.slice(0, 6), 'windows'] as const) {
            const found = String(await seen(snapshot, level, DAY));
            if (found !== truth) throw new Error(`${JSON.stringify(level)}: ${found}, not ${truth}`);
          }
          const { dirty } = await snapshot.books();
          if (dirty !== 0) throw new Error(`${dirty} roll-ups are left`);
          const counted = await snapshot.counted(DAY.fromMs, {});
          if (counted !== plan.length) throw new Error(`${counted} counted`);
          const arrived = (await snapshot.gateways())[0]!.epochs[0]!.sessions[0]!.sequences.ranges;
          if (String(arrived) !== `1,${plan.length}`) throw new Error(`arrived: ${arrived}`);
        });
      },
    ),
    { numRuns: 60, ...(process.env.TORTURE_SCHEDULES && { numRuns: Number(process.env.TORTURE_SCHEDULES) }) },
  );
  t.pass(`${plays} plays`);
});
