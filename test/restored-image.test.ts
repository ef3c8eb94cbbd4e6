/**
 * A card restored from an old image: the database is copied, the original goes on (sends, takes late readings in, restarts,
 * forgets), and at some point the copy takes its place and goes on with other readings. What the cloud ends up with is held
 * against a batch computation over all readings that were acknowledged and had reached the cloud or are on the restored
 * card. The k-th reading is 2^k, so an exact sum says which readings are in it, each how often.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { imbalance } from '../agent/books.js';
import { bufferSchema } from '../agent/buffer/options.js';
import { openingOf } from '../shared/session.js';
import type { MetricSummary } from '../shared/summary.js';
import { Cloud, deliver, Gateway } from './model-pipeline.js';

const RUNS = Number(process.env.EDGETALLY_MODEL_RUNS ?? 200);
const MINUTE = 60_000;
const T0 = Date.UTC(2026, 0, 1);
/** Readings that tell themselves apart in an exact sum of decimals. */
const MOST = 49;
const FILES = ['', '-wal'];

type Command =
  | { kind: 'publish'; ageMs: number }
  | { kind: 'again'; pick: number }
  | { kind: 'clock'; byMs: number }
  | { kind: 'network'; seed: number }
  | { kind: 'save' | 'crash' | 'linkDown' | 'linkUp' | 'image' | 'restore' };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      ageMs: fc.oneof(fc.nat(MINUTE), fc.nat(30 * MINUTE)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('again' as const), pick: fc.nat() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('clock' as const), byMs: fc.nat(5 * MINUTE) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('network' as const), seed: fc.nat() }) },
  ...(['save', 'crash', 'linkDown', 'linkUp', 'image', 'image', 'restore', 'restore'] as const).map((kind) => ({
    weight: 1,
    arbitrary: fc.constant({ kind } as const),
  })),
);

class Story {
  readonly cloud = new Cloud();
  readonly gateway: Gateway;
  readonly #path: string;
  #readings = 0;
  /** Numbers of the readings that the running database knows, and that its image does. */
  #onCard = new Set<number>();
  #onImage: ReadonlySet<number> | undefined;
  /** What the cloud must have in the end, besides what is on the card. */
  readonly #reached = new Set<number>();
  restored = 0;

  constructor(path: string, retention: string) {
    this.#path = path;
    this.gateway = new Gateway(path, bufferSchema.parse({ retention }), T0);
    this.gateway.windowMs = 15 * MINUTE; // few, so that card and copy write to the same ones
  }

  async step(command: Command, mayRepeat: boolean): Promise<void> {
    const { gateway } = this;
    switch (command.kind) {
      case 'publish':
        if (this.#readings < MOST) this.#publish(this.#readings++, gateway.nowMs - command.ageMs);
        break;
      case 'again': {
        const known = [...this.#times].filter(([n]) => this.#onCard.has(n));
        if (mayRepeat && known.length > 0) this.#publish(...known[command.pick % known.length]!);
        break;
      }
      case 'clock':
        gateway.pass(command.byMs);
        await gateway.work();
        break;
      case 'network':
        await gateway.work();
        deliver(gateway, this.cloud, command.seed, false);
        break;
      case 'save':
        await gateway.pipeline.save('all');
        break;
      case 'crash':
        gateway.crash();
        break;
      case 'linkDown':
      case 'linkUp':
        gateway.isUp = command.kind === 'linkUp';
        if (!gateway.isUp) gateway.outbox.linkLost();
        break;
      case 'image':
        this.#copy('', '.image');
        this.#onImage = new Set(this.#onCard);
        break;
      case 'restore':
        if (this.#onImage === undefined) break;
        gateway.crash(() => this.#copy('.image', ''));
        this.restored++;
        for (const n of readingsIn(this.cloud)) this.#reached.add(n);
        this.#onCard = new Set(this.#onImage);
    }
  }

  readonly #times = new Map<number, number>();

  #publish(n: number, timeMs: number): void {
    // no two at one time, or one of them would be a repetition
    const known = this.#times.get(n) ?? T0 - 60 * MINUTE + Math.floor((timeMs - T0 + 60 * MINUTE) / MOST) * MOST + n;
    this.#times.set(n, known);
    assert.ok(this.gateway.accept(JSON.stringify(['a', known, 2 ** n])));
    this.#onCard.add(n);
  }

  /** The files as a power cut would leave them. */
  #copy(from: string, to: string): void {
    for (const file of FILES) {
      rmSync(`${this.#path}${to}${file}`, { force: true });
      if (existsSync(`${this.#path}${from}${file}`)) {
        copyFileSync(`${this.#path}${from}${file}`, `${this.#path}${to}${file}`);
      }
    }
  }

  /** The link is calm: everything that is on the card arrives. What the lost one had sent may arrive late. */
  async settle(): Promise<void> {
    const { gateway, cloud } = this;
    gateway.isUp = true;
    for (let round = 0; round < 100; round++) {
      gateway.pass(2 * MINUTE);
      await gateway.work();
      const { wire } = gateway;
      gateway.wire = [];
      for (const bytes of wire) gateway.receipt(cloud.take(bytes));
      const { buffer, openWindows } = gateway.pipeline;
      if (openWindows === 0 && buffer.windows.backlogState().windows === 0) return;
    }
    throw new Error('not settled');
  }

  check(): void {
    const { pipeline } = this.gateway;
    assert.equal(imbalance(pipeline.books), 0);
    assert.equal(pipeline.books.counted, this.#onCard.size);
    const there = readingsIn(this.cloud);
    const expected = new Set([...this.#reached, ...this.#onCard]);
    assert.deepEqual(
      there.filter((n) => !this.#times.has(n)),
      [],
      'nothing is made up',
    );
    assert.deepEqual(
      [...expected].filter((n) => !there.includes(n)),
      [],
      'nothing is missing',
    );
  }

  close(): void {
    this.gateway.pipeline.buffer.close();
  }
}

/** Which readings are in the cloud; throws where one is there twice. */
function readingsIn(cloud: Cloud): number[] {
  const total = cloud.totals().get('a') as MetricSummary | undefined;
  if (total === undefined) return [];
  assert.equal(total.sums.scale, 0);
  const bits = [...total.sums.sum.toString(2)].reverse();
  const there = bits.flatMap((bit, n) => (bit === '1' ? [n] : []));
  assert.equal(total.n, there.length, 'a reading counts twice');
  return there;
}

t.test('a restored image overwrites nothing and counts nothing twice', { timeout: 280_000 }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-image-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  let run = 0;
  let restored = 0;
  const property = fc.asyncProperty(
    fc.array(command, { minLength: 10, maxLength: 90, size: 'max' }),
    fc.boolean(),
    async (commands, forgets) => {
      const story = new Story(join(dir, `${run++}.db`), forgets ? '5m' : '3650d');
      try {
        for (const command of commands) await story.step(command, !forgets);
        await story.settle();
        story.check();
        restored += story.restored;
      } finally {
        story.close();
      }
    },
  );
  const seed = Number(process.env.EDGETALLY_MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.comment(`${RUNS} runs, seed ${seed} (EDGETALLY_MODEL_RUNS, EDGETALLY_MODEL_SEED)`);
  await fc.assert(property, { numRuns: RUNS, seed });
  t.ok(restored > RUNS / 2, `${restored} images were restored`);
});

t.test('a receipt for the lost card frees nothing here, and its session is another one', async (t) => {
  const path = join(t.testdir(), 'gateway.db');
  const gateway = new Gateway(path, bufferSchema.parse({}), T0);
  gateway.accept(JSON.stringify(['a', T0, 1]));
  await gateway.pipeline.save('all');
  const image = () => {
    for (const file of FILES) copyFileSync(`${path}${file}`, `${path}.image${file}`);
  };
  const restore = () => {
    for (const file of FILES) {
      if (existsSync(`${path}.image${file}`)) copyFileSync(`${path}.image${file}`, `${path}${file}`);
    }
  };
  image();
  gateway.crash();
  gateway.pass(2 * MINUTE);
  await gateway.work();
  const cloud = new Cloud();
  const lost = gateway.wire.map((bytes) => cloud.take(bytes));
  gateway.wire = [];
  t.equal(lost.length, 1);
  gateway.crash(restore);
  gateway.pass(2 * MINUTE);
  await gateway.work();
  const [ours] = gateway.wire.map((bytes) => cloud.take(bytes));
  t.equal(ours?.sequence, lost[0]!.sequence);
  t.equal(openingOf(ours!.session), openingOf(lost[0]!.session));
  t.not(ours!.session, lost[0]!.session);
  for (const receipt of lost) gateway.receipt(receipt);
  t.equal(gateway.pipeline.buffer.windows.backlogState().windows, 1);
  gateway.receipt(ours!);
  t.equal(gateway.pipeline.buffer.windows.backlogState().windows, 0);
  gateway.pipeline.buffer.close();
});
