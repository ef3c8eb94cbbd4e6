/** Edge and cloud compared by the command, with the link cut between them, and with a batch that went missing. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { EPOCH_A, NOON, windowsOf } from '../cloud/store/samples.js';
import { encodeBatch } from '../shared/batch.js';
import { encodeStatus, type Status } from '../shared/status.js';
import { upTopic } from '../shared/topics.js';
import { BIN, CloudProcess, place, TestGateway, tlsBroker, tlsOptions, until } from './cloud-rig.js';
import { Rig } from './rig.js';

const run = promisify(execFile);

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function reconcile(database: string, ...args: string[]): Promise<Answer> {
  const all = [BIN, 'reconcile', '--database', database, '--gateway', 'gw', ...args];
  const { code = 0, stdout, stderr } = (await run(process.execPath, all).catch((error) => error)) as Answer;
  return { code, stdout, stderr };
}

/** CSV without its header and the epochs. */
function lines(csv: string): string[] {
  const rows = csv.trim().split('\n').slice(1);
  return rows.map((row) => row.replace(/[0-9a-f]{32},/, ''));
}

const routes = [
  { topic: 'plant/{device}', window: '1m', lateness: '1s', time: { from: 'ts', unit: 'ms' }, metrics: ['temp'] },
];
/** One window a batch, one batch in a hundred seconds. */
const THIN = {
  EDGETALLY_PUSH_MAX_BATCH_BYTES: '150B',
  EDGETALLY_PUSH_MAX_PUBLISHES_PER_SECOND: '0.01',
  EDGETALLY_PUSH_STATUS_INTERVAL: '500ms',
};
const TS = Date.UTC(2025, 0, 1, 23, 59);

/** `count` readings of each of two devices, one a second, so that they reach over midnight. */
async function publish(rig: Rig, from: number, count: number): Promise<void> {
  const sensor = await rig.sensor();
  const all = Array.from({ length: 2 * count }, (_, i) => {
    const payload = JSON.stringify({ ts: TS + (from + (i >> 1)) * 1000, temp: i / 10 });
    return sensor.publishAsync(`plant/d${i % 2}`, payload, { qos: 1 });
  });
  await Promise.all(all);
  await sensor.publishAsync('plant/d0', 'no JSON', { qos: 1 });
  await sensor.endAsync();
}

t.test('the cloud is cut off: not equal; settled: equal', { timeout: 120_000 }, async (t) => {
  const rig = await Rig.make(t, { routes });
  const database = join(rig.dir, 'cloud.db');
  await rig.start();
  await publish(rig, 0, 100);
  await rig.settled();
  const before = await reconcile(database, '--format', 'csv');
  t.equal(before.code, 0, before.stderr);
  const day = (n: number, readings: number) =>
    ['d0', 'd1'].map((device) => `,${device},2025-01-0${n},${readings},${readings},0,`);
  t.same(lines(before.stdout), [...day(1, 60), ...day(2, 40)]);

  await rig.broker.end('SIGKILL');
  await publish(rig, 100, 500);
  const behind = await reconcile(database, '--max-silence', '1ms');
  t.equal(behind.code, 3, 'what is behind the cut cannot be known, and that is said');
  t.match(behind.stderr, /^unknown: the gateway is (quiet|offline), last heard/m);
  t.match(behind.stdout, /\nNOT KNOWN TO BE EQUAL\n$/);

  // Back again, on a link so thin that beside the status only the first batch gets through.
  await rig.agent.end('SIGTERM');
  await rig.cloud.end('SIGKILL');
  await rig.broker.start();
  await rig.cloud.start();
  Object.assign(process.env, THIN);
  await rig.agent.start();
  for (const name of Object.keys(THIN)) delete process.env[name];
  let answer = behind;
  await until(
    async () => {
      answer = await reconcile(database, '--format', 'csv');
      return /backlog$/m.test(answer.stdout) && /came with no batch/.test(answer.stderr);
    },
    () => JSON.stringify(answer),
  );
  t.equal(answer.code, 1, answer.stderr);
  // One window of d0 got through, whichever went first.
  const missing = Number(/,d0,2025-01-02,.*,(\d+),backlog$/m.exec(answer.stdout)?.[1]);
  t.ok(missing > 0 && missing < 500, answer.stdout);
  t.same(lines(answer.stdout), [
    ...day(1, 60),
    `,d0,2025-01-02,540,${540 - missing},${missing},backlog`,
    ',d1,2025-01-02,40,40,0,',
  ]);
  t.match(
    answer.stderr,
    new RegExp(
      `^difference: 1 device-day of 4 differ by ${missing} readings.*: d0 on 2025-01-02 \\(${missing}\\)$`,
      'm',
    ),
  );
  t.match(
    answer.stderr,
    /^difference: 500 readings that the gateway had counted at .* came with no batch yet .*backlog/m,
  );

  await rig.agent.end('SIGTERM');
  await rig.agent.start();
  const { books } = await rig.settled();
  t.equal(books.counted, 1200);
  const after = await reconcile(database, '--format', 'csv');
  t.equal(after.code, 0, after.stderr);
  t.same(lines(after.stdout), [...day(1, 60), ...day(2, 540)]);
  t.match(
    (await reconcile(database)).stdout,
    /\nrejected {5}2 not-json\n(.|\n)*\nequal: 1200 readings in 4 device-days\n$/,
  );

  // The batches tell it too, by day: one before the link was cut, one behind it.
  let losses = '';
  await until(
    async () => {
      const listed = await run(process.execPath, [BIN, 'losses', '--database', database, '--format', 'csv']);
      losses = listed.stdout;
      const counts = [...losses.matchAll(/^gw,,,\d{4}-\d\d-\d\d,rejected,not-json,(\d+)$/gm)].map(([, count]) =>
        Number(count),
      );
      return counts.reduce((sum, count) => sum + count, 0) === 2;
    },
    () => losses,
  );

  // Stopped on purpose: however long ago that is, nothing was counted since.
  await rig.agent.end('SIGTERM');
  await until(
    async () => {
      answer = await reconcile(database, '--max-silence', '1ms');
      return /^note: the gateway was stopped on purpose at/m.test(answer.stderr);
    },
    () => JSON.stringify(answer),
  );
  t.equal(answer.code, 0, answer.stderr);
});

t.test('a batch that went missing, in its own words', { timeout: 60_000 }, async (t) => {
  const at = await place(t);
  const broker = await tlsBroker(t, at);
  const cloud = new CloudProcess(t, at.dir, tlsOptions(at, broker.port, 'cloud'));
  await cloud.start();
  const gateway = await TestGateway.connect(t, at, broker.port);
  const minutes = Array.from({ length: 3 }, (_, i) => windowsOf([{ timeMs: NOON + i * 60_000, values: { c: i } }]));
  const send = (sequence: number, minute: number) => {
    const ledger = [{ group: '', device: 'd1', dayMs: NOON - (NOON % 86_400_000), readings: 3 }];
    return gateway.send(
      encodeBatch({
        epoch: EPOCH_A,
        session: 1,
        sequence,
        sentMs: NOON,
        windows: minutes[minute]!,
        ledger,
        losses: [],
      }),
    );
  };
  const say = async (backlog: Status['backlog'], sentMs: number) => {
    const readings = { in: 3, counted: 3, duplicate: 0, rejected: 0, held: 0 };
    const reasons = { rejected: { 'not-json': 2 } };
    const status = encodeStatus({
      state: 'online',
      epoch: EPOCH_A,
      version: '0.1.0',
      sentMs,
      backlog,
      readings,
      reasons,
    });
    await gateway.client.publishAsync(upTopic('gw', 'status'), Buffer.from(status), { qos: 1, retain: true });
  };
  await send(1, 0);
  await send(3, 2);
  await until(() => gateway.committed.size === 2);
  await say({ windows: 1, bytes: 9, oldestMs: NOON + 60_000 }, NOON);
  let answer = await reconcile(cloud.database);
  await until(
    async () => {
      answer = await reconcile(cloud.database, '--format', 'csv');
      return /backlog$/m.test(answer.stdout);
    },
    () => JSON.stringify(answer),
  );
  t.same(lines(answer.stdout), [',d1,2026-07-01,3,2,1,backlog']);
  t.equal(answer.code, 1);
  t.match(answer.stderr, /^note: 1 batch did not arrive under the number it was sent with/m);

  await say({ windows: 0, bytes: 0, oldestMs: null }, NOON + 1);
  await until(
    async () => {
      answer = await reconcile(cloud.database);
      return /does not explain them: d1 on 2026-07-01 \(1\)$/m.test(answer.stderr);
    },
    () => JSON.stringify(answer),
  );
  t.equal(answer.code, 1, 'a loss that nothing explains');

  await send(4, 1);
  await until(() => gateway.committed.has(4));
  answer = await reconcile(cloud.database, '--from', '2026-07-01', '--to', '2026-07-02', '--format', 'json');
  t.equal(answer.code, 0, answer.stderr);
  const { verdict, differences, unknowns, epochs } = JSON.parse(answer.stdout);
  t.same([verdict, differences, unknowns], ['equal', [], []]);
  t.match(epochs[0].sessions, [{ session: 1, highest: 4, arrived: 3, missing: 1 }], 'the number stays missing');
  const gateways = JSON.parse(await cloud.command('gateways', '--format', 'json'));
  t.match(gateways.rows, [{ readings: { in: 3, counted: 3 }, reasons: { rejected: { 'not-json': 2 } } }]);
});

t.test('wrong arguments end with 2, so that 1 means what it says', async (t) => {
  const { dir } = await place(t);
  const database = join(dir, 'none.db');
  t.equal((await reconcile(database)).code, 3, 'no database is an error, and tells nothing');
  for (const args of [['--from', 'soon'], ['--format', 'xml'], ['--unknown'], ['--max-silence', 'x']]) {
    t.equal((await reconcile(database, ...args)).code, 2, args.join(' '));
  }
  const error = await run(process.execPath, [BIN, 'reconcile', '--database', database]).catch((caught) => caught);
  t.match(error, { code: 2, stderr: /which gateway\?/ });
});
