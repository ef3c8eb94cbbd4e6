/**
 * Damaged files, in many ways: the gateway starts by itself, salvages, and goes on. What the cloud ends up with is held against
 * what was acknowledged: no reading counts twice, nothing is made up, and where one is missing that is told. The n-th reading of a
 * device is 2^n, so an exact sum says which readings are in it.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { imbalance } from '../agent/books.js';
import { corruptionIn } from '../agent/buffer/corruption.js';
import { bufferSchema } from '../agent/buffer/options.js';
import type { MetricSummary } from '../shared/summary.js';
import { Cloud, Gateway } from './model-pipeline.js';

const MINUTE = 60_000;
const T0 = Date.UTC(2026, 0, 1);
const DEVICES = 12;
const MINUTES = 40;
const PAGE = 4096;
/** Numbers of the late readings, and of what comes after the damage. */
const LATE = 42;
const AFTER = LATE + 4;
const READINGS = MINUTES + 2 + 3 + 1;
/** Every so many pages, and how often each is damaged by single bytes. */
const STEP = Number(process.env.EDGETALLY_DAMAGE_STEP ?? 1);
const BYTES_OF_A_PAGE = Number(process.env.EDGETALLY_DAMAGE_BYTES ?? 1);
const OPTIONS = bufferSchema.parse({});

/** The files of a gateway that was killed, and what the cloud had by then. */
interface Picture {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly cloud: Cloud;
  readonly nowMs: number;
}

function device(d: number): string {
  return `device-${d}`;
}

function publish(gateway: Gateway, minute: number, n = minute): void {
  for (let d = 0; d < DEVICES; d++) {
    assert.ok(gateway.accept(JSON.stringify([device(d), T0 + minute * MINUTE + d + n, 2 ** n])));
  }
}

/** Windows with receipts, windows that left without one, windows that never left, and a journal. */
async function take(directory: string): Promise<Picture> {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'gateway.db');
  const gateway = new Gateway(path, OPTIONS, T0);
  const cloud = new Cloud();
  for (let minute = 0; minute < MINUTES; minute++) {
    publish(gateway, minute);
    if (minute === 20) publish(gateway, 3); // repeated
    gateway.isUp = minute < MINUTES - 10;
    gateway.pass(MINUTE);
    await gateway.work();
    for (const bytes of gateway.wire.splice(0)) {
      const receipt = cloud.take(bytes);
      if (minute < MINUTES - 20) gateway.receipt(receipt);
    }
  }
  publish(gateway, MINUTES);
  // late ones: in rows that left for the cloud, and in blocks that the open windows keep in the journal
  for (const [i, minute] of [5, 25, 35].entries()) publish(gateway, minute, LATE + i);
  gateway.isUp = true;
  for (let i = 0; i < 3; i++) {
    gateway.pass(5_000);
    await gateway.work();
    for (const bytes of gateway.wire.splice(0)) gateway.receipt(cloud.take(bytes));
  }
  publish(gateway, MINUTES + 1);
  const files = picture(path);
  gateway.pipeline.buffer.close();
  return { files, cloud, nowMs: gateway.nowMs };
}

function picture(path: string): Map<string, Buffer> {
  const names = ['', '-wal', '.epoch'];
  return new Map(names.filter((name) => existsSync(path + name)).map((name) => [name, readFileSync(path + name)]));
}

interface Outcome {
  readonly lost: number;
  readonly told: number;
  readonly salvaged: boolean;
  readonly damagedRows: number;
}

class Story {
  readonly path: string;
  readonly cloud = new Cloud();
  readonly gateway: Gateway;
  readonly #foundAtOpening: boolean;
  readonly #damaged: ReadonlyMap<string, Buffer>;

  constructor(directory: string, { files, cloud, nowMs }: Picture, damage: (path: string) => void) {
    mkdirSync(directory, { recursive: true });
    this.path = join(directory, 'gateway.db');
    for (const [name, bytes] of files) writeFileSync(this.path + name, bytes);
    for (const [key, window] of cloud.windows) this.cloud.windows.set(key, window);
    damage(this.path);
    this.#damaged = picture(this.path);
    this.gateway = new Gateway(this.path, OPTIONS, nowMs);
    this.#foundAtOpening = this.gateway.pipeline.buffer.damage.salvaged().length > 0;
  }

  /** All that is there arrives; damage that shows only now is salvaged too, and only once. */
  async settle(): Promise<void> {
    let salvages = 0;
    for (let round = 0; round < 200; round++) {
      try {
        this.gateway.pass(2 * MINUTE);
        await this.gateway.work();
        for (const bytes of this.gateway.wire.splice(0)) this.gateway.receipt(this.cloud.take(bytes));
        const { buffer, openWindows } = this.gateway.pipeline;
        if (openWindows === 0 && buffer.windows.backlogState().windows === 0 && buffer.losses.untold(1e6).length === 0)
          return;
      } catch (error) {
        const reason = corruptionIn(error);
        if (reason === undefined || ++salvages > 1) throw error;
        this.gateway.salvage(reason);
      }
    }
    throw new Error('not settled');
  }

  async outcome(): Promise<Outcome> {
    await this.settle();
    publish(this.gateway, AFTER);
    await this.settle();
    assert.equal(imbalance(this.gateway.pipeline.books), 0, 'the books balance');
    const totals = this.cloud.totals();
    let lost = 0;
    for (let d = 0; d < DEVICES; d++) {
      const there = readingsIn(totals.get(device(d)) as MetricSummary | undefined);
      assert.ok(there.has(AFTER), 'what came afterwards is there');
      assert.deepEqual(
        [...there].filter((n) => n > AFTER || n === AFTER - 1),
        [],
        'nothing is made up',
      );
      lost += READINGS - there.size;
    }
    const { damage } = this.gateway.pipeline.buffer;
    const told = Object.values(this.cloud.lost('damaged')).reduce((sum, n) => sum + n, 0);
    this.#checkSetAside(damage.salvaged().length);
    const damagedRows = Object.values(damage.counts()).reduce((sum, n) => sum + n, 0);
    return { lost, told, salvaged: damage.salvaged().length > 0, damagedRows };
  }

  /** Nothing is deleted; where nothing had been written to it, the file is as it was found. */
  #checkSetAside(salvages: number): void {
    const names = readdirSync(dirname(this.path)).filter((name) => /\.damaged-[^-]+-[^-]+-[^-]+$/.test(name));
    assert.equal(names.length, salvages);
    const found = this.#damaged.get('');
    if (!this.#foundAtOpening || this.#damaged.has('-wal') || found === undefined) return;
    assert.ok(readFileSync(join(dirname(this.path), names[0]!)).equals(found), 'as it was found');
  }

  close(): void {
    this.gateway.pipeline.buffer.close();
  }
}

function readingsIn(total: MetricSummary | undefined): Set<number> {
  if (total === undefined) return new Set();
  assert.equal(total.sums.scale, 0);
  const there = [...total.sums.sum.toString(2)].reverse().flatMap((bit, n) => (bit === '1' ? [n] : []));
  assert.equal(total.n, there.length, 'a reading counts twice');
  return new Set(there);
}

function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const all = readFileSync(path);
  all.set(bytes.subarray(0, all.length - offset), offset);
  writeFileSync(path, all);
}

function noise(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** Without a log: everything, also what only the journal has, is in the one file. */
function quiet(whole: Picture, directory: string): Picture {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'gateway.db');
  for (const [name, bytes] of whole.files) writeFileSync(path + name, bytes);
  const db = new Database(path);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  return { ...whole, files: picture(path) };
}

async function tryAll(t: Test, whole: Picture, cases: Iterable<[string, (path: string) => void]>): Promise<void> {
  let number = 0;
  let noticed = 0;
  for (const [name, damage] of cases) {
    const directory = t.testdir();
    try {
      const story = new Story(join(directory, String(number++)), whole, damage);
      const outcome = await story.outcome().finally(() => story.close());
      const isNoticed = outcome.salvaged || outcome.damagedRows > 0;
      if (isNoticed) noticed++;
      if (outcome.lost > 0) {
        assert.ok(outcome.told > 0, `${outcome.lost} lost, and nobody was told`);
        assert.ok(isNoticed, 'the operator is not told');
      }
      t.comment(`${name}: ${JSON.stringify(outcome)}`);
    } catch (error) {
      t.fail(`${name}: ${(error as Error).stack}`);
    }
  }
  t.ok(noticed > 0, `${noticed} of ${number} were noticed`);
}

t.test('damage to the file', { timeout: 600_000 }, async (t) => {
  const whole = quiet(await take(join(t.testdir(), 'whole')), join(t.testdir(), 'quiet'));
  const pages = whole.files.get('')!.length / PAGE;
  t.comment(`${pages} pages`);
  const each = Array.from({ length: Math.ceil(pages / STEP) }, (_, i) => i * STEP);

  await t.test('a page of zeros', (t) =>
    tryAll(
      t,
      whole,
      each.map((p) => [`page ${p + 1}`, (path) => overwrite(path, p * PAGE, new Uint8Array(PAGE))]),
    ),
  );
  await t.test('a page of noise', (t) =>
    tryAll(
      t,
      whole,
      each.map((p) => [`page ${p + 1}`, (path) => overwrite(path, p * PAGE, noise(PAGE, p))]),
    ),
  );
  await t.test('the file is cut off', (t) =>
    tryAll(
      t,
      whole,
      [0, 1, 100, PAGE, PAGE * 3, PAGE * (pages >> 1) + 17, PAGE * (pages - 1)].map((bytes) => [
        `after ${bytes} bytes`,
        (path) => truncateSync(path, bytes),
      ]),
    ),
  );
  await t.test('the file is another', (t) =>
    tryAll(t, whole, [
      ['noise', (path) => writeFileSync(path, noise(100_000, 1))],
      ['a text', (path) => writeFileSync(path, 'hello')],
      ['its header is gone', (path) => overwrite(path, 0, new Uint8Array(100))],
    ]),
  );
});

t.test('one byte of a page', { timeout: 600_000 }, async (t) => {
  const whole = quiet(await take(join(t.testdir(), 'whole')), join(t.testdir(), 'quiet'));
  const all = whole.files.get('')!;
  const pages = all.length / PAGE;
  const cases = Array.from({ length: pages * BYTES_OF_A_PAGE }, (_, i): [string, (path: string) => void] => {
    const at = (i % pages) * PAGE + 1_500 + ((i * 577) % 2_000);
    return [`byte ${at}`, (path) => overwrite(path, at, Uint8Array.of(all[at]! ^ 0x10))];
  });
  await tryAll(t, whole, cases);
});

t.test('damage to the log', { timeout: 600_000 }, async (t) => {
  const whole = await take(join(t.testdir(), 'whole'));
  const log = whole.files.get('-wal')!;
  const frames = Math.floor((log.length - 32) / (PAGE + 24));
  t.comment(`${frames} frames`);
  const some = Array.from({ length: 24 }, (_, i) => 32 + Math.floor((i / 24) * (frames - 8)) * (PAGE + 24));
  const flip = (path: string, at: number) => overwrite(`${path}-wal`, at, Uint8Array.of(log[at]! ^ 0x10));
  await t.test('a byte of a frame', (t) =>
    tryAll(
      t,
      whole,
      some.map((at) => [`byte ${at + 2_000}`, (path) => flip(path, at + 2_000)]),
    ),
  );
  await t.test('a whole frame', (t) =>
    tryAll(
      t,
      whole,
      some.map((at) => [`frame at ${at}`, (path) => overwrite(`${path}-wal`, at, noise(PAGE + 24, at))]),
    ),
  );
  await t.test('its header', (t) => tryAll(t, whole, [['header', (path) => flip(path, 20)]]));
});

t.test('the epoch', { timeout: 600_000 }, async (t) => {
  const whole = quiet(await take(join(t.testdir(), 'whole')), join(t.testdir(), 'quiet'));
  const metaPage = (path: string) => overwrite(path, PAGE, new Uint8Array(PAGE));
  await t.test('is known from the file beside the database', async (t) => {
    const story = new Story(join(t.testdir(), 'kept'), whole, metaPage);
    t.equal(`${story.gateway.pipeline.buffer.epoch}\n`, whole.files.get('.epoch')!.toString());
    t.equal((await story.outcome()).lost, 0);
    story.close();
  });
  await t.test('where it is lost, what left without a receipt does not leave again', async (t) => {
    const story = new Story(join(t.testdir(), 'lost'), whole, (path) => {
      metaPage(path);
      writeFileSync(`${path}.epoch`, '');
    });
    t.not(`${story.gateway.pipeline.buffer.epoch}\n`, whole.files.get('.epoch')!.toString());
    const { lost, told } = await story.outcome();
    t.ok(lost <= told, 'what was not at the cloud is told');
    story.close();
  });
});

t.test('files that are not ours are left alone', async (t) => {
  const path = join(
    t.testdir({ 'gateway.db': 'somebody’s text, and no small one at that, but a letter of many words' }),
    'gateway.db',
  );
  t.throws(() => new Gateway(path, OPTIONS, T0), { code: 'database-invalid' });
  t.match(readFileSync(path, 'utf8'), /^somebody/);
  t.same(readdirSync(dirname(path)), ['gateway.db']);
});

t.test('a salvage that was cut off begins again', async (t) => {
  const whole = quiet(await take(join(t.testdir(), 'whole')), join(t.testdir(), 'quiet'));
  const cutOff = (path: string) => {
    writeFileSync(`${path}.damaged`, 'gateway.db.damaged-20260101T000000-000Z-0\nfor a test\n');
    writeFileSync(`${path}.salvage`, noise(10_000, 1));
    renameSync(path, `${path}.damaged-20260101T000000-000Z-0`);
  };
  const story = new Story(join(t.testdir(), 'story'), whole, cutOff);
  const { lost, salvaged } = await story.outcome();
  t.same([lost, salvaged], [0, true]);
  story.close();
});
