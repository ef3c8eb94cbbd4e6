/**
 * A gateway that lies, with a valid certificate. What it says is refused with a reason or counted under its own name; what the
 * cloud says of an honest gateway stays the same, byte for byte, and neither memory nor database grow beyond what was sent.
 *
 * TORTURE_DEVICES says how many devices it makes up.
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { makeCertificates } from '../certs.example/make-certs.js';
import { Consolidator } from '../cloud/consolidate/consolidator.js';
import { decodeDelivery } from '../cloud/consolidate/decode.js';
import { formatReport } from '../cloud/report/formats.js';
import { parseQuery } from '../cloud/report/query.js';
import { runReport } from '../cloud/report/report.js';
import type { Quota } from '../cloud/store/quota.js';
import { batchOf, EPOCH_A, NOON, windowsOf } from '../cloud/store/samples.js';
import { openSqliteStore } from '../cloud/store/sqlite/store.js';
import type { Store } from '../cloud/store/store.js';
import { startIotCore } from '../demo/iot-core.js';
import { decodeBatch, encodeBatch } from '../shared/batch.js';
import { decodeReceipt } from '../shared/receipt.js';
import { downTopic, upTopic } from '../shared/topics.js';
import type { WindowSummary } from '../shared/window.js';
import { batchBytes, CloudProcess, until } from './cloud-rig.js';
import { Dice, setting } from './dice.js';
import { forge, LIAR_EPOCH } from './forgery.js';
import { LIES, TRUTH } from './lies.js';
import { flipped } from './mqtt-mutants.js';

const DEVICES = setting('TORTURE_DEVICES', 20_000);
t.setTimeout(110_000 + DEVICES);

const HONEST = windowsOf(
  [1, 2, 3].map((i) => ({ device: 'boiler', timeMs: NOON + i * 60_000, values: { c: i / 10 } })),
);

function memoryKb(kind: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`^${kind}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

t.test('every lie has its reason', async (t) => {
  t.ok(decodeBatch(forge(1, [TRUTH])).ok, 'the forger can tell the truth');
  const before = memoryKb('VmHWM');
  for (const [name, reason, bytes] of LIES) {
    const decoded = decodeBatch(bytes(7));
    t.match(decoded, { ok: false, reason, header: { sequence: 7 } }, name);
  }
  t.ok(memoryKb('VmHWM') - before < 100 * 1024, 'no bomb went off');
});

t.test('through a broker with policies, to a real cloud', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-hostile-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const made = await makeCertificates(dir, { gateways: ['cloud', 'honest', 'liar', '__proto__'] });
  const pem = { ca: readFileSync(made.ca), cert: readFileSync(made.server.cert), key: readFileSync(made.server.key) };
  const core = await startIotCore({ ...pem, port: 0, limits: { connectIntervalMs: 0 } });
  t.teardown(() => core.stop());
  const url = `mqtts://localhost:${core.port}`;
  const receipts: { to: string; reason: string | undefined; sequence: number }[] = [];
  const connect = async (name: string): Promise<MqttClient> => {
    const { cert, key } = made.gateways.get(name)!;
    const tls = { ca: pem.ca, cert: readFileSync(cert), key: readFileSync(key) };
    const client = await mqtt.connectAsync(url, { ...tls, clientId: name, protocolVersion: 4, reconnectPeriod: 0 });
    t.teardown(() => client.endAsync(true));
    client.on('error', () => undefined);
    client.on('message', (_topic, payload) => {
      const receipt = decodeReceipt(payload);
      if (!receipt.ok) return;
      for (const { sequence, reason } of receipt.value.rejected) receipts.push({ to: name, reason, sequence });
      for (const sequence of receipt.value.committed.flatMap((one) => one.sequences))
        receipts.push({ to: name, reason: undefined, sequence });
    });
    await client.subscribeAsync(downTopic(name, 'receipt'));
    return client;
  };
  const cloud = new CloudProcess(t, dir, { url, ca: made.ca, ...made.gateways.get('cloud') });
  await cloud.start();
  const [honest, liar] = [await connect('honest'), await connect('liar')];
  const send = (client: MqttClient, name: string, bytes: Uint8Array) =>
    client.publishAsync(upTopic(name, 'batch'), Buffer.from(bytes), { qos: 1 });
  await send(honest, 'honest', batchBytes(1, EPOCH_A, HONEST));
  await until(() => receipts.length === 1);
  const report = () =>
    cloud.command('report', '--gateway', 'honest', '--group-by', 'gateway,group,device,hour', '--format', 'csv');
  const expected = await report();
  t.match(expected, /^honest,,boiler,.*,c,3,0\.6,0\.2,/m);

  for (const [i, [, , bytes]] of LIES.entries()) await send(liar, 'liar', bytes(i + 1));
  // The very device, window, epoch and session of the honest one, in a higher revision: it counts, as the liar's.
  const stolen = HONEST.map((one) => ({ ...one, revision: 4_000_000_000, readings: 999 }));
  await send(liar, 'liar', batchBytes(900, EPOCH_A, stolen));
  const names = ['__proto__', 'constructor', '=cmd|/C calc', '+1', '-1', '@SUM(A1)', '"quoted",x', 'toString'];
  const named = names.flatMap((name) =>
    windowsOf([{ group: name, device: name, timeMs: NOON, values: { [`${name}!`]: 1 } }]),
  );
  await send(liar, 'liar', forge(901, named));
  await until(
    () => receipts.filter(({ to }) => to === 'liar').length === LIES.length + 2,
    () => JSON.stringify(receipts),
  );
  for (const [i, [name, reason]] of LIES.entries())
    t.equal(receipts.find(({ to, sequence }) => to === 'liar' && sequence === i + 1)?.reason, reason, name);
  t.equal(await report(), expected);
  const csv = await cloud.command(
    'report',
    '--gateway',
    'liar',
    '--group-by',
    'gateway,group,device',
    '--format',
    'csv',
  );
  t.notMatch(csv, /(^|,)"?[=+@]/m, 'nothing that a spreadsheet takes for a formula');
  t.match(csv, /^liar,__proto__,__proto__,__proto__!,1,/m);

  await t.test('a name that needs care gets its receipts', async (t) => {
    const odd = await connect('__proto__');
    await send(odd, '__proto__', batchBytes(1, EPOCH_A, HONEST));
    await until(() => receipts.some(({ to }) => to === '__proto__'));
    t.match(await cloud.command('gateways'), /__proto__/);
  });

  await t.test('the topic of another gateway is not to be had', async (t) => {
    let closed = false;
    liar.once('close', () => {
      closed = true;
    });
    liar.publish(upTopic('honest', 'batch'), Buffer.from(batchBytes(2, EPOCH_A, stolen)), { qos: 1 }, () => undefined);
    await until(() => closed);
    t.equal(core.counters.refused['publish-denied'], 1);
    t.equal(await report(), expected);
  });
  t.equal(await cloud.end('SIGTERM'), 0);
});

function scratch(t: Test, quota?: Quota): { store: Store; bytes: () => number } {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-hostile-'));
  const path = join(dir, 'cloud.db');
  const store = openSqliteStore({ path, maxQuarantineBytes: 1_000_000, ...(quota && { quota }) });
  t.teardown(async () => {
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return { store, bytes: () => statSync(path).size + statSync(`${path}-wal`).size };
}

async function honestReport(store: Store): Promise<string> {
  const query = parseQuery({ gateway: 'honest', groupBy: 'gateway,group,device,hour' }, 0);
  return formatReport(await runReport(store, query), 'csv');
}

/** As the cloud takes it in. */
async function take(store: Store, gateway: string, payload: Uint8Array): Promise<boolean> {
  const delivery = { topic: upTopic(gateway, 'batch'), payload, retained: false, receivedMs: NOON };
  const { change } = decodeDelivery(delivery);
  await store.commit([change]);
  return change.kind === 'batch';
}

t.test(`${DEVICES} devices, and as many tiny windows`, async (t) => {
  const { store, bytes } = scratch(t);
  await store.commit([batchOf(HONEST, { gateway: 'honest' })]);
  const expected = await honestReport(store);
  const [one] = windowsOf([{ timeMs: NOON, values: { c: 1 } }], 1);
  const tiny = (i: number): WindowSummary => ({ ...one!, lengthMs: 1, startMs: NOON + i, metrics: new Map() });
  const before = memoryKb('VmRSS');
  let sent = 0;
  const flood = async (make: (i: number) => WindowSummary) => {
    for (let from = 0; from < DEVICES; from += 4000) {
      const windows = Array.from({ length: Math.min(4000, DEVICES - from) }, (_, i) => make(from + i));
      const payload = encodeBatch({
        epoch: LIAR_EPOCH,
        session: 1,
        sequence: 1 + sent,
        sentMs: 1,
        windows,
        ledger: [],
        losses: [],
      });
      t.equal(await take(store, 'liar', payload), true);
      sent += windows.length;
    }
  };
  await flood((i) => ({ ...one!, device: `made-up-${i}` }));
  await flood(tiny);
  t.ok(bytes() < 16_000_000 + sent * 500, `${bytes()} bytes for ${sent} windows`);
  const grown = memoryKb('VmRSS') - before;
  t.ok(grown < 150_000 + sent * 2, `${grown} kB more memory for ${sent} windows`);
  t.equal(await honestReport(store), expected);
});

t.test(
  'a gateway that makes up devices, metrics and windows without end has its share, and nobody else feels it',
  async (t) => {
    const quota = { devices: 500, metrics: 50, rowsPerDay: 5_000 };
    const { store, bytes } = scratch(t, quota);
    const receipts = new Map<string, string>();
    const consolidator = new Consolidator({
      store,
      send: (topic, payload) => {
        const receipt = decodeReceipt(payload);
        if (!receipt.ok) throw new Error(receipt.detail);
        for (const { sequence, reason } of receipt.value.rejected) receipts.set(`${topic} ${sequence}`, reason);
      },
      receiptDelayMs: 0,
      log: pino({ level: 'silent' }),
      now: () => NOON,
      signal: new AbortController().signal,
    });
    const send = async (gateway: string, sequence: number, windows: readonly WindowSummary[]) => {
      const payload = batchBytes(sequence, LIAR_EPOCH, windows);
      await consolidator.accept({ topic: upTopic(gateway, 'batch'), payload, retained: false, receivedMs: NOON });
    };
    await send('honest', 1, HONEST);
    const expected = await honestReport(store);
    const [one] = windowsOf([{ timeMs: NOON, values: { c: 1 } }]);
    const flood = (make: (i: number) => Partial<WindowSummary>) =>
      Array.from({ length: 1000 }, (_, i) => ({ ...one!, ...make(i) }));
    let sequence = 0;
    for (let i = 0; i < 20; i++) {
      await send(
        'liar',
        ++sequence,
        flood((j) => ({ device: `made-up-${i}-${j}` })),
      );
      await send(
        'liar',
        ++sequence,
        flood((j) => ({ part: j, metrics: new Map([[`m${i}-${j}`, one!.metrics.get('c')!]]) })),
      );
      await send(
        'liar',
        ++sequence,
        flood((j) => ({ part: 1 + i * 1000 + j })),
      );
    }
    consolidator.flush();
    const reasons = [...receipts]
      .filter(([key]) => key.startsWith(downTopic('liar', 'receipt')))
      .map(([, reason]) => reason);
    t.same([...new Set(reasons)].sort(), ['quota', 'quota-names'], `${reasons.length} of ${sequence} batches refused`);
    t.ok(bytes() < 8_000_000, `${bytes()} bytes for 60,000 windows that were made up`);
    t.equal(await honestReport(store), expected);
    await send('honest', 2, [{ ...HONEST[0]!, device: 'new', part: 9 }]);
    const [honest, liar] = await store.read((snapshot) => snapshot.gateways());
    t.match(
      [honest, liar],
      [
        { gateway: 'honest', overQuota: 0, batches: 2 },
        { gateway: 'liar', overQuota: reasons.length },
      ],
    );
    t.equal(consolidator.books.overQuota, reasons.length);
  },
);

t.test('any column changed, checksums right: refused or counted, the rest unharmed', async (t) => {
  const { store, bytes } = scratch(t);
  await store.commit([batchOf(HONEST, { gateway: 'honest' })]);
  const expected = await honestReport(store);
  const dice = new Dice(9);
  const columns = [
    'counts',
    'text',
    'textLength',
    'shape',
    'device',
    'length',
    'start',
    'part',
    'revision',
    'readings',
    'head',
    'n',
    'time',
    'float',
    'sum',
  ] as const;
  let counted = 0;
  const TRIES = 3000;
  for (let i = 1; i <= TRIES; i++) {
    const patch = { [dice.pick(columns)]: (column: Buffer) => flipped(column, dice, 1 + dice.below(3)) };
    if (await take(store, 'liar', forge(i, [TRUTH, HONEST[0]!], patch))) counted++;
  }
  t.ok(counted > TRIES / 50 && counted < TRIES / 2, `${counted} of ${TRIES} could have been true`);
  t.equal(await honestReport(store), expected);
  // What could have been true can be reported.
  t.match(formatReport(await runReport(store, parseQuery({ groupBy: 'all' }, 0)), 'csv'), /\nc,/);
  t.ok(bytes() < 40_000_000, `${bytes()} bytes`);
});

t.test('a quarantine of many small messages has an end too', async (t) => {
  const { store } = scratch(t);
  for (let from = 0; from < 24_000; from += 4000) {
    const messages = Array.from({ length: 4000 }, (_, i) => Buffer.from(`${from + i}`));
    await store.commit(
      messages.map(
        (payload) =>
          decodeDelivery({ topic: upTopic('liar', 'batch'), payload, retained: false, receivedMs: NOON }).change,
      ),
    );
  }
  t.match(await store.read((snapshot) => snapshot.books()), { quarantined: 20_000, evicted: 4000 });
});
