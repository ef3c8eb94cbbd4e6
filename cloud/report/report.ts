/**
 * Runs a report: reads what the plan says from one snapshot, merges it by keys, and works the statistics out once, at the
 * end. Reads whole days and hours from roll-ups where these are up to date; the rows are the same either way.
 *
 * Never: statistics over different metrics, a sum of doubles.
 */
import { type MetricSummary, mergeAll, type Statistics, statisticsOf } from '../../shared/summary.js';
import type { LossRow } from '../store/accounts.js';
import { collect, gather } from '../store/gather.js';
import {
  DAY_MS,
  floorTo,
  HOUR_MS,
  type Portion,
  type Snapshot,
  type SnapshotStore,
  type Subject,
} from '../store/store.js';
import { ordered } from './loss-rows.js';
import { type Piece, planReport, type ReportPlan, type Stretch } from './plan.js';
import { BEGINNING_MS, END_MS, type GroupKey, type ReportQuery, wholeDays } from './query.js';
import { spanText } from './span-text.js';

export interface ReportRow extends Statistics {
  /** Parallel to the query's keys. */
  readonly keys: readonly string[];
  readonly metric: string;
  /**
   * Readings that arrived ÷ readings that the gateways counted, over the UTC days that the row's time has part in and all
   * devices of its other keys, whatever their metrics; undefined where no gateway told a number.
   */
  readonly completeness: number | undefined;
  /** The two numbers of it. */
  readonly arrived: number;
  readonly counted: number;
  /**
   * Length of the longest window, where it reaches beyond the row's hour, local day or end of the range: part of what is
   * here may belong elsewhere.
   */
  readonly blurMs: number | undefined;
}

export interface Report {
  readonly query: ReportQuery;
  readonly rows: readonly ReportRow[];
  /** What the reader should know, for people. */
  readonly notes: readonly string[];
  /** What the gateways lost, left out or put aside on the UTC days of the range, by the day it arrived; in no row. */
  readonly losses: readonly LossRow[];
}

export async function runReport(store: SnapshotStore, query: ReportQuery): Promise<Report> {
  return store.read(async (snapshot) => {
    const plan = planReport(query, await snapshot.days(daysAround(query)));
    const cells = new Cells(query, plan);
    for (const stretch of plan.stretches) await readStretch(snapshot, query, plan, stretch, cells);
    for (const span of plan.coverage) {
      const level = { scope: plan.scope, resolution: 'day' } as const;
      for await (const page of gather(snapshot, level, { span, where: query.where, metrics: 'none' })) {
        for (const portion of page) cells.cover(portion);
      }
    }
    const rows = cells.rows();
    const losses = ordered(await snapshot.losses(wholeDays(query.span), query.where));
    return {
      query,
      rows,
      notes: [...cells.notes(), ...blurNotes(query, rows), ...forgottenNotes(snapshot, plan)],
      losses,
    };
  });
}

/** Where parts of hours are asked for of which only the whole is kept. */
function forgottenNotes({ windowsSinceMs = Number.NEGATIVE_INFINITY }: Snapshot, { stretches }: ReportPlan): string[] {
  if (!stretches.some(({ resolution, fromMs }) => resolution === 'window' && fromMs < windowsSinceMs)) return [];
  const since = new Date(windowsSinceMs).toISOString();
  return [
    `before ${since} only whole UTC hours are kept: what is in parts of them is left out, or counts where its hour starts`,
  ];
}

function blurNotes({ keys }: ReportQuery, rows: readonly ReportRow[]): string[] {
  const blurred = rows.filter(({ blurMs }) => blurMs !== undefined);
  if (blurred.length === 0) return [];
  const longest = spanText(Math.max(...blurred.map(({ blurMs }) => blurMs!)));
  const where = keys.includes('hour') ? 'later hours' : keys.includes('day') ? 'the next local day' : 'other times';
  const what = `${blurred.length} of ${rows.length} rows hold windows of up to ${longest} (column blur)`;
  return [`${what}: they count where they start, and part of what is in them may belong to ${where}`];
}

/** Windows up to this length lie within one row, if they begin in it. */
function resolutionOf({ keys, span, timeZone }: ReportQuery): number {
  const onDays = [span.fromMs, span.toMs].every((ms) => ms === BEGINNING_MS || ms === END_MS || ms % DAY_MS === 0);
  if (keys.includes('hour')) return HOUR_MS;
  return timeZone === 'UTC' && onDays ? DAY_MS : keys.includes('day') || !onDays ? HOUR_MS : DAY_MS;
}

function daysAround({ span }: ReportQuery) {
  return { fromMs: floorTo(span.fromMs, DAY_MS), toMs: span.toMs };
}

async function readStretch(snapshot: Snapshot, query: ReportQuery, plan: ReportPlan, stretch: Stretch, cells: Cells) {
  const { resolution, pieces } = stretch;
  const ask = { span: stretch, where: query.where, metrics: query.metrics };
  const pages =
    resolution === 'window' ? snapshot.windows(ask) : gather(snapshot, { scope: plan.scope, resolution }, ask);
  let piece = pieces[0]!;
  for await (const page of pages) {
    for (const portion of page) {
      if (portion.startMs < piece.fromMs || portion.startMs >= piece.toMs) {
        const found = pieceAt(pieces, portion.startMs);
        if (found === undefined) continue;
        piece = found;
      }
      cells.add(portion, piece.bucket);
      if (resolution === 'day' || resolution === 'month') cells.cover(portion);
    }
  }
}

function pieceAt(pieces: readonly Piece[], ms: number): Piece | undefined {
  let [low, high] = [0, pieces.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (pieces[middle]!.fromMs <= ms) low = middle;
    else high = middle;
  }
  const piece = pieces[low]!;
  return ms >= piece.fromMs && ms < piece.toMs ? piece : undefined;
}

/** What shares all keys but the metric. */
interface Cell {
  readonly bucket: number;
  readonly subjects: Set<Subject>;
  readonly metrics: Map<string, MetricSummary[]>;
  readings: number;
  counted: number;
  longestMs: number;
}

class Cells {
  readonly #query: ReportQuery;
  readonly #plan: ReportPlan;
  /** By bucket, then by the text of the subject's keys. */
  readonly #cells: Map<string, Cell>[];
  readonly #keyOf = new Map<Subject, string>();

  constructor(query: ReportQuery, plan: ReportPlan) {
    this.#query = query;
    this.#plan = plan;
    this.#cells = plan.buckets.map(() => new Map());
  }

  add({ subject, metrics, longestMs }: Portion, bucket: number): void {
    if (metrics.size === 0) return;
    const cell = this.#cell(subject, bucket);
    cell.subjects.add(subject);
    if (longestMs > cell.longestMs) cell.longestMs = longestMs;
    for (const [metric, summary] of metrics) {
      const list = cell.metrics.get(metric);
      if (list === undefined) cell.metrics.set(metric, [summary]);
      else collect(list, summary);
    }
  }

  /** Counts readings of a day or month towards the completeness of every bucket that has part in it. */
  cover({ subject, startMs, readings, counted }: Portion): void {
    for (const bucket of this.#plan.bucketsOfDay.get(floorTo(startMs, DAY_MS)) ?? []) {
      const cell = this.#cell(subject, bucket);
      cell.readings += readings;
      cell.counted += counted;
    }
  }

  rows(): ReportRow[] {
    const resolutionMs = resolutionOf(this.#query);
    const rows: { order: readonly (string | number)[]; row: ReportRow }[] = [];
    for (const cells of this.#cells) {
      for (const { bucket, subjects, metrics, readings: arrived, counted, longestMs } of cells.values()) {
        const [subject] = subjects;
        if (subject === undefined) continue;
        const keys = this.#query.keys.map((key) => this.#value(key, subject, bucket));
        const order = this.#query.keys.map((key, i) => (key === 'day' || key === 'hour' ? bucket : keys[i]!));
        const completeness = counted === 0 ? undefined : Math.min(1, arrived / counted);
        const blurMs = longestMs > resolutionMs ? longestMs : undefined;
        const about = { completeness, arrived, counted, blurMs };
        for (const [metric, list] of metrics) {
          const row = { keys, metric, ...statisticsOf(mergeAll(list)), ...about };
          rows.push({ order: [...order, metric], row });
        }
      }
    }
    return rows.sort((a, b) => compare(a.order, b.order)).map(({ row }) => row);
  }

  notes(): string[] {
    const { keys, metrics } = this.#query;
    const notes: string[] = [];
    const cells = this.#cells.flatMap((byKey) => [...byKey.values()]);
    if (keys.includes('device')) {
      const mixed = cells.filter(({ subjects }) => subjects.size > 1).map(({ subjects }) => [...subjects][0]!.device!);
      const [first] = mixed.sort();
      if (first !== undefined) {
        const what = `device ${JSON.stringify(first)} is a name in more than one group or gateway`;
        notes.push(`${what}; --group-by gateway,group,device tells them apart`);
      }
    }
    if (metrics !== 'all') {
      const found = new Set(cells.flatMap((cell) => [...cell.metrics.keys()]));
      for (const metric of metrics) {
        if (!found.has(metric)) notes.push(`there are no readings of metric ${JSON.stringify(metric)}`);
      }
    }
    return notes;
  }

  #value(key: GroupKey, subject: Subject, bucket: number): string {
    return key === 'day' || key === 'hour' ? this.#plan.buckets[bucket]![key] : subject[key]!;
  }

  #cell(subject: Subject, bucket: number): Cell {
    let key = this.#keyOf.get(subject);
    if (key === undefined) {
      const subjectKeys = this.#query.keys.filter((name) => name !== 'day' && name !== 'hour');
      key = JSON.stringify(subjectKeys.map((name) => subject[name as keyof Subject]));
      this.#keyOf.set(subject, key);
    }
    let cell = this.#cells[bucket]!.get(key);
    if (cell === undefined) {
      cell = { bucket, subjects: new Set(), metrics: new Map(), readings: 0, counted: 0, longestMs: 0 };
      this.#cells[bucket]!.set(key, cell);
    }
    return cell;
  }
}

/** Text by UTF-16 code units, buckets by time. */
function compare(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  for (const [i, left] of a.entries()) {
    const right = b[i]!;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
