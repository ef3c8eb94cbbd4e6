import fc from 'fast-check';
import t from 'tap';
import { type Block, type BlockReading, emptyTally, type Shape } from '../block.js';
import type { StoredInterval, StoredWindow } from '../stored-window.js';
import { Aggregator, type SavedWindows } from './aggregator.js';

const MINUTE = 60_000;
const when = (ms: number) => ({ steadyMs: ms, trustedMs: ms });
/** The part of the session that runs. */
const OURS = 7;
const shape: Shape = { windowMs: MINUTE, latenessMs: 5_000, metrics: [1, 2], lane: '' };
const other: Shape = { windowMs: MINUTE, latenessMs: 5_000, metrics: [2, 3], lane: '' };
const humidity: Shape = { windowMs: MINUTE, latenessMs: 5_000, metrics: [1], lane: 'humidity' };

function reading(device: number, timeMs: number, values: number[], of = shape, recordId?: string): BlockReading {
  return { device, shape: of, timeUs: timeMs * 1000, recordId, values };
}

function block(...readings: BlockReading[]): Block {
  return { readings, tally: emptyTally() };
}

function fresh(): Aggregator {
  return new Aggregator(storeOf(new Map()));
}

/** Saved windows in a map. */
function storeOf(windows: Map<string, StoredWindow>): SavedWindows {
  const of = (device: number) => [...windows.values()].filter((window) => window.device === device);
  return {
    find: (device, timeUs) =>
      intervalOf(
        of(device).filter(({ startMs, lengthMs }) => startMs * 1000 <= timeUs && timeUs < (startMs + lengthMs) * 1000),
      ),
    lengthsIn: (device, from, to) =>
      of(device)
        .filter(({ startMs, lengthMs }) => startMs < to && startMs + lengthMs > from)
        .map(({ lengthMs }) => lengthMs),
    partOf: () => OURS,
  };
}

function intervalOf(rows: readonly StoredWindow[]): StoredInterval | undefined {
  const [first] = rows;
  if (first === undefined) return undefined;
  const { device, startMs, lengthMs } = first;
  const growing = rows.find(({ part, seen }) => part === OURS && seen !== undefined);
  const frozen = rows.flatMap((row) => {
    const { readings, seen } = row;
    return row === growing || seen === undefined ? [] : [{ readings, seen }];
  });
  return { device, startMs, lengthMs, folded: Math.max(...rows.map(({ folded }) => folded)), growing, frozen };
}

/** Saves everything; the memory of seen readings is compared by what it knows. */
function contents(aggregator: Aggregator) {
  return aggregator
    .neededBy(Number.MAX_SAFE_INTEGER)
    .map((window) => {
      const { device, startMs, readings, metrics } = aggregator.save(window, 1);
      return { device, startMs, readings, metrics: new Map([...metrics].sort(([a], [b]) => a - b)) };
    })
    .sort((a, b) => a.device - b.device || a.startMs - b.startMs);
}

t.test('order, repetition and cutting into blocks change nothing', async (t) => {
  const arbitrary = fc
    .uniqueArray(
      fc.record({
        device: fc.integer({ min: 1, max: 3 }),
        timeMs: fc.integer({ min: 0, max: 4 * MINUTE }),
        value: fc.integer({ min: -999, max: 999 }),
        shape: fc.constantFrom(shape, other),
      }),
      { selector: (r) => `${r.device}/${r.timeMs}`, minLength: 1, maxLength: 80 },
    )
    .chain((list) =>
      fc.record({
        list: fc.constant(list),
        shuffled: fc.shuffledSubarray([...list, ...list], { minLength: list.length * 2, maxLength: list.length * 2 }),
        cut: fc.integer({ min: 1, max: 9 }),
      }),
    );
  fc.assert(
    fc.property(arbitrary, ({ list, shuffled, cut }) => {
      const readings = (from: typeof list) =>
        from.map((r) => reading(r.device, r.timeMs, [r.value / 10, r.value + 0.25], r.shape));
      const calm = fresh();
      calm.apply(block(...readings(list)), 1, when(0));
      const wild = fresh();
      let counted = 0;
      let duplicate = 0;
      const all = readings(shuffled);
      for (let at = 0, sequence = 1; at < all.length; at += cut, sequence++) {
        const applied = wild.apply(block(...all.slice(at, at + cut)), sequence, when(0));
        counted += applied.counted;
        duplicate += applied.duplicate;
      }
      t.strictSame(contents(wild), contents(calm));
      t.equal(counted, list.length);
      t.equal(duplicate, list.length);
    }),
    { numRuns: 200 },
  );
});

t.test('readings that wait to be folded are recognised when they come again', async (t) => {
  const aggregator = fresh();
  const list = [10, 20, 30, 20, 30, 5, 30, 40].map((timeMs) => reading(1, timeMs, [timeMs, 2]));
  const humid = [reading(1, 40, [3], humidity), reading(1, 50, [4], humidity), reading(1, 50, [4], humidity)];
  const again = reading(1, 50, [1, 2]); // the same time in another lane
  t.strictSame(aggregator.apply(block(...list, ...humid, again), 1, when(0)), { counted: 8, duplicate: 4 });
});

t.test('identity: time in its lane, or the record id', async (t) => {
  const aggregator = fresh();
  const applied = aggregator.apply(
    block(
      reading(1, 10, [1, 2]),
      reading(1, 10, [1, 2]), // repeated
      reading(1, 10, [3], humidity), // another metric sent apart at the same time
      reading(1, 10, [3], humidity),
      reading(1, 20, [1, 2], shape, 'a'),
      reading(1, 20, [1, 2], shape, 'b'), // same time, another record
      reading(1, 30, [1, 2], shape, 'a'), // same record
      reading(2, 10, [1, 2]), // another device
    ),
    1,
    when(0),
  );
  t.strictSame(applied, { counted: 5, duplicate: 3 });
});

t.test('a saved window comes back for a late reading, and knows what it has seen', async (t) => {
  const store = new Map<string, StoredWindow>();
  const aggregator = new Aggregator(storeOf(store));
  const saveAll = (sequence: number) => {
    for (const window of aggregator.neededBy(sequence)) {
      const save = aggregator.save(window, sequence);
      store.set(`${save.device}/${save.startMs}`, save);
      aggregator.saved(window);
    }
  };
  aggregator.apply(block(reading(1, 1_000, [1, 10])), 1, when(0));
  saveAll(1);
  t.equal(aggregator.open, 0);
  t.equal(store.get('1/0')?.revision, 1);
  t.strictSame(aggregator.apply(block(reading(1, 1_000, [1, 10]), reading(1, 2_000, [2, 20])), 2, when(0)), {
    counted: 1,
    duplicate: 1,
  });
  saveAll(2);
  const saved = store.get('1/0')!;
  t.equal(saved.revision, 2);
  t.equal(saved.readings, 2);
  t.equal(saved.metrics.get(2)?.max, 20);
  t.strictSame(
    aggregator.apply(block(reading(1, 3_000, [3, 30])), 2, when(0)),
    { counted: 0, duplicate: 0 },
    'folded already',
  );
  aggregator.dropClean(Number.POSITIVE_INFINITY);
  t.equal(aggregator.open, 0);
});

t.test('closing: after the end and the lateness; late windows after the lateness', async (t) => {
  const aggregator = fresh();
  aggregator.apply(block(reading(1, 1_000, [1, 2])), 1, when(2_000));
  t.equal(aggregator.due(MINUTE + 4_000).length, 0);
  t.equal(aggregator.due(MINUTE + 5_000).length, 1);
  const late = fresh();
  late.apply(block(reading(1, 1_000, [1, 2])), 1, when(10 * MINUTE));
  t.equal(late.due(10 * MINUTE + 4_000).length, 0);
  t.equal(late.due(10 * MINUTE + 5_000).length, 1);
});

t.test('which block is still needed', async (t) => {
  const aggregator = fresh();
  t.equal(aggregator.oldestNeeded(), undefined);
  aggregator.apply(block(reading(1, 0, [1, 2])), 4, when(0));
  aggregator.apply(block(reading(1, 1, [1, 2]), reading(2, 0, [1, 2])), 5, when(0));
  t.equal(aggregator.oldestNeeded(), 4);
  const [first] = aggregator.neededBy(4);
  t.equal(aggregator.oldestNeeded([first!]), 5);
  aggregator.saved(first!);
  t.equal(aggregator.oldestNeeded(), 5);
});

t.test('negative times belong to the window before 1970', async (t) => {
  const aggregator = fresh();
  aggregator.apply(block(reading(1, -1, [1, 2])), 1, when(0));
  t.equal(contents(aggregator)[0]?.startMs, -MINUTE);
});

t.test('another window length: what was counted stays known, and windows never overlap', async (t) => {
  const lengths = [MINUTE, 5 * MINUTE, 45 * MINUTE, 60 * MINUTE, 40 * MINUTE];
  const shapes = lengths.map((windowMs) => ({ ...shape, windowMs }));
  const command = fc.record({ at: fc.nat(200), shape: fc.constantFrom(...shapes), save: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(command, { minLength: 20, maxLength: 80, size: 'max' }), (commands) => {
      const store = new Map<string, StoredWindow>();
      const aggregator = new Aggregator(storeOf(store));
      const truth = new Set<number>();
      let counted = 0;
      for (const [i, { at, shape, save }] of commands.entries()) {
        counted += aggregator.apply(block(reading(1, at * MINUTE, [1, 2], shape)), i + 1, when(0)).counted;
        truth.add(at);
        if (save > 0) continue;
        for (const window of aggregator.neededBy(i + 1)) {
          store.set(`${window.startMs}/${window.lengthMs}`, aggregator.save(window, i + 1));
          aggregator.saved(window);
        }
      }
      t.equal(counted, truth.size);
      const open = aggregator.neededBy(commands.length).map((window) => aggregator.save(window, commands.length));
      const all = [...new Map([...store, ...open.map((w) => [`${w.startMs}/${w.lengthMs}`, w] as const)]).values()];
      all.sort((a, b) => a.startMs - b.startMs);
      t.ok(all.every((w, i) => i === 0 || all[i - 1]!.startMs + all[i - 1]!.lengthMs <= w.startMs));
    }),
    { numRuns: 200 },
  );
});

t.test('a window that gave up its memory gets a part of its own for what comes late', async (t) => {
  const store = new Map<string, StoredWindow>();
  const aggregator = new Aggregator(storeOf(store));
  const sealed = { device: 1, startMs: 0, lengthMs: 60 * MINUTE, part: 3, revision: 1, folded: 1, readings: 9 };
  store.set('1', { ...sealed, metrics: new Map(), seen: undefined });
  aggregator.apply(block(reading(1, 5 * MINUTE, [1, 2]), reading(1, 5 * MINUTE, [1, 2])), 2, when(0));
  const [late] = aggregator.neededBy(2);
  t.match(aggregator.save(late!, 2), { startMs: 0, lengthMs: 60 * MINUTE, part: OURS, readings: 1 });
  const recovered = new Aggregator(storeOf(store));
  recovered.apply(block(reading(1, 5 * MINUTE, [1, 2])), 1, when(0));
  t.equal(recovered.unsaved, 0, 'a block that the sealed window holds brings nothing when recovery applies it again');
});

t.test('a window of an earlier session is frozen, and what it counted is known', async (t) => {
  const store = new Map<string, StoredWindow>();
  const first = new Aggregator({ ...storeOf(store), partOf: () => 3 });
  first.apply(block(reading(1, 5, [1, 2]), reading(1, 6, [1, 2], shape, 'id')), 1, when(0));
  const [window] = first.neededBy(1);
  store.set('1', first.save(window!, 1));
  const second = new Aggregator(storeOf(store));
  const applied = second.apply(
    block(reading(1, 5, [1, 2]), reading(1, 7, [1, 2], shape, 'id'), reading(1, 8, [3, 4]), reading(1, 8, [3, 4])),
    2,
    when(0),
  );
  t.strictSame(applied, { counted: 1, duplicate: 3 });
  const [late] = second.neededBy(2);
  t.match(second.save(late!, 2), { startMs: 0, part: OURS, revision: 1, readings: 1 });
});

t.test('what the journal is about stays in memory, so that it is not purged', async (t) => {
  const store = new Map<string, StoredWindow>();
  const first = new Aggregator(storeOf(store));
  first.apply(block(reading(1, 5, [1, 2])), 1, when(0));
  const [window] = first.neededBy(1);
  store.set('1', first.save(window!, 1));
  first.saved(window!);
  first.apply(block(reading(1, 5, [1, 2])), 2, when(0)); // repeated
  t.match(first, { open: 1, unsaved: 0 });
  first.dropClean(2);
  t.ok(first.isOpen({ device: 1, startMs: 0, lengthMs: MINUTE }), 'block 2 is still in the journal');
  first.dropClean(3);
  t.equal(first.open, 0);
});

t.test('a block that was prepared is applied without asking the store', async (t) => {
  const store = new Map<string, StoredWindow>();
  const saved = storeOf(store);
  let isBroken = false;
  const aggregator = new Aggregator({
    ...saved,
    find: (...asked) => {
      if (isBroken) throw new Error('the disk does not answer');
      return saved.find(...asked);
    },
  });
  const late = block(reading(1, 1_000, [1, 10]), reading(1, 2 * MINUTE, [2, 20]), reading(2, 1_000, [3, 30]));
  isBroken = true;
  t.throws(() => aggregator.prepare(late), /does not answer/);
  isBroken = false;
  aggregator.prepare(late);
  isBroken = true;
  t.strictSame(aggregator.apply(late, 1, when(0)), { counted: 3, duplicate: 0 });
});
