/**
 * A gateway that comes back with a backlog of a million windows of five metrics: how long it takes to start, in how much
 * memory, and how fast the backlog drains over TLS with a receipt for every batch; and that a quota is kept.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { emptyTally } from '../agent/block.js';
import { emptyBooks } from '../agent/books.js';
import { EdgeBuffer } from '../agent/buffer/buffer.js';
import { checksumOf } from '../agent/buffer/window-row.js';
import { agentSchema } from '../agent/config.js';
import type { WindowSave } from '../agent/stored-window.js';
import { CALM, typicalWindows } from '../shared/typical.js';
import type { Figure, Stage } from './figures.js';
import { type Gateway, startGateway } from './gateway.js';

type Numbers = Omit<Parameters<typeof checksumOf>[0], 'seen'>;

const DEVICES = 1000;
const MINUTES = 1000;
const BUFFER = { maxBytes: '4GiB' };
const FULL_SPEED = { maxPublishesPerSecond: 1000, maxBytesPerSecond: '100MB', maxInFlight: 20 };
const QUOTA_BYTES = 64 * 1024;

export const offline: Stage = {
  name: 'offline',
  about: 'a backlog of a million windows of five metrics',
  ci: false,
  async run({ dir }) {
    fill(join(dir, 'data'), MINUTES);
    const startMs = performance.now();
    const quota = await startGateway({ dir, buffer: BUFFER, push: { maxBytesPerSecond: QUOTA_BYTES } });
    const started = performance.now() - startMs;
    const figures: Figure[] = [];
    try {
      await sending(quota);
      const rssBytes = (await quota.agent.usage()).rssBytes;
      await sleep(3000); // a quota allows a burst at first
      const { counted, seconds } = await sentIn(quota, 8);
      figures.push(
        {
          name: 'start, with TLS broker and all',
          unit: 's',
          ours: started / 1000,
          better: 'less',
          target: '< 2 s',
          rssBytes,
        },
        {
          name: 'bytes at a quota of 64 KiB/s',
          unit: 'B/s',
          ours: counted / seconds,
          better: 'less',
          target: '≤ 65 536',
        },
      );
    } finally {
      await quota.stop();
    }
    const fast = await startGateway({ dir, buffer: BUFFER, push: FULL_SPEED });
    try {
      figures.push(await drain(fast));
    } finally {
      await fast.stop();
    }
    return figures;
  },
};

/** Windows as a gateway would have saved them that was cut off for 17 hours: one minute by the buffer, copied by SQL. */
function fill(dataDir: string, minutes: number): void {
  mkdirSync(dataDir, { recursive: true });
  const path = join(dataDir, 'edgetally.db');
  const buffer = new EdgeBuffer(path, agentSchema.parse({ gateway: 'gw', buffer: BUFFER }).buffer);
  const windows = typicalWindows({ sensors: CALM, devices: DEVICES, readings: 20 });
  const metrics = CALM.map(({ metric }) => buffer.dictionary.metric(metric));
  const devices = windows.map(({ group, device }) => buffer.dictionary.device(group, device));
  // makes the names durable
  buffer.commit({ block: { readings: [], tally: emptyTally() }, held: [], samples: [], released: [] });
  const saves = windows.map(
    ({ startMs, lengthMs, metrics: summaries }, i): WindowSave => ({
      device: devices[i]!,
      startMs,
      lengthMs,
      part: 0,
      ...{ revision: 1, folded: 1, readings: 20, gained: 20, closesMs: startMs + lengthMs },
      metrics: new Map([...summaries.values()].map((summary, at) => [metrics[at]!, summary])),
      seen: undefined,
    }),
  );
  buffer.save(saves, emptyBooks(), undefined);
  buffer.close();
  const db = new Database(path);
  db.pragma('cache_size = -600000'); // the index is in another order than the table
  db.pragma('synchronous = OFF');
  const numbers = ['device', 'start_ms', 'length_ms', 'part', 'revision', 'folded', 'closes_ms', 'readings'] as const;
  db.function('checksum_of', { varargs: true }, (...values: number[]) =>
    checksumOf({ ...(Object.fromEntries(numbers.map((name, i) => [name, values[i]])) as Numbers), seen: null }),
  );
  const columns = db.prepare("SELECT name FROM pragma_table_info('windows')").pluck().all() as string[];
  const moved = (name: string) => (/^(start|closes)_ms$/.test(name) ? `${name} + k * 60000` : name);
  const copied = columns.map((name) =>
    name === 'checksum' ? `checksum_of(${numbers.map(moved).join()})` : moved(name),
  );
  db.exec(`WITH RECURSIVE minutes (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM minutes WHERE k < ${minutes - 1})
    INSERT INTO windows (${columns.join()}) SELECT ${copied.join()} FROM windows, minutes`);
  db.close();
}

async function sending(gateway: Gateway): Promise<void> {
  while ((await gateway.sink.usage()).counted === 0) await sleep(20);
}

/** From the arrival of a batch to that of another: one is more than a second's worth of the quota. */
async function sentIn(gateway: Gateway, seconds: number) {
  const before = await arrival(gateway);
  await sleep(seconds * 1000);
  const after = await arrival(gateway);
  return { counted: after.counted - before.counted, seconds: (after.atMs - before.atMs) / 1000 };
}

async function arrival(gateway: Gateway) {
  const { counted: before } = await gateway.sink.usage();
  for (;;) {
    const { counted } = await gateway.sink.usage();
    if (counted > before) return { counted, atMs: performance.now() };
    await sleep(10);
  }
}

async function drain(gateway: Gateway): Promise<Figure> {
  await sending(gateway);
  await sleep(1000);
  const writtenBefore = gateway.agent.writtenBytes();
  const [before, windowsBefore] = [await gateway.agent.usage(), (await gateway.status()).backlog.windows];
  const startMs = performance.now();
  await sleep(10_000);
  const [after, windowsAfter] = [await gateway.agent.usage(), (await gateway.status()).backlog.windows];
  const windows = windowsBefore - windowsAfter;
  const writtenBytes = (gateway.agent.writtenBytes() - writtenBefore) / windows;
  return {
    name: 'draining',
    unit: 'windows/s',
    ours: (windows * 1000) / (performance.now() - startMs),
    better: 'more',
    target: '≥ 20 000',
    cpuUs: (after.cpuUs - before.cpuUs) / windows,
    rssBytes: after.rssBytes,
    note: `${Math.round(writtenBytes)} B written to disk a window`,
  };
}
