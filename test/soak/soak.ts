/**
 * A soak from its beginning to its balance sheet: sensors publish while everything goes wrong, then everything is mended,
 * and what the cloud reports is held against a batch computation over what was acknowledged.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentStatus } from '../../agent/status.js';
import { compare } from '../../demo/oracle-compare.js';
import { balanceTable, type GatewayAccount, imbalances } from './balance.js';
import { type FaultLog, harass } from './faults.js';
import { growth, type Health, healthOf, healthTable } from './health.js';
import { type Key, Truth } from './oracle.js';
import type { Published } from './publish.js';
import type { Gateway, Stage } from './stage.js';

export interface Outcome {
  readonly lines: readonly string[];
  /** What does not agree; empty where the soak is passed. */
  readonly wrong: readonly string[];
}

const GROUPINGS: readonly (readonly Key[])[] = [['gateway', 'device', 'day'], ['gateway'], []];
const START_MS = 60_000;
const SETTLE_MS = 300_000;
/** Longer than a window, and than the clock needs to catch up with readings that are ahead of it. */
const CALM_MS = 40_000;
const POLL_MS = 500;
/** After a disk was full, a program may be found ended this much later. */
const AFTERMATH_MS = 15_000;

export async function soak(stage: Stage, say: (text: string) => void): Promise<Outcome> {
  stage.start();
  for (const gateway of stage.gateways) await listening(stage, gateway);
  const over = new AbortController();
  const faults = harass(stage, over.signal, say);
  const recordPath = join(stage.dir, 'acknowledged.csv');
  const published = publish(stage, recordPath, say);
  try {
    await Promise.race([published, sleep(stage.plan.minutes * 60_000)]);
  } finally {
    over.abort();
  }
  const log = await faults;
  say('all is mended; waiting for acknowledgements');
  const sensors = await within(SETTLE_MS, published, 'the sensors have no acknowledgement for everything they sent');
  say('everything is acknowledged; the backlog drains');
  const statuses = await Promise.all(stage.gateways.map((gateway, i) => settled(stage, gateway, sensors[i]!)));
  const accounts = await Promise.all(statuses.map((status, i) => account(stage, sensors[i]!, status, i)));
  const reports = await compareReports(stage, recordPath);
  const health = stage.processes.map(({ name, vitalsPath }) => healthOf(name, linesOf(vitalsPath)));
  const wrong = [
    ...imbalances(accounts),
    ...accounts.flatMap(({ findings }) => findings),
    ...reports.differences,
    ...unasked(stage, log),
    ...health.flatMap((one) => growth(one) ?? []),
  ];
  return { wrong, lines: [...sheet(stage, accounts, log, health), reports.summary] };
}

/** From then on a broker of somebody else's keeps what the agent is not there to take. */
async function listening(stage: Stage, gateway: Gateway): Promise<void> {
  const endMs = Date.now() + START_MS;
  while ((await stage.status(gateway))?.sources[0]?.state !== 'up') {
    if (Date.now() > endMs)
      throw new Error(`${gateway.plan.name} takes no readings:\n${gateway.agent.lines.join('\n')}`);
    await sleep(POLL_MS);
  }
}

/** The sensors, to their end. */
function publish(stage: Stage, recordPath: string, say: (text: string) => void): Promise<readonly Published[]> {
  const job = {
    plan: { ...stage.plan, startMs: Date.now() },
    ports: stage.gateways.map(({ sensorPort }) => sensorPort),
    recordPath,
  };
  const script = join(import.meta.dirname, 'publish.js');
  const child = spawn(process.execPath, [script, JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  process.once('exit', () => child.kill('SIGKILL'));
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the sensors ended with ${code}`)));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const said = JSON.parse(line) as { published?: readonly Published[] };
      if (said.published === undefined) say(`acknowledged: ${line}`);
      else resolve(said.published);
    });
  });
}

async function within<T>(ms: number, promise: Promise<T>, otherwise: string): Promise<T> {
  const late = new AbortController();
  const deadline = sleep(ms, undefined, { signal: late.signal }).then(() => Promise.reject(new Error(otherwise)));
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    deadline.catch(() => undefined);
    late.abort();
  }
}

/** Until everything that came is committed in the cloud; where some never came, until nothing has changed for a while. */
async function settled(stage: Stage, gateway: Gateway, { distinct }: Published): Promise<AgentStatus> {
  const endMs = Date.now() + SETTLE_MS;
  let calm = { books: '', sinceMs: 0 };
  for (;;) {
    const status = await stage.status(gateway);
    const books = JSON.stringify(status?.books);
    if (books !== calm.books) calm = { books, sinceMs: Date.now() };
    if (status?.backlog.windows === 0 && status.openWindows === 0) {
      if (status.books.counted >= (distinct.counted ?? 0)) return status;
      if (Date.now() - calm.sinceMs > CALM_MS) return status;
    }
    if (Date.now() > endMs) {
      const last = [...gateway.agent.lines, 'the cloud:', ...stage.cloud.lines].join('\n');
      throw new Error(`${gateway.plan.name} does not settle: ${JSON.stringify(status)}\n${last}`);
    }
    await sleep(POLL_MS);
  }
}

/** What `edgetally-cloud reconcile` says, asked until it has heard the last status. */
async function account(stage: Stage, published: Published, { books }: AgentStatus, index: number) {
  const { name, source } = stage.gateways[index]!.plan;
  const endMs = Date.now() + 30_000;
  for (;;) {
    const { stdout, stderr, code } = await stage.ask('reconcile', '--gateway', name, '--format', 'json');
    if (code !== 0 && Date.now() < endMs) {
      await sleep(POLL_MS);
      continue;
    }
    const { rows } = JSON.parse(stdout) as { rows: { counted: number; arrived: number }[] };
    const sum = (of: 'counted' | 'arrived') => rows.reduce((total, row) => total + row[of], 0);
    const findings = code === 0 ? [] : [`reconcile of ${name} ends with ${code}: ${stderr.trim()}`];
    const both = { arrived: sum('arrived'), counted: sum('counted') };
    return { published, books, seen: source === 'broker', findings, deviceDays: rows.length, ...both };
  }
}

async function compareReports(stage: Stage, recordPath: string) {
  const truth = await Truth.of(recordPath);
  const differences: string[] = [];
  let compared = 0;
  for (const keys of GROUPINGS) {
    const groupBy = keys.length === 0 ? 'all' : keys.join(',');
    const { stdout, stderr, code } = await stage.ask('report', '--group-by', groupBy, '--format', 'json');
    if (code !== 0) throw new Error(`the report failed: ${stderr}`);
    const result = compare(stdout, await truth.rows(keys), keys);
    compared += result.compared;
    differences.push(...result.differences);
  }
  const values = compared.toLocaleString('en');
  const readings = truth.readings.toLocaleString('en');
  const verdict = differences.length === 0 ? 'all equal' : `${differences.length} differ`;
  return {
    differences,
    summary: `${values} values of reports, by gateway, device and day, held against a batch job over ${readings} readings: ${verdict}`,
  };
}

/** Ends of programs that nobody asked for, but on a full disk. */
function unasked(stage: Stage, { diskFull }: FaultLog): string[] {
  return stage.processes
    .flatMap(({ ends }) => ends)
    .filter(({ atMs }) => !diskFull.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs + AFTERMATH_MS))
    .map(({ name, how, lines }) => `${name} ended by itself (${how}):\n    ${lines.slice(-4).join('\n    ')}`);
}

function sheet(stage: Stage, accounts: readonly GatewayAccount[], log: FaultLog, health: readonly Health[]): string[] {
  const { passed, dropped, doubled, delayed } = stage.meddler.counters;
  const sizes = [
    ...stage.gateways.map(({ plan, data }) => `${plan.name} ${size(join(data, 'edgetally.db'))}`),
    `cloud ${size(stage.database)}`,
  ];
  return [
    ...balanceTable(accounts),
    '',
    ...healthTable(health),
    '',
    `databases: ${sizes.join(', ')}`,
    `publishes on the way to the cloud and back: ${passed} passed by, ${dropped} dropped, ${doubled} doubled, ${delayed} delayed`,
    ...Object.entries(log.counts).map(([what, count]) => `${String(count).padStart(4)} × ${what}`),
    ...stage.processes.map(
      ({ name, starts, ends }) => `${name}: started ${starts} times, ended by itself ${ends.length} times`,
    ),
    '',
  ];
}

/** With its log. */
function size(path: string): string {
  const bytes = [path, `${path}-wal`].reduce(
    (sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

function linesOf(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
}
