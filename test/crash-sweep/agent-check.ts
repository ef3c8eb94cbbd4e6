/**
 * What must be true of a gateway after a disturbed day: opens what is left, finishes the day, and holds the outcome against
 * a batch computation over the readings that shares no code with the gateway's. Returns what is wrong, in words.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { imbalance } from '../../agent/books.js';
import { type Batch, decodeBatch } from '../../shared/batch.js';
import { mergeAll } from '../../shared/summary.js';
import type { WindowSummary } from '../../shared/window.js';
import { MESSAGES, type ScriptReading, truth } from './agent-script.js';
import { Gateway } from './gateway.js';
import { compareMetric, groupBy } from './oracle.js';

/** Longer than the reading from the future is ahead, less what is allowed. */
const HELD_SECONDS = 330;
/** What was acknowledged so lately is in windows that are not forgotten, `HELD_SECONDS` later either. */
const FRESH_SECONDS = 250;
const LAST_SECOND = 1220;
const ROUNDS = 10;
const DAY_MS = 86_400_000;

const inWords = (_: string, value: unknown) =>
  typeof value === 'bigint' ? `${value}n` : value instanceof Map ? [...value] : value;

export async function checkAgent(dir: string, lines: readonly string[]): Promise<string[]> {
  const before = new Transcript(lines);
  const after: string[] = [];
  const gateway = new Gateway(dir, (line) => after.push(line));
  const wrong: string[] = [];
  await gateway.step({ do: 'clock', seconds: before.seconds }); // it went on meanwhile
  await gateway.open();
  wrong.push(...balanced(gateway, 'after the restart'));
  await gateway.deliver(MESSAGES.filter(({ index }) => !before.acknowledged.has(index)));
  await finish(gateway, before, wrong);
  const { books } = gateway.pipeline;
  await gateway.step({ do: 'restart' });
  if (JSON.stringify(gateway.pipeline.books) !== JSON.stringify(books))
    wrong.push(`a calm restart changed the books: ${JSON.stringify(books)}, ${JSON.stringify(gateway.pipeline.books)}`);
  await gateway.close();
  wrong.push(...integrity(join(dir, 'edgetally.db')));
  wrong.push(...after.filter((line) => line.startsWith('fault') || line.startsWith('nak')));
  wrong.push(...checkCloud(before, new Transcript(after)));
  return wrong;
}

/** Time passes until everything is in the cloud, with some acknowledged readings sent again meanwhile. */
async function finish(gateway: Gateway, before: Transcript, wrong: string[]): Promise<void> {
  const distinct = truth().length;
  const expect = (what: string) => {
    const { counted, held } = gateway.pipeline.books;
    if (counted + held !== distinct) wrong.push(`${what}: ${counted} counted, ${held} held, of ${distinct}`);
  };
  // enough to release what may be held twice, not enough to forget what is fresh
  const seconds = before.seconds + HELD_SECONDS;
  await gateway.step({ do: 'clock', seconds });
  await gateway.step({ do: 'tick' });
  expect('everything has come');
  const fresh = (index: number) =>
    (before.acknowledged.get(index) ?? Number.NEGATIVE_INFINITY) > before.seconds - FRESH_SECONDS;
  await gateway.deliver(MESSAGES.filter(({ index }) => fresh(index)));
  expect('sent again');
  for (let round = 0; round <= ROUNDS; round++) {
    await gateway.step({ do: 'clock', seconds: Math.max(seconds, LAST_SECOND) + round * 400 });
    await gateway.step({ do: 'tick' });
    await gateway.step({ do: 'receipts' });
    const { buffer, openWindows, books } = gateway.pipeline;
    if (buffer.windows.backlogState().windows === 0 && openWindows === 0 && books.held === 0) break;
    if (round === ROUNDS) wrong.push(`not settled: ${openWindows} windows open, ${books.held} held`);
  }
  expect('at the end');
  const { books } = gateway.pipeline;
  const junk = MESSAGES.filter(({ reading }) => reading === undefined).length;
  if ((books.rejected['not-json'] ?? 0) < junk) wrong.push('a rejected message is not in the books');
  if (books.in < MESSAGES.length) wrong.push(`in: ${books.in} of ${MESSAGES.length} messages`);
  wrong.push(...balanced(gateway, 'at the end'));
}

function balanced(gateway: Gateway, when: string): string[] {
  const { books } = gateway.pipeline;
  return imbalance(books) === 0 ? [] : [`the books do not balance ${when}: ${JSON.stringify(books)}`];
}

export function integrity(path: string): string[] {
  const db = new Database(path, { readonly: true });
  const found = db.pragma('integrity_check', { simple: true });
  db.close();
  return found === 'ok' ? [] : [`${path}: ${String(found)}`];
}

/** What a run printed. */
class Transcript {
  /** When each was acknowledged first, s. */
  readonly acknowledged = new Map<number, number>();
  readonly sent: Batch[] = [];
  /** session/sequence */
  readonly receipted = new Set<string>();
  seconds = 0;

  constructor(lines: readonly string[]) {
    for (const line of lines) {
      const [word, a = '', b = '', c = ''] = line.split(' ');
      if (word === 'ack') this.acknowledged.set(Number(a), this.seconds);
      else if (word === 'clock') this.seconds = Number(a);
      else if (word === 'receipt') this.receipted.add(`${a}/${b}`);
      else if (word === 'sent') {
        const decoded = decodeBatch(Buffer.from(c, 'base64'));
        if (!decoded.ok) throw new Error(`an unreadable batch was sent: ${decoded.detail}`);
        this.sent.push(decoded.batch);
      }
    }
  }
}

/** Whatever of the batches without a receipt arrived: the cloud comes to the same in the end. */
function checkCloud(before: Transcript, after: Transcript): string[] {
  const committed = before.sent.filter(({ session, sequence }) => before.receipted.has(`${session}/${sequence}`));
  return [
    ...reused([...before.sent, ...after.sent]),
    ...compare(new Cloud([...committed, ...after.sent])).map(
      (problem) => `only what has a receipt arrived: ${problem}`,
    ),
    ...compare(new Cloud([...before.sent, ...after.sent])).map((problem) => `all that was sent arrived: ${problem}`),
    ...compare(new Cloud([...after.sent, ...before.sent])).map((problem) => `the old arrived last: ${problem}`),
  ];
}

/** A revision of a window, and a sequence of a session, is one content for ever. */
function reused(batches: readonly Batch[]): string[] {
  const wrong: string[] = [];
  const contents = new Map<string, string>();
  const once = (name: string, content: string) => {
    const known = contents.get(name);
    if (known !== undefined && known !== content) wrong.push(`${name} has two contents: ${known} and ${content}`);
    contents.set(name, content);
  };
  for (const { epoch, session, sequence, windows } of batches) {
    once(`batch ${session}/${sequence}`, JSON.stringify(windows, inWords));
    once('the database', epoch);
    for (const window of windows) {
      const { device, startMs, lengthMs, part, revision } = window;
      once(`revision ${device}/${startMs}/${lengthMs}/${part}/${revision}`, JSON.stringify(window, inWords));
    }
  }
  return wrong;
}

/** Keeps the highest revision of each window, and the greatest ledger entry. */
class Cloud {
  readonly windows = new Map<string, WindowSummary>();
  readonly ledger = new Map<string, number>();

  constructor(batches: readonly Batch[]) {
    for (const { windows, ledger } of batches) {
      for (const window of windows) {
        const key = `${window.device}/${window.startMs}/${window.lengthMs}/${window.part}`;
        if ((this.windows.get(key)?.revision ?? 0) < window.revision) this.windows.set(key, window);
      }
      for (const { device, dayMs, readings } of ledger) {
        const key = `${device}/${dayMs}`;
        this.ledger.set(key, Math.max(this.ledger.get(key) ?? 0, readings));
      }
    }
  }
}

function compare({ windows, ledger }: Cloud): string[] {
  const wrong: string[] = [];
  const parts = groupBy([...windows.values()], ({ device, startMs, lengthMs }) => `${device}/${startMs}/${lengthMs}`);
  const left = new Set(truth());
  for (const [key, list] of parts) {
    const readings = [...left].filter((reading) => isIn(reading, list[0]!));
    for (const reading of readings) left.delete(reading);
    const count = list.reduce((sum, part) => sum + part.readings, 0);
    if (count !== readings.length) wrong.push(`window ${key} holds ${count} readings of ${readings.length}`);
    for (const [i, metric] of ['x', 'y'].entries()) {
      const summaries = list.flatMap(({ metrics }) => metrics.get(metric) ?? []);
      const observed = readings.map(({ timeUs, values }) => ({ timeUs, value: values[i]! }));
      wrong.push(...compareMetric(mergeAll(summaries), observed).map((problem) => `${key}/${metric}: ${problem}`));
    }
  }
  if (left.size > 0) wrong.push(`${left.size} readings are in no window (or windows overlap)`);
  for (const [key, list] of groupBy(truth(), ({ device, timeUs }) => `${device}/${floorDay(timeUs)}`)) {
    if (ledger.get(key) !== list.length) wrong.push(`ledger ${key}: ${ledger.get(key)} of ${list.length}`);
  }
  return wrong;
}

function isIn({ device, timeUs }: ScriptReading, window: WindowSummary): boolean {
  const startUs = window.startMs * 1000;
  return device === window.device && timeUs >= startUs && timeUs < startUs + window.lengthMs * 1000;
}

function floorDay(timeUs: number): number {
  return Math.floor(timeUs / (DAY_MS * 1000)) * DAY_MS;
}
