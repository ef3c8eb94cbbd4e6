/** What a salvage could read and what it could not, as it is kept in the database and shown by `status`. */
import { z } from 'zod';
import type { Meta } from '../meta.js';

const rows = z.record(z.string(), z.number());

const reportSchema = z.object({
  /** When the damage was found, by the system clock. */
  atMs: z.number(),
  /** What was set aside. */
  file: z.string(),
  reason: z.string(),
  /** Undefined where neither the database nor the file beside it told the old one. */
  epoch: z.enum(['kept', 'new']),
  books: z.enum(['kept', 'new']),
  /** Rows, by table. */
  kept: rows,
  /** Rows and pages that could not be read or not be believed, by table. */
  lost: rows,
  /** The first of them, in words. */
  details: z.array(z.string()),
});

export type SalvageReport = Readonly<z.infer<typeof reportSchema>>;

const KEY = 'salvaged';
const MAX_REPORTS = 20;
const MAX_DETAILS = 20;

/** The latest last. */
export function readReports(meta: Meta): SalvageReport[] {
  return z.array(reportSchema).parse(JSON.parse(meta.text(KEY) ?? '[]'));
}

export function addReport(meta: Meta, report: SalvageReport): void {
  meta.set(KEY, JSON.stringify([...readReports(meta), report].slice(-MAX_REPORTS)));
}

/** Gathers what happens to the rows of a salvage. */
export class Tally {
  readonly kept: Record<string, number> = {};
  readonly lost: Record<string, number> = {};
  readonly details: string[] = [];

  keep(table: string): void {
    this.kept[table] = (this.kept[table] ?? 0) + 1;
  }

  lose(table: string, detail: string, count = 1): void {
    this.lost[table] = (this.lost[table] ?? 0) + count;
    if (this.details.length < MAX_DETAILS) this.details.push(`${table}: ${detail}`);
  }
}
