/** The status as a person reads it. Pure. */
import { imbalance, sumReasons } from './books.js';
import type { AgentStatus } from './status.js';

const SAMPLES_SHOWN = 5;

export function statusText(status: AgentStatus): string {
  return [
    ...head(status),
    ...link(status),
    ...backlog(status),
    ...books(status),
    ...status.sources.map((source) => row(`source ${source.name}`, `${source.state}, ${source.detail}`)),
    ...quarantine(status),
  ].join('\n');
}

function head(status: AgentStatus): string[] {
  const since = status.startedMs === null ? 'stopped' : `running for ${age(status.timeMs - status.startedMs)}`;
  return [
    row('gateway', `${status.gateway}, ${since}, version ${status.version}`),
    row('epoch', status.epoch),
    row(
      'disk',
      `${bytes(status.disk.bytes)} of ${bytes(status.disk.maxBytes)}, journal ${bytes(status.disk.journalBytes)}`,
    ),
  ];
}

function link({ push, running, timeMs }: AgentStatus): string[] {
  if (push === null)
    return [row('link', running ? 'none: no uplink is configured' : 'unknown: the agent is not running')];
  const { link, lastReceiptMs, counters } = push;
  const receipt = lastReceiptMs === null ? 'none since the start' : `${age(timeMs - lastReceiptMs)} ago`;
  const lines = [
    row('link', `${link.state}${link.problem === undefined ? '' : `: ${link.problem}`}`),
    row('last receipt', receipt),
    row('batches', `${counters.sent} sent, ${push.inFlight} without a receipt, ${counters.expired} sent again`),
  ];
  if (push.setAside > 0) lines.push(row('refused', `${push.setAside} windows set aside: ${push.lastRejection}`));
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
  if (rejected > 0) lines.push(row('rejected', reasons(books.rejected)));
  if (sumReasons(books.coarsened) > 0)
    lines.push(row('coarsened', `${reasons(books.coarsened)} (windows, to save room)`));
  if (sumReasons(books.values) > 0) lines.push(row('values left out', reasons(books.values)));
  if (status.refused > 0) lines.push(row('not stored', `${status.refused}, not acknowledged`));
  return lines;
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
