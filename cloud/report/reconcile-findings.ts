/**
 * What a reconciliation says in words: in what edge and cloud differ, what cannot be told, and what is worth knowing. Pure.
 *
 * Compared is what the gateway has closed: readings in windows that still gather are named in a note, or a range with today
 * would be different once a minute.
 */

import { END_MS } from './query.js';
import type { EpochAccount, Explanation, Reconciliation } from './reconcile.js';
import { restoredOf } from './restored.js';
import { spanText } from './span-text.js';

type Account = Omit<Reconciliation, 'differences' | 'unknowns' | 'notes'>;

/** Device-days that a sentence names; all of them are among the rows. */
const NAMED = 5;

const REASONS: Readonly<Record<Explanation, string>> = {
  backlog: 'the gateway’s backlog reaches back to them: they are sent again when the link allows',
  newer: 'the gateway counted these after its last status; ask again after the next one',
  surplus: 'more arrived than the gateway has told of',
  none: 'the gateway’s backlog does not explain them',
};

/** Why edge and cloud are known to differ. */
export function differencesOf(account: Account): string[] {
  const { epochs } = account;
  return [
    ...(['none', 'surplus', 'backlog'] as const).flatMap((explanation) => deviceDays(account, explanation)),
    ...epochs.flatMap((epoch) => untold(account, epoch)),
    ...stoppedInMidWindow(account),
    ...epochs.filter(({ imbalance }) => imbalance !== 0).map(unbalanced),
  ];
}

/** Why it cannot be told whether they do. */
export function unknownsOf(account: Account): string[] {
  return [
    ...deviceDays(account, 'newer'),
    ...account.epochs.flatMap((epoch) => untoldByOlder(account, epoch)),
    ...quiet(account),
  ];
}

function deviceDays({ rows }: Account, explanation: Explanation): string[] {
  const found = rows.filter((row) => row.explanation === explanation);
  if (found.length === 0) return [];
  const readings = found.reduce((sum, { difference }) => sum + Math.abs(difference), 0);
  const named = found.slice(0, NAMED).map(({ group, device, dayMs, difference }) => {
    const who = group === '' ? device : `${group}/${device}`;
    return `${who} on ${new Date(dayMs).toISOString().slice(0, 10)} (${difference})`;
  });
  const more = found.length > NAMED ? ` and ${found.length - NAMED} more` : '';
  const what = `${of(found.length, 'device-day')} of ${rows.length} differ by ${of(readings, 'reading')}`;
  return [`${what}, ${REASONS[explanation]}: ${named.join(', ')}${more}`];
}

/** Counted by the status of the gateway, in no ledger entry and in no open window: nobody knows for which device-days. */
function untold({ query }: Account, { untold, untoldFromMs, status, epoch }: EpochAccount): string[] {
  if (status?.open === undefined || query.span.toMs <= untoldFromMs) return [];
  const waiting = untold - status.open.readings;
  if (waiting <= 0) return [];
  return [`${came(waiting, status.sentMs, epoch)}: they are in its backlog of ${of(status.backlog.windows, 'window')}`];
}

/** An older agent does not tell of open windows, so they may be all there is to it. */
function untoldByOlder({ query }: Account, { untold, untoldFromMs, status, epoch }: EpochAccount): string[] {
  if (untold === 0 || status === undefined || status.open !== undefined) return [];
  if (query.span.toMs <= untoldFromMs) return [];
  const { windows } = status.backlog;
  const where =
    windows > 0 ? `its backlog of ${of(windows, 'window')}, or in windows still open` : 'windows still open';
  return [`${came(untold, status.sentMs, epoch)}: they are in ${where}`];
}

function came(readings: number, sentMs: number, epoch: string): string {
  const what = `${of(readings, 'reading')} that the gateway had counted at ${iso(sentMs)}`;
  return `${what} came with no batch yet (epoch ${short(epoch)})`;
}

/** Nothing closes these windows until the gateway is started again. */
function stoppedInMidWindow({ query, gateway: { status } }: Account): string[] {
  if (status?.final !== true || !isIn(query.span, status.open)) return [];
  const what = `${of(status.open!.readings, 'reading')} in ${of(status.open!.windows, 'window')} still open`;
  return [`the gateway was stopped with ${what}: they are sent when it is started again`];
}

/** Up to when the gateway was heard; what it counted since is not known here. */
function quiet({ query, gateway }: Account): string[] {
  const { nowMs, maxSilenceMs, span } = query;
  const { seenMs, status } = gateway;
  if (status?.final === true) return [];
  const since = seenMs === 0 ? 'never' : `${spanText(Math.max(0, nowMs - seenMs))} ago`;
  const offline = status?.state === 'offline';
  if (Math.min(span.toMs, nowMs) <= seenMs || !(offline || nowMs - seenMs > maxSilenceMs)) return [];
  const why = offline ? 'the gateway is offline' : 'the gateway is quiet';
  return [`${why}, last heard ${since}: what it counted since is not known here`];
}

function unbalanced({ epoch, imbalance }: EpochAccount): string {
  return `the gateway’s own books do not balance by ${of(imbalance, 'reading')} (epoch ${short(epoch)})`;
}

export function notesOf({ query, rows, gateway, epochs }: Account): string[] {
  const notes: string[] = [];
  if (rows.length === 0) notes.push('there are no device-days of this gateway in the range');
  const { status } = gateway;
  if (status === undefined) {
    notes.push('no status of this gateway is known, so neither are its books and its backlog');
  }
  if (status?.final === true) notes.push(`the gateway was stopped on purpose at ${iso(status.sentMs)}`);
  else if (isIn(query.span, status?.open)) {
    const { readings, windows } = status!.open!;
    const what = `${of(readings, 'reading')} in ${of(windows, 'window')} that were still open at ${iso(status!.sentMs)}`;
    notes.push(`${what} are not compared: they are sent when their windows close`);
  }
  const left = epochs.filter(({ epoch, status }) => status && status.backlog.windows > 0 && epoch !== present(gateway));
  for (const { epoch, status } of left) {
    const what = `${of(status!.backlog.windows, 'window')} of epoch ${short(epoch)} had no receipt when it was last heard`;
    notes.push(`${what}; the gateway reports from another database now`);
  }
  for (const { epoch, opening } of restoredOf(epochs)) {
    const what = `the gateway was restored from an older copy of its database (epoch ${short(epoch)}, opening ${opening})`;
    notes.push(`${what}: what only the lost one had is not here, and both told the ledger of epoch ${short(epoch)}`);
  }
  const missing = epochs.flatMap(({ batches }) => batches).reduce((sum, session) => sum + session.missing, 0);
  if (missing > 0) {
    const what = `${of(missing, 'batch', 'batches')} did not arrive under the number it was sent with`;
    notes.push(
      `${what}: what has no receipt is sent again under a new one, so this tells of the link, not of readings`,
    );
  }
  if (gateway.rejected > 0) {
    notes.push(`${of(gateway.rejected, 'message')} of this gateway could not be used; they are kept in quarantine`);
  }
  if (query.span.toMs > query.nowMs && query.span.toMs < END_MS) notes.push('the range is not over yet');
  return notes;
}

function isIn(
  { toMs }: Account['query']['span'],
  open: { readings: number; oldestMs: number | null } | undefined,
): boolean {
  return open !== undefined && open.readings > 0 && open.oldestMs !== null && open.oldestMs < toMs;
}

function present({ status, epochs }: Account['gateway']): string | undefined {
  return status?.epoch ?? epochs.at(-1)?.epoch;
}

export function of(count: number, one: string, many = `${one}s`): string {
  return `${count} ${Math.abs(count) === 1 ? one : many}`;
}

/** Eight digits tell epochs apart. */
export function short(epoch: string): string {
  return epoch.slice(0, 8);
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
