/** The status as a person reads it. Pure. */
import { imbalance, sumReasons } from './books.js';
import type { Transport } from './push/link.js';
import type { AgentStatus } from './status.js';
import { doubtText } from './time/time-keeper.js';

const SAMPLES_SHOWN = 5;
const TRANSPORTS: Readonly<Record<Transport, string>> = { mqtt: 'MQTT', https: 'HTTPS', nucleus: 'the nucleus' };
/** A receipt that is owed for longer is worth a word. */
const NOTABLE_MS = 10_000;

export function statusText(status: AgentStatus): string {
  return [
    ...head(status),
    ...link(status),
    ...certificate(status),
    ...backlog(status),
    ...refusedWindows(status),
    ...books(status),
    ...status.sources.map((source) => row(`source ${source.name}`, `${source.state}, ${source.detail}`)),
    ...quarantine(status),
  ].join('\n');
}

function head(status: AgentStatus): string[] {
  const since = status.runningMs === null ? 'stopped' : `running for ${age(status.runningMs)}`;
  return [
    row('gateway', `${status.gateway}, ${since}, version ${status.version}`),
    row('epoch', status.epoch),
    ...clock(status),
    row(
      'disk',
      `${bytes(status.disk.bytes)} of ${bytes(status.disk.maxBytes)}, journal ${bytes(status.disk.journalBytes)}`,
    ),
    ...(status.disk.inMemory ? [row('', 'IN MEMORY: a power cut takes what has no receipt yet')] : []),
    ...writes(status),
  ];
}

/** For those who ask how long their SD card lasts. */
function writes({ writes }: AgentStatus): string[] {
  if (writes === null || writes.bytesPerDay === null) return [];
  const { overMs, bytesPerReading, bytesPerDay, commits } = writes;
  const each = bytesPerReading === null ? 'no readings' : `${bytes(Math.round(bytesPerReading))} a reading`;
  return [
    row(
      'written',
      `${each}, ${bytes(Math.round(bytesPerDay))} a day, as of the last ${age(overMs)}; ${commits} commits`,
    ),
  ];
}

function clock({ clock, timeMs }: AgentStatus): string[] {
  if (clock === null || clock.doubt === null) return [];
  const newest = clock.newestMs === null ? '' : `, newest time seen ${new Date(clock.newestMs).toISOString()}`;
  return [row('clock', `NOT BELIEVED: ${doubtText(clock.doubt)}; it says ${new Date(timeMs).toISOString()}${newest}`)];
}

function link({ push, running }: AgentStatus): string[] {
  if (push === null)
    return [row('link', running ? 'none: no uplink is configured' : 'unknown: the agent is not running')];
  const { link, receiptAgeMs, silentMs, credit, counters } = push;
  const { sent, expired, newSockets = 0, newClients = 0 } = counters;
  const receipt = receiptAgeMs === null ? 'none since the start' : `${age(receiptAgeMs)} ago`;
  const owed = silentMs < NOTABLE_MS ? '' : `, one is owed for ${age(silentMs)}`;
  const renewed = newSockets + newClients;
  const lines = [
    row('link', `${TRANSPORTS[link.transport]} ${link.state}${link.problem === undefined ? '' : `: ${link.problem}`}`),
    ...(link.because === undefined ? [] : [row('', link.because)]),
    row('last receipt', receipt + owed),
    row('batches', `${sent} sent, ${push.inFlight} without a receipt, ${expired} sent again`),
  ];
  if (push.postedWindows > 0) lines.push(row('', `${push.postedWindows} windows went by HTTPS and wait for a receipt`));
  if (renewed > 0) lines.push(row('watchdog', `${renewed} links were up and brought no receipt, and were replaced`));
  if (credit !== null) lines.push(row('credit', `${Math.round(credit)} windows of the backlog a second`));
  return lines;
}

function certificate({ certificate: state, timeMs }: AgentStatus): string[] {
  if (state === null) return [];
  const { certificate, trial, confirmedMs, rolledBack, renewAtMs, problem } = state;
  const lines = [];
  if (certificate !== null) {
    const since = confirmedMs === null ? '' : `, trusted for ${age(timeMs - confirmedMs)}`;
    lines.push(row('certificate', `${expiry(certificate.notAfterMs, timeMs)}${since}`));
    if (renewAtMs !== null) lines.push(row('', `the next one is asked for from ${new Date(renewAtMs).toISOString()}`));
  }
  if (trial !== null) lines.push(row('', `a new one is on trial, ${expiry(trial.notAfterMs, timeMs)}`));
  if (rolledBack > 0) lines.push(row('', `${rolledBack} new ones did not work and were taken back`));
  if (problem !== null) lines.push(row('', `no new one: ${printable(problem, 300)}`));
  return lines;
}

function expiry(atMs: number, timeMs: number): string {
  const date = new Date(atMs).toISOString();
  return atMs <= timeMs ? `EXPIRED on ${date}` : `good until ${date}, for ${age(atMs - timeMs)}`;
}

/** `timeMs` and `atMs` are of the wall clock. */
function refusedWindows({ refusedWindows, timeMs }: AgentStatus): string[] {
  const { byReason, latest } = refusedWindows;
  const windows = sumReasons(byReason);
  if (windows === 0) return [];
  const lines = [row('refused', `${windows} windows are kept that cannot be delivered: ${reasons(byReason)}`)];
  for (const { group, device, startMs, lengthMs, reason, detail, atMs } of latest.slice(0, SAMPLES_SHOWN)) {
    const what = `${printable(`${group}/${device}`, 60)}, ${age(lengthMs)} from ${new Date(startMs).toISOString()}`;
    lines.push(row('', `${what}: ${reason} ${age(timeMs - atMs)} ago, ${printable(detail, 90)}`));
  }
  return lines;
}

function backlog({ backlog, openWindows, timeMs }: AgentStatus): string[] {
  const oldest = backlog.oldestMs === null ? '' : `, oldest ${age(timeMs - backlog.oldestMs)} old`;
  return [row('backlog', `${backlog.windows} windows, ${bytes(backlog.bytes)}${oldest}; ${openWindows} windows open`)];
}

function books(status: AgentStatus): string[] {
  const { books } = status;
  const rejected = sumReasons(books.rejected);
  const difference = imbalance(books);
  const balance = difference === 0 ? 'balances' : `DOES NOT BALANCE by ${difference}`;
  const lines = [
    row(
      'readings',
      `${books.in} in = ${books.counted} counted + ${books.duplicate} duplicate + ${rejected} rejected + ${books.held} held (${balance})`,
    ),
  ];
  const { future, undated } = status.held;
  if (books.held > 0) lines.push(row('held', heldText(future, undated)));
  if (books.estimated > 0) lines.push(row('time estimated', `${books.estimated} of those counted: ${ESTIMATED}`));
  if (rejected > 0) lines.push(row('rejected', reasons(books.rejected)));
  if (sumReasons(books.coarsened) > 0)
    lines.push(row('coarsened', `${reasons(books.coarsened)} (windows, to save room)`));
  if (sumReasons(books.values) > 0) lines.push(row('values left out', reasons(books.values)));
  if (sumReasons(status.damaged) > 0)
    lines.push(row('damaged', `${reasons(status.damaged)} (rows that changed on the disk, set aside): check the disk`));
  lines.push(...salvaged(status));
  if (status.refused > 0) lines.push(row('not stored', `${status.refused}, not acknowledged`));
  return lines;
}

/** With the files that are still there, for somebody to keep or to delete. */
function salvaged({ salvaged, setAside, timeMs }: AgentStatus): string[] {
  return [
    ...salvaged
      .slice(-SAMPLES_SHOWN)
      .flatMap(({ atMs, reason, kept, lost }) => [
        row('salvaged', `${age(timeMs - atMs)} ago, ${reason}: kept ${reasons(kept) || 'nothing'}`),
        row('', `lost ${reasons(lost) || 'nothing that is known of'}`),
      ]),
    ...setAside.map(({ file, bytes: size }) => row('set aside', `${file}, ${bytes(size)}`)),
  ];
}

const ESTIMATED = 'they brought no time, and the machine was restarted before its clock was set';

function heldText(future: number, undated: number): string {
  const texts = [];
  if (undated > 0) texts.push(`${undated} without a time of their own, until the clock is set`);
  if (future > 0) texts.push(`${future} from the future, until their time comes`);
  return texts.join('; ');
}

function quarantine({ quarantine, timeMs }: AgentStatus): string[] {
  return quarantine
    .slice(0, SAMPLES_SHOWN)
    .flatMap((sample) => [
      row(
        'quarantine',
        `${sample.reason} ${age(timeMs - sample.atMs)} ago on ${printable(sample.topic, 60)}: ${sample.detail}`,
      ),
      row('', printable(sample.payload, 90)),
    ]);
}

function reasons(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ');
}

function row(label: string, text: string): string {
  return `${label.padEnd(16)} ${text}`;
}

/** Whatever a sensor sent must not reach the terminal raw. */
function printable(text: string, length: number): string {
  const clean = text.replaceAll(/\p{C}/gu, '·');
  return clean.length > length ? `${clean.slice(0, length)}…` : clean;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

export function age(ms: number): string {
  for (const [unit, length] of UNITS) if (ms >= 2 * length) return `${Math.floor(ms / length)} ${unit}`;
  return ms >= 1000 ? '1 s' : `${Math.max(0, Math.round(ms))} ms`;
}

export function bytes(count: number): string {
  if (count < 10_000) return `${count} B`;
  return count < 10_000_000 ? `${Math.round(count / 1000)} kB` : `${Math.round(count / 1_000_000)} MB`;
}
