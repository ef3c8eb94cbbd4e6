/**
 * What may be asked of a store, by path: each question takes the options of the command of that name as parameters, and its answer is the same
 * bytes. Knows nothing of HTTP.
 */
import { formatReport, lossLine } from '../report/formats.js';
import { formatGateways, listGateways } from '../report/gateways.js';
import { formatLosses, listLosses } from '../report/losses.js';
import { parseLosses, parseQuery, parseReconcile } from '../report/query.js';
import { reconcile, verdictOf } from '../report/reconcile.js';
import { formatReconciliation } from '../report/reconcile-formats.js';
import { runReport } from '../report/report.js';
import type { SnapshotStore } from '../store/store.js';

export type AnswerFormat = 'csv' | 'json';

export interface Asked {
  readonly store: SnapshotStore;
  /** By the names of the options, without the dashes; only names that the question knows. */
  readonly given: Readonly<Record<string, string | undefined>>;
  readonly format: AnswerFormat;
  readonly nowMs: number;
}

export interface Answer {
  readonly text: string;
  /** For people, where the format has no place for it. */
  readonly notes: readonly string[];
}

export interface Question {
  /** Names of options, beside `format`. */
  readonly parameters: readonly string[];
  answer(asked: Asked): Promise<Answer>;
}

const RANGE = ['from', 'to'];
const PLACE = ['gateway', 'group', 'device'];

export const QUESTIONS: Readonly<Record<string, Question>> = {
  report: {
    parameters: [...RANGE, 'group-by', 'metrics', ...PLACE, 'tz'],
    async answer({ store, given, format, nowMs }) {
      const report = await runReport(store, parseQuery({ ...given, groupBy: given['group-by'] }, nowMs));
      const losses = format === 'csv' ? lossLine(report) : undefined;
      return {
        text: formatReport(report, format),
        notes: [...report.notes, ...(losses === undefined ? [] : [losses])],
      };
    },
  },
  losses: {
    parameters: [...RANGE, ...PLACE],
    async answer({ store, given, format, nowMs }) {
      const query = parseLosses(given, nowMs);
      return { text: formatLosses(await listLosses(store, query), query, format), notes: [] };
    },
  },
  reconcile: {
    parameters: [...RANGE, 'gateway', 'max-silence'],
    async answer({ store, given, format, nowMs }) {
      const result = await reconcile(store, parseReconcile({ ...given, maxSilence: given['max-silence'] }, nowMs));
      const { notes, differences, unknowns } = result;
      const text = formatReconciliation(result, format);
      return { text, notes: [`verdict: ${verdictOf(result)}`, ...differences, ...unknowns, ...notes] };
    },
  },
  gateways: {
    parameters: [],
    async answer({ store, format, nowMs }) {
      return { text: formatGateways(await listGateways(store, nowMs), format, nowMs), notes: [] };
    },
  },
};
