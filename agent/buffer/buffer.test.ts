import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { openingOf } from '../../shared/session.js';
import { summarize } from '../../shared/summary.js';
import { type Block, type BlockReading, emptyTally, type Shape } from '../block.js';
import { emptyBooks } from '../books.js';
import type { WindowSave } from '../stored-window.js';
import { decodeBlock, encodeBlock } from './block-codec.js';
import { EdgeBuffer } from './buffer.js';
import { type BufferOptions, bufferSchema } from './options.js';
import { openReadOnly } from './schema.js';

const MINUTE = 60_000;
/** Plain objects, as ours are. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });
const START = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };
const options: BufferOptions = bufferSchema.parse({});

function open(t: Test, path = join(t.testdir(), 'edgetally.db')): EdgeBuffer {
  const buffer = new EdgeBuffer(path, options);
  t.teardown(() => buffer.close());
  return buffer;
}

/** Takes readings in: the journal of the session before, if any, is done with. */
function begun(t: Test, path?: string): EdgeBuffer {
  const buffer = open(t, path);
  buffer.begin(buffer.savedBooks.books);
  return buffer;
}

function blockOf(buffer: EdgeBuffer, timeMs: number): Block {
  const shape: Shape = { windowMs: MINUTE, latenessMs: 0, lane: '', metrics: [buffer.dictionary.metric('temp')!] };
  const device = buffer.dictionary.device('hall', 'a')!;
  const reading: BlockReading = { device, shape, timeUs: timeMs * 1000, recordId: undefined, values: [21.4] };
  return { readings: [reading], tally: { ...emptyTally(), in: 1 } };
}

function save(buffer: EdgeBuffer, startMs: number, revision: number, over: Partial<WindowSave> = {}): WindowSave {
  return {
    device: buffer.dictionary.device('hall', 'a')!,
    startMs,
    lengthMs: MINUTE,
    part: buffer.session,
    revision,
    folded: buffer.journal.last,
    readings: 1,
    metrics: new Map([[buffer.dictionary.metric('temp')!, summarize([{ timeUs: startMs * 1000, value: 21.4 }])]]),
    seen: new Uint8Array([1]),
    gained: 1,
    closesMs: startMs + MINUTE,
    ...over,
  };
}

const commitOf = (block: Block) => ({ block, samples: [], held: [], released: [] });

t.test('blocks come back bit for bit', async (t) => {
  const value = fc.oneof(
    fc.integer({ min: -99999, max: 99999 }).map((m) => m / 100),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(0, 1e120, -1e-120, 1e15, 123456789012345.6),
  );
  const shape = record({
    windowMs: fc.constantFrom(1000, MINUTE),
    latenessMs: fc.nat(10_000),
    lane: fc.constantFrom('', 'température'),
    metrics: fc.uniqueArray(fc.nat(300), { minLength: 1, maxLength: 5 }),
  });
  const block = fc.array(shape, { minLength: 1, maxLength: 3 }).chain((shapes) =>
    record({
      tally: record({
        in: fc.nat(),
        atMs: fc.integer({ min: -1e12, max: 4e12 }),
        losses: fc.array(
          record({
            kind: fc.constantFrom('rejected', 'values', 'held', 'released'),
            reason: fc.constantFrom('not-json', 'future'),
            dayMs: fc.integer({ min: -9, max: 40_000 }).map((day) => day * 86_400_000),
            device: fc.nat(100_000),
            count: fc.nat(),
          }),
          { maxLength: 4 },
        ),
      }),
      readings: fc.array(
        fc.constantFrom(...shapes).chain((shape) =>
          record({
            shape: fc.constant(shape),
            device: fc.nat(100_000),
            timeUs: fc.integer({ min: -1e15, max: 3e15 }),
            recordId: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
            values: fc.array(value, { minLength: shape.metrics.length, maxLength: shape.metrics.length }),
          }),
        ),
        { maxLength: 20 },
      ),
      deliveries: fc.array(
        record({
          sender: fc.nat(2 ** 32 - 1),
          packetId: fc.nat(65_535),
          content: fc.nat(2 ** 40 - 1),
          flags: fc.nat(15),
        }),
      ),
    }),
  );
  fc.assert(
    fc.property(block, (original) => {
      const values = (b: Block) => b.readings.map((r) => r.values.map((x) => x + 0));
      const decoded = decodeBlock(encodeBlock(original as Block));
      t.strictSame(
        { ...decoded, readings: decoded.readings.map((r) => ({ ...r, values: [] })) },
        {
          ...original,
          readings: original.readings.map((r) => ({ ...r, values: [] })),
        },
      );
      t.strictSame(values(decoded), values(original as Block));
    }),
    { numRuns: 300 },
  );
});

t.test('what is committed is there after reopening, and synchronous is FULL each time', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const first = open(t, path);
  t.equal(first.commit(commitOf(blockOf(first, 1))), 1);
  t.equal(first.commit(commitOf(blockOf(first, 2))), 2);
  const { epoch, session } = first;
  t.match(epoch, /^[0-9a-f]{32}$/);
  first.close();
  const second = open(t, path);
  t.equal(second.epoch, epoch);
  t.equal(openingOf(session), 1);
  t.equal(openingOf(second.session), 2);
  t.equal(second.journal.last, 2);
  const blocks = [...second.journal.blocks()];
  t.strictSame(
    blocks.map(({ sequence, block }) => [sequence, block.readings[0]?.timeUs, block.tally.in]),
    [
      [1, 1000, 1],
      [2, 2000, 1],
    ],
  );
  t.equal(second.dictionary.deviceName(1).device, 'a');
  t.equal(second.dictionary.device('hall', 'a'), 1, 'the dictionary is kept');
});

t.test('saving moves readings from the journal to rows, once', async (t) => {
  const buffer = begun(t);
  buffer.commit(commitOf(blockOf(buffer, 1)));
  buffer.commit(commitOf(blockOf(buffer, MINUTE)));
  buffer.save([save(buffer, 0, 1, { folded: 2 })], { ...emptyBooks(), in: 2 }, 2);
  t.strictSame(
    [...buffer.journal.blocks()].map(({ sequence }) => sequence),
    [2],
    'block 2 is still needed',
  );
  t.equal(buffer.find(1, 0)?.growing?.revision, 1);
  buffer.save([save(buffer, MINUTE, 1)], { ...emptyBooks(), in: 2 }, undefined);
  t.equal(buffer.journal.bytes, 0);
  t.equal(buffer.journal.last, 2, 'numbers are not used again');
});

t.test('only the receipt for that very revision frees a window', async (t) => {
  const buffer = open(t);
  buffer.save([save(buffer, 0, 1)], emptyBooks(), undefined);
  const page = () => buffer.windows.backlog(MINUTE, START, 10);
  const [first] = page();
  t.equal(first?.summary.device, 'a');
  t.equal(first?.summary.metrics.get('temp')?.n, 1);
  buffer.save([save(buffer, 0, 2, { readings: 2 })], emptyBooks(), undefined);
  buffer.receipted([first!.ref]);
  t.equal(page()[0]?.ref.revision, 2, 'revision 2 is still owed');
  t.equal(buffer.windows.backlogState().windows, 1);
  buffer.receipted([page()[0]!.ref]);
  t.strictSame(page(), []);
  t.strictSame(buffer.windows.backlogState(), { windows: 0, bytes: 0, oldestMs: null });
  buffer.receipted([first!.ref]);
  t.strictSame(page(), [], 'an old receipt again changes nothing');
});

t.test('the backlog comes oldest first, in pages, and only what is closed', async (t) => {
  const buffer = open(t);
  const starts = [5, 1, 4, 2, 3].map((n) => n * MINUTE);
  buffer.save(
    starts.map((startMs) => save(buffer, startMs, 1)),
    emptyBooks(),
    undefined,
  );
  const seen: number[] = [];
  for (let after = START, page = buffer.windows.backlog(5 * MINUTE, after, 2); page.length > 0; ) {
    seen.push(...page.map(({ ref }) => ref.startMs / MINUTE));
    after = page.at(-1)!.ref;
    page = buffer.windows.backlog(5 * MINUTE, after, 2);
  }
  t.strictSame(seen, [1, 2, 3, 4], 'the fifth minute is not over');
});

t.test(
  'purging: after receipt and retention, and never what recovery needs; the next part is another one',
  async (t) => {
    const buffer = begun(t);
    buffer.commit(commitOf(blockOf(buffer, 1)));
    buffer.save([save(buffer, 0, 1)], emptyBooks(), 1);
    buffer.purge(10 * MINUTE, 10 * MINUTE, () => false);
    t.ok(buffer.find(1, 0), 'no receipt yet');
    const part = buffer.session;
    buffer.receipted([{ device: 1, startMs: 0, lengthMs: MINUTE, part, revision: 1 }]);
    buffer.purge(10 * MINUTE, 10 * MINUTE, () => false);
    t.ok(buffer.find(1, 0), 'its block is still in the journal');
    buffer.commit(commitOf(blockOf(buffer, MINUTE)));
    buffer.save([], emptyBooks(), 2);
    buffer.purge(MINUTE - 1, 10 * MINUTE, () => false);
    t.ok(buffer.find(1, 0), 'changed too recently');
    t.equal(buffer.partOf(3), part);
    buffer.purge(10 * MINUTE, 10 * MINUTE, () => false);
    t.equal(buffer.find(1, 0), undefined);
    const next = buffer.partOf(3);
    t.not(next, part, 'a late window must not replace what the cloud has');
    t.equal(openingOf(next), openingOf(part));
    t.equal(buffer.partOf(2), part, 'but the journal holds readings of a window of the old name');
    buffer.close();
    const copy = open(t, buffer.path);
    t.strictSame(
      [2, 3].map((block) => copy.partOf(block)),
      [part, next],
      'recovery finds the same names',
    );
  },
);

t.test('the ledger counts readings per device and UTC day', async (t) => {
  const buffer = open(t);
  const day = 86_400_000;
  buffer.save([save(buffer, 0, 1), save(buffer, MINUTE, 1), save(buffer, day, 1)], emptyBooks(), undefined);
  buffer.save([save(buffer, 0, 2, { readings: 3, gained: 2 })], emptyBooks(), undefined);
  const refs = [0, MINUTE, day].map((startMs) => ({ device: 1, startMs, lengthMs: MINUTE, part: 0, revision: 1 }));
  t.strictSame(buffer.windows.ledger(refs), [
    { group: 'hall', device: 'a', dayMs: 0, readings: 4 },
    { group: 'hall', device: 'a', dayMs: day, readings: 1 },
  ]);
});

t.test('held readings come back when their time has come', async (t) => {
  const buffer = open(t);
  const [reading] = blockOf(buffer, 7_000).readings;
  buffer.commit({ block: { readings: [], tally: emptyTally() }, samples: [], held: [reading!], released: [] });
  t.strictSame(buffer.held.due(6_999), []);
  const [due] = buffer.held.due(7_000);
  t.strictSame(due?.reading, reading);
  buffer.commit({ ...commitOf({ readings: [reading!], tally: emptyTally() }), released: [due!.id] });
  t.strictSame(buffer.held.due(7_000), []);
});

t.test('the quarantine is bounded and keeps the newest', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const buffer = new EdgeBuffer(path, { ...options, maxQuarantineBytes: 20_000 });
  t.teardown(() => buffer.close());
  const sample = (n: number) =>
    ({ atMs: n, topic: `t/${n}`, reason: 'not-json', detail: 'x', payload: new Uint8Array(10_000) }) as const;
  for (let n = 1; n <= 50; n++) {
    buffer.commit({ block: { readings: [], tally: emptyTally() }, samples: [sample(n)], held: [], released: [] });
  }
  const kept = buffer.quarantine.newest(100);
  t.equal(kept[0]?.atMs, 50);
  t.ok(kept.length >= 3 && kept.length <= 5, `${kept.length} samples of 4 kB in 20 kB`);
});

t.test('a file that is not ours, or of a newer version, or in use, is refused and left as it is', async (t) => {
  const dir = t.testdir();
  const text = join(dir, 'text.db');
  writeFileSync(text, 'this is not a database, and long enough to be read as one'.repeat(50));
  t.throws(() => new EdgeBuffer(text, options), { code: 'database-invalid' });

  const foreign = join(dir, 'foreign.db');
  const db = new Database(foreign);
  db.exec('CREATE TABLE t (x)');
  db.close();
  t.throws(() => new EdgeBuffer(foreign, options), { code: 'database-invalid' });

  const path = join(dir, 'edgetally.db');
  const buffer = open(t, path);
  t.throws(() => new EdgeBuffer(path, options), { code: 'database-locked' });
  buffer.close();
  const newer = new Database(path);
  newer.pragma('user_version = 99');
  newer.close();
  t.throws(() => new EdgeBuffer(path, options), { code: 'database-newer' });
  t.throws(() => openReadOnly(path), { code: 'database-newer' });
  t.throws(() => openReadOnly(join(dir, 'none.db')), { code: 'database-failed' });
  t.notOk(existsSync(join(dir, 'none.db')), 'looking makes no file');
});

t.test('a full database refuses the commit, and serves again when there is room', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const buffer = new EdgeBuffer(path, { ...options, maxBytes: 200_000 });
  t.teardown(() => buffer.close());
  const fill = () => {
    for (let n = 0; n < 1000; n++) {
      const base = blockOf(buffer, n);
      const readings = Array.from({ length: 100 }, (_, i) => ({ ...base.readings[0]!, timeUs: n * 1000 + i * 7919 }));
      buffer.commit(commitOf({ readings, tally: { ...emptyTally(), in: 100 } }));
    }
  };
  t.throws(fill, { code: 'database-failed', message: /full/ });
  const stored = [...buffer.journal.blocks()].length;
  t.equal(stored, buffer.journal.last, 'what was committed is all there, what failed is not');
  buffer.save([], emptyBooks(), undefined);
  t.equal(buffer.commit(commitOf(blockOf(buffer, 1))), stored + 1);
});

t.test('what is in memory is not purged', async (t) => {
  const buffer = open(t);
  buffer.save([save(buffer, 0, 1), save(buffer, MINUTE, 1)], emptyBooks(), undefined);
  const ref = { device: 1, lengthMs: MINUTE, part: buffer.session, revision: 1 };
  buffer.receipted([
    { ...ref, startMs: 0 },
    { ...ref, startMs: MINUTE },
  ]);
  buffer.purge(10 * MINUTE, 10 * MINUTE, ({ startMs }) => startMs === 0);
  t.ok(buffer.find(1, 0));
  t.equal(buffer.find(1, MINUTE * 1000), undefined);
});

t.test('a window length that came with a failed save is known all the same once the save succeeds', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const buffer = open(t, path);
  const good = save(buffer, 0, 1, { lengthMs: 2 * MINUTE });
  buffer.commit(commitOf(blockOf(buffer, 1)));
  t.throws(() => buffer.save([good, { ...good, part: 1, readings: null as never }], emptyBooks(), undefined));
  buffer.save([good], emptyBooks(), undefined);
  buffer.close();
  t.ok(open(t, path).find(1, 0), 'after a restart');
});

t.test('a database that could not be opened to the end is not left locked', async (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  const buffer = open(t, path);
  buffer.save([], emptyBooks(), undefined);
  buffer.close();
  const spoil = (books: string) => {
    const db = new Database(path);
    db.prepare("UPDATE meta SET value = ? WHERE key = 'books'").run(books);
    db.close();
  };
  spoil('{}');
  t.throws(() => new EdgeBuffer(path, options), { code: 'database-failed' });
  spoil(JSON.stringify(emptyBooks()));
  t.equal(openingOf(open(t, path).session), 2, 'an opening that wrote nothing is none');
});
