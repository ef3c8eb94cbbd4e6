/**
 * Whatever the way up does to batches, the report is the calm run's, byte for byte: random schedules of drop, double, reorder,
 * resend with later revisions, receipts lost, the consumer killed before, after and between commits, roll-ups computed in
 * between and put too late. In process, over the real store; then a handful with a real process and SIGKILL.
 *
 * TORTURE_SCHEDULES says how many, TORTURE_SEED plays one seed again.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { formatReport } from '../cloud/report/formats.js';
import { parseQuery } from '../cloud/report/query.js';
import { runReport } from '../cloud/report/report.js';
import { openSqliteReader } from '../cloud/store/sqlite/store.js';
import type { SnapshotStore } from '../cloud/store/store.js';
import { CloudProcess, place, TestGateway, tlsBroker, tlsOptions, until } from './cloud-rig.js';
import { Dice, setting } from './dice.js';
import { FlakyCloud } from './flaky-cloud.js';
import { ModelGateway, Story } from './model-gateway.js';

t.setTimeout(600_000);

const SCHEDULES = setting('TORTURE_SCHEDULES', 1000);
/** Seeds that once found a fault. */
const KEPT: readonly number[] = [];
const KILLS = 4;

const story = new Story();

async function reports(store: SnapshotStore): Promise<string> {
  const texts: string[] = [];
  for (const groupBy of ['gateway,group,device,hour', 'all']) {
    texts.push(formatReport(await runReport(store, parseQuery({ groupBy }, 0)), 'csv'));
  }
  return texts.join('\n');
}

function folder(t: Test): string {
  // No disk: what is killed here is a handle, not a machine.
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'edgetally-delivery-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Each final revision once, in order. */
async function calm(path: string): Promise<string> {
  const cloud = new FlakyCloud(path, () => undefined);
  for (const source of story.sources) {
    const gateway = new ModelGateway(source);
    gateway.age(Number.POSITIVE_INFINITY);
    for (const message of gateway.send(100)) await cloud.accept(message);
  }
  const text = await reports(cloud.store);
  await cloud.end();
  return text;
}

interface Tally {
  dropped: number;
  doubled: number;
  killed: number;
  lost: number;
  delivered: number;
}

/** Until every gateway has a receipt for every last revision. */
async function schedule(path: string, dice: Dice, tally: Tally): Promise<string> {
  const gateways = story.sources.map((source) => new ModelGateway(source));
  const lossy = dice.below(8) / 10;
  const cloud = new FlakyCloud(path, (topic, payload) => {
    if (dice.chance(lossy / 2)) tally.lost++;
    else for (const gateway of gateways) gateway.receipt(topic, payload);
  });
  const onTheWay: Parameters<FlakyCloud['accept']>[0][] = [];
  for (let step = 0; gateways.some((gateway) => !gateway.done); step++) {
    if (step > 5000) throw new Error('it never settles');
    const gateway = dice.pick(gateways);
    if (dice.chance(0.4)) gateway.age(1 + dice.below(4));
    if (dice.chance(0.05)) gateway.restart();
    if (onTheWay.length < 6) onTheWay.push(...gateway.send(1 + dice.below(6), dice));
    if (dice.chance(0.1)) await cloud.rollUp(dice);
    if (onTheWay.length === 0) continue;
    const message = dice.draw(onTheWay);
    if (dice.chance(lossy / 2)) {
      tally.dropped++;
      continue;
    }
    if (dice.chance(lossy / 2)) {
      tally.doubled++;
      onTheWay.push(message);
    }
    tally.delivered++;
    if (dice.chance(lossy / 10)) {
      tally.killed++;
      await cloud.killedDuring(message, dice.pick(['before the commit', 'in the commit', 'after the commit']));
    } else await cloud.accept(message);
    if (dice.chance(0.3)) cloud.consolidator.flush();
  }
  // What is still on its way comes late, in any order.
  for (const message of dice.shuffled(onTheWay)) await cloud.accept(message);
  if (dice.chance(0.3)) await cloud.rollUp(dice);
  const text = await reports(cloud.store);
  await cloud.end();
  return text;
}

t.test(`${SCHEDULES} schedules`, { timeout: 110_000 + SCHEDULES * 50 }, async (t) => {
  const dir = folder(t);
  const expected = await calm(join(dir, 'calm.db'));
  t.match(expected, /^g2,hall,'=d2,2026-03-29T00:00Z,temp,/m);
  const tally: Tally = { dropped: 0, doubled: 0, killed: 0, lost: 0, delivered: 0 };
  const one = setting('TORTURE_SEED', -1);
  const seeds = one >= 0 ? [one] : [...KEPT, ...Array.from({ length: SCHEDULES }, (_, seed) => seed)];
  const startedMs = performance.now();
  for (const seed of seeds) {
    const sub = join(dir, `${seed}.db`);
    const text = await schedule(sub, new Dice(5, seed), tally).catch((error: Error) => `${error.stack}`);
    for (const file of [sub, `${sub}.lock`, `${sub}-wal`, `${sub}-shm`]) rmSync(file, { force: true });
    if (text === expected) continue;
    t.equal(text, expected, `TORTURE_SEED=${seed} plays it again`);
    break;
  }
  t.comment(`${seeds.length} schedules in ${Math.round(performance.now() - startedMs)} ms: ${JSON.stringify(tally)}`);
  if (one >= 0) return;
  t.ok(
    Object.values(tally).every((count) => count >= SCHEDULES / 4),
    'every fault did happen',
  );
});

t.test('a real consumer, killed while batches come', { timeout: 60_000 }, async (t) => {
  const expected = await calm(join(folder(t), 'calm.db'));
  const at = await place(t);
  const broker = await tlsBroker(t, at);
  const cloud = new CloudProcess(t, at.dir, tlsOptions(at, broker.port, 'cloud'));
  await cloud.start();
  const models = story.sources.map((source) => new ModelGateway(source));
  const links = new Map<string, TestGateway>();
  for (const { gateway } of story.sources) {
    if (!links.has(gateway)) links.set(gateway, await TestGateway.connect(t, at, broker.port, gateway));
  }
  const sendSome = async () => {
    for (const { receipts } of links.values()) {
      for (const receipt of receipts.splice(0)) for (const model of models) model.take(receipt);
    }
    for (const [i, model] of models.entries()) {
      model.age(1);
      // Whatever has no receipt goes again.
      for (const { payload } of model.send(3)) await links.get(story.sources[i]!.gateway)!.send(payload);
    }
  };
  const dice = new Dice(6);
  for (let kill = 0; kill < KILLS; kill++) {
    const killed = sleep(10 + dice.below(60)).then(() => cloud.end('SIGKILL'));
    for (let round = 0; round < 6; round++) await sendSome();
    await killed;
    cloud.lines.length = 0;
    await cloud.start();
  }
  await until(
    async () => {
      await sendSome();
      await sleep(60);
      return models.every((model) => model.done);
    },
    () => cloud.lines.slice(-5).join('\n'),
  );
  const reader = openSqliteReader(cloud.database);
  t.teardown(() => reader.close());
  t.equal(await reports(reader), expected);
});
