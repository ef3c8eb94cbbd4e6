/**
 * The cloud side as it runs, behind a real broker. At saturation: how many metric summaries a second it commits, with
 * receipts, while the roll-ups are computed beside. Steadily: 50,000 sensors behind 250 gateways, four readings a second each of five
 * metrics, in windows of a minute: whether the lag stays flat, and how long it takes from PUBLISH to receipt. What has a
 * receipt is committed, and a report that begins then holds it.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSqliteReader } from '../cloud/store/sqlite/store.js';
import { LEVELS, type Snapshot } from '../cloud/store/store.js';
import type { Figure, Stage } from './figures.js';
import { median } from './figures.js';
import { type FleetRig, startFleet } from './fleet-rig.js';

const METRICS = 5;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const FLOOD = { gateways: 20, devices: 200, minutes: 30, inFlight: 2 };
const STEADY = { gateways: 250, devices: 200 };
/** BENCH_SECONDS makes it longer; a stage has three minutes without. */
const SECONDS = Number(process.env.BENCH_SECONDS ?? 60);
const READINGS_PER_SENSOR = 4;

export const fleet: Stage = {
  name: 'fleet',
  about: 'the cloud as it runs, behind Mosquitto, with simulated gateways',
  ci: false,
  async run({ dir }) {
    return [...(await inDirectory(dir, 'flood', FLOOD, flood)), ...(await inDirectory(dir, 'steady', STEADY, steady))];
  },
};

async function inDirectory(
  dir: string,
  name: string,
  size: { readonly gateways: number; readonly devices: number },
  measure: (rig: FleetRig) => Promise<Figure[]>,
): Promise<Figure[]> {
  mkdirSync(join(dir, name));
  const rig = await startFleet(join(dir, name), size);
  try {
    return await measure(rig);
  } finally {
    await rig.stop();
  }
}

async function flood(rig: FleetRig): Promise<Figure[]> {
  const { minutes, inFlight } = FLOOD;
  const fromMs = Date.now() - (Date.now() % DAY_MS) - 3 * DAY_MS;
  await rig.ask({ kind: 'flood', fromMs, minutes: 5, inFlight }); // warms up
  const before = await rig.cloud.usage();
  const done = await rig.ask({ kind: 'flood', fromMs: fromMs + DAY_MS, minutes, inFlight });
  const after = await rig.cloud.usage();
  const settledSeconds = await untilRolledUp(rig.database);
  const settled = await rig.cloud.usage();
  const summaries = done.windows * METRICS;
  return [
    {
      name: 'saturated: metric summaries with receipts, roll-ups beside',
      unit: '1/s',
      ours: summaries / done.seconds,
      better: 'more',
      target: '≥ 150 000',
      cpuUs: (after.cpuUs - before.cpuUs) / summaries,
      rssBytes: after.rssBytes,
      note: `${(done.bytes / summaries).toFixed(1)} B each; the gateways took ${(done.cpuShare * 100).toFixed(0)} % of a core`,
    },
    {
      name: 'the same, until no roll-up of what is over is stale',
      unit: '1/s',
      ours: summaries / (done.seconds + settledSeconds),
      better: 'more',
      target: '≥ 150 000',
      cpuUs: (settled.cpuUs - before.cpuUs) / summaries,
      rssBytes: settled.rssBytes,
      note: `${settledSeconds.toFixed(1)} s after the last receipt`,
    },
  ];
}

/** Seconds. */
async function untilRolledUp(database: string): Promise<number> {
  const startMs = performance.now();
  const reader = openSqliteReader(database);
  while (await reader.read(isStale)) await sleep(20);
  await reader.close();
  return (performance.now() - startMs) / 1000;
}

async function isStale(snapshot: Snapshot): Promise<boolean> {
  const query = { staleSinceMs: Number.MAX_SAFE_INTEGER, overByMs: Date.now(), limit: 1 };
  for (const level of LEVELS) if ((await snapshot.due(level, query)).length > 0) return true;
  return false;
}

async function steady(rig: FleetRig): Promise<Figure[]> {
  const before = await rig.cloud.usage();
  const done = await rig.ask({ kind: 'steady', seconds: SECONDS });
  const after = await rig.cloud.usage();
  const nextMs = Math.ceil(Date.now() / MINUTE_MS) * MINUTE_MS;
  const together = await rig.ask({ kind: 'flood', fromMs: nextMs, minutes: 1, inFlight: 1 });
  const readings = (done.windows * 60 * READINGS_PER_SENSOR * METRICS) / SECONDS;
  const third = Math.floor(done.lagMs.length / 3);
  const [early, late] = [median(done.lagMs.slice(0, third)), median(done.lagMs.slice(-third))];
  const sensors = STEADY.gateways * STEADY.devices;
  return [
    { name: `${sensors} sensors: metric readings`, unit: '1/s', ours: readings, better: 'more', target: '1 000 000' },
    {
      name: 'publish → committed and reportable, p99',
      unit: 'ms',
      ours: done.p99Ms,
      better: 'less',
      target: '< 2 000',
      rssBytes: after.rssBytes,
      note: `p50 ${done.p50Ms.toFixed(0)} ms; ${(((after.cpuUs - before.cpuUs) / SECONDS) * 1e-4).toFixed(0)} % of a core`,
    },
    {
      name: 'the same where all gateways send in one moment, p99',
      unit: 'ms',
      ours: together.p99Ms,
      better: 'less',
      note: `p50 ${together.p50Ms.toFixed(0)} ms`,
    },
    {
      name: 'lag, last third',
      unit: 'ms',
      ours: late,
      better: 'less',
      target: 'flat',
      note: `first third ${early} ms, most ${Math.max(...done.lagMs)} ms, over ${SECONDS} s`,
    },
  ];
}
