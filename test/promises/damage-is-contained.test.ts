/**
 * Promise 7. The agent is killed with a backlog and a poison message behind it, and a page in the middle of its database turns
 * to noise. Started again, it salvages by itself: the damaged file is set aside, what could be read is in the report, each reading
 * once, the rest is told by `status` and to the cloud; and a device that published afterwards misses nothing.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t from 'tap';
import { Rig } from '../rig.js';

const routes = [{ topic: '{device}', metrics: ['x'], window: '1m', lateness: '1s', time: { from: 'ts', unit: 'ms' } }];
const START_MS = Date.UTC(2025, 0, 1);
const MINUTES = 400;
const AFTERWARDS = 50;

/** One reading a window. */
function payload(minute: number): string {
  return JSON.stringify({ ts: START_MS + minute * 60_000, x: minute });
}

/** A page of the windows, from the middle of those. */
function damage(path: string): void {
  const db = new Database(path, { readonly: true });
  const pages = db.prepare("SELECT pageno FROM dbstat WHERE name = 'windows' AND pagetype = 'leaf' ORDER BY path");
  const leaves = pages.pluck().all() as number[];
  db.close();
  const bytes = readFileSync(path);
  for (let i = 0, at = (leaves[leaves.length >> 1]! - 1) * 4096; i < 4096; i++) bytes[at + i] = (i * 151 + 7) & 255;
  writeFileSync(path, bytes);
}

t.test('a damaged database is set aside and salvaged, never deleted', { timeout: 120_000 }, async (t) => {
  const rig = await Rig.make(t, { routes });
  await rig.start();
  const path = join(rig.dir, 'agent', 'edgetally.db');
  const publish = async (device: string, minutes: number) => {
    const sensor = await rig.sensor(`${device}-${Math.random()}`);
    const all = Array.from({ length: minutes }, (_, minute) =>
      sensor.publishAsync(device, payload(minute), { qos: 1 }),
    );
    await Promise.all(all);
    await sensor.publishAsync(device, '{"ts": poison', { qos: 1 });
    await sensor.endAsync();
  };
  await rig.cloud.end('SIGKILL');
  await rig.broker.end('SIGKILL');
  await publish('a', MINUTES);
  while (((await rig.status())?.backlog.windows ?? 0) < MINUTES) await sleep(100);
  await rig.agent.end('SIGTERM'); // so that all is in the one file
  await rig.agent.start();
  await publish('b', AFTERWARDS);
  await rig.agent.end('SIGKILL');
  damage(path);

  await rig.agent.start();
  await rig.broker.start();
  await rig.cloud.start();
  await publish('c', AFTERWARDS);
  const status = await rig.settled();
  t.equal(status.salvaged.length, 1, 'it says that it was salvaged');
  t.equal(status.salvaged[0]!.epoch, 'kept');
  t.equal(status.setAside.length, 1);
  t.ok(statSync(status.setAside[0]!.file).size > 0, 'the damaged file is there');
  t.equal(status.quarantine.length > 0, true, 'poison is kept with its reason');

  const counts = await rig.report('--group-by', 'device', '--format', 'csv');
  const of = (device: string) => Number(new RegExp(`^${device},x,(\\d+),`, 'm').exec(counts)?.[1] ?? 0);
  const lost = status.salvaged[0]!.lost.windows ?? 0;
  t.ok(lost > 0, 'the operator is told');
  t.ok(of('a') < MINUTES && of('a') > MINUTES / 2, `${of('a')} of ${MINUTES} arrived`);
  t.equal(of('b'), AFTERWARDS, 'what the damaged page did not hold is there');
  t.equal(of('c'), AFTERWARDS, 'what came afterwards is there');
  const told = await rig.ask('losses', '--format', 'csv');
  const damaged = told.split('\n').filter((line) => line.includes(',damaged,'));
  const readings = damaged.reduce((sum, line) => sum + Number(/,(\d+)\r?$/.exec(line)?.[1] ?? 0), 0);
  t.equal(of('a') + readings, MINUTES, 'each reading is in the report, or told as lost');
});
