/** The cloud side on DynamoDB, as processes: two consumers at once, and every command that reads. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'tap';
import { environmentFor, tableForTests } from '../cloud/store/dynamo/table-for-tests.js';
import { batchOf, EPOCH_A, NOON, windowsOf } from '../cloud/store/samples.js';
import { openSqliteStore } from '../cloud/store/sqlite/store.js';
import { encodeBatch } from '../shared/batch.js';
import { BIN, CloudProcess, place, TestGateway, tlsBroker, tlsOptions, until } from './cloud-rig.js';

const run = promisify(execFile);
const DAY_MS = 86_400_000;
const DAY = NOON - (NOON % DAY_MS);

/** A window of each minute, of three devices, and their ledger. */
function batches() {
  const readings = Array.from({ length: 120 }, (_, i) => ({
    device: `d${i % 3}`,
    group: i % 3 === 0 ? 'hall' : '',
    timeMs: NOON + (i % 40) * 60_000 + i,
    values: { c: (i % 17) / 10, rh: 40 + (i % 7) },
  }));
  const windows = windowsOf(readings, 60_000, 2);
  const early = windowsOf(readings.slice(0, 60), 60_000, 1);
  const told = windows.map(({ group, device, readings }) => ({ group, device, dayMs: DAY, readings: readings * 40 }));
  const identity = (i: number) => ({ epoch: EPOCH_A, session: 1, sequence: i + 1, sentMs: NOON });
  const losses = [{ dayMs: DAY, kind: 'rejected', reason: 'bad-time', group: 'hall', device: 'd0', count: 3 }];
  const threes = Array.from({ length: windows.length / 3 }, (_, i) => windows.slice(3 * i, 3 * i + 3));
  const mixed = threes.flatMap((three, i) => [three, early.slice(2 * i, 2 * i + 2)]).filter((some) => some.length > 0);
  return mixed.map((some, i) => ({ ...identity(i), windows: some, ledger: told.slice(0, 3), losses }));
}

test('two consumers that get every batch both, one of them killed: reports as from SQLite, byte by byte', async (t) => {
  const at = await place(t);
  const table = await tableForTests(t);
  Object.assign(process.env, environmentFor(table));
  const broker = await tlsBroker(t, at);
  const database = `dynamodb://${table.table}`;
  const [one, other] = ['one', 'other'].map(
    (name) => new CloudProcess(t, at.dir, tlsOptions(at, broker.port, 'cloud'), name, database),
  ) as [CloudProcess, CloudProcess];
  await Promise.all([one.start(), other.start()]);
  const gateway = await TestGateway.connect(t, at, broker.port);
  const all = batches();
  for (const [i, batch] of all.entries()) {
    await gateway.send(encodeBatch(batch));
    if (i === all.length / 2) await other.end('SIGKILL');
  }
  await until(
    () => gateway.committed.size === all.length,
    () => JSON.stringify([...gateway.committed]) + one.lines.join('\n'),
  );

  t.comment(`all have a receipt after ${Math.round(performance.now())} ms`);
  const path = join(at.dir, 'straight.db');
  const straight = openSqliteStore({ path, maxQuarantineBytes: 0 });
  await straight.commit(all.map(({ sentMs: _, ...batch }) => batchOf([], batch)));
  await straight.close();
  const range = ['--from', '2026-07-01', '--to', '2026-07-02'];
  for (const [name, ...options] of [
    ['report', '--format', 'csv'],
    ['report', '--format', 'json', '--group-by', 'gateway,device,hour', ...range],
    ['report', '--format', 'json', '--group-by', 'all'],
    ['losses', '--format', 'json', ...range],
  ] as const) {
    const { stdout } = await run(process.execPath, [BIN, name, '--database', path, ...options]);
    t.equal(await one.command(name, ...options), stdout, `${name} ${options.join(' ')}`);
  }
  t.match(await one.command('gateways'), /gw .*70/);
  const reconciled = await run(process.execPath, [
    BIN,
    'reconcile',
    '--database',
    database,
    '--gateway',
    'gw',
    ...range,
  ]).catch((error: { code: number; stderr: string }) => error);
  t.match(reconciled.stderr, /no status|unknown|difference/, 'it was compared');
  t.equal(await one.end('SIGTERM'), 0);
});

test('a database that is named wrongly, or is not there, is an error in words', async (t) => {
  const table = await tableForTests(t);
  const env = { ...process.env, ...environmentFor(table) };
  const fails = async (database: string) =>
    (await run(process.execPath, [BIN, 'gateways', '--database', database], { env }).catch((error) => error)).stderr;
  t.match(await fails('dynamodb:edgetally'), /names no table[\s\S]*dynamodb:\/\/TABLE/);
  t.match(await fails('dynamodb://nowhere'), /nowhere: ResourceNotFoundException[\s\S]*AWS_REGION/);
});
