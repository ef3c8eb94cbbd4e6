/**
 * The kinds of value that only a configuration has: lengths of time and sizes with a unit, and the version of the file
 * itself. Each reads what a person writes and gives what the program counts in (ms, bytes).
 */
import { z } from 'zod';

/** What a schema may say about itself with `.meta()`, beside zod's own `description`. */
export interface FieldMeta {
  /** How the reference names and formats the value. */
  readonly kind?: 'duration' | 'size';
  /** Never shown in a message. */
  readonly secret?: boolean;
  /** On the `version` key: the newest version that this program reads. */
  readonly newestVersion?: number;
}

const TIME_UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_UNITS = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
} as const;

/** What a length of time or a size looks like, for messages. */
export const EXAMPLES = {
  duration: 'a duration such as 250ms, 10s, 5m, 1h',
  size: 'a size such as 512KiB, 64MB, 1GiB',
};

/** Milliseconds of `250ms`, `10s`, `5m`, `1h`, `1d`, `1h30m` or a plain number of ms; undefined if it is none of them. */
export function parseDuration(text: string | number): number | undefined {
  if (typeof text === 'number') return wholeAndSafe(text);
  const plain = text.trim();
  if (/^\d+$/.test(plain)) return wholeAndSafe(Number(plain));
  if (!/^(\d+(\.\d+)?\s*(ms|s|m|h|d)\s*)+$/.test(plain)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of plain.matchAll(/(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)/g)) {
    totalMs += Number(amount) * TIME_UNITS_MS[unit as keyof typeof TIME_UNITS_MS];
  }
  return wholeAndSafe(Math.round(totalMs));
}

/** Bytes of `64MB`, `1.5 GiB`, `512kB` or a plain number; undefined if it is none of them. */
export function parseByteSize(text: string | number): number | undefined {
  if (typeof text === 'number') return wholeAndSafe(text);
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) return undefined;
  const unit = (match[2] === '' ? 'b' : match[2]!.toLowerCase()) as keyof typeof SIZE_UNITS;
  const factor = Object.hasOwn(SIZE_UNITS, unit) ? SIZE_UNITS[unit] : undefined;
  return factor === undefined ? undefined : wholeAndSafe(Math.round(Number(match[1]) * factor));
}

/** The shortest exact way to write a number of milliseconds: 300000 → `5m`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms > 0 && ms % TIME_UNITS_MS[unit] === 0) return `${ms / TIME_UNITS_MS[unit]}${unit}`;
  }
  return `${ms}ms`;
}

/** The shortest exact way to write a number of bytes: 262144 → `256KiB`. */
export function formatByteSize(bytes: number): string {
  const units = ['TiB', 'TB', 'GiB', 'GB', 'MiB', 'MB', 'KiB', 'kB'] as const;
  for (const unit of units) {
    const factor = SIZE_UNITS[unit.toLowerCase() as keyof typeof SIZE_UNITS];
    if (bytes > 0 && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return `${bytes}B`;
}

/** A length of time within bounds. The value is a whole number of ms. */
export function durationBetween(minMs: number, maxMs: number) {
  return measure('duration', parseDuration, minMs, maxMs, (limit) => formatDuration(limit));
}

/** A number of bytes within bounds. */
export function byteSizeBetween(minBytes: number, maxBytes: number) {
  return measure('size', parseByteSize, minBytes, maxBytes, (limit) => formatByteSize(limit));
}

/** Any length of time, in whole ms. */
export const duration = durationBetween(0, Number.MAX_SAFE_INTEGER);

/** Any number of bytes. */
export const byteSize = byteSizeBetween(0, Number.MAX_SAFE_INTEGER);

function measure(
  kind: 'duration' | 'size',
  parse: (input: string | number) => number | undefined,
  min: number,
  max: number,
  format: (limit: number) => string,
) {
  const least = min > 0 ? `, at least ${format(min)}` : '';
  const expected = `${EXAMPLES[kind]}${least}${max < Number.MAX_SAFE_INTEGER ? `, at most ${format(max)}` : ''}`;
  return z
    .union([z.string(), z.number()])
    .transform((input, context) => {
      const value = parse(input);
      if (value !== undefined && value >= min && value <= max) return value;
      context.addIssue({ code: 'custom', message: expected });
      return z.NEVER;
    })
    .meta({ kind } satisfies FieldMeta);
}

/** The `version` key of a file: a newer one is refused before anything else is said about the file. */
export function configVersion(newest: number) {
  return z
    .number()
    .int()
    .min(1)
    .max(newest)
    .default(newest)
    .meta({ newestVersion: newest } satisfies FieldMeta);
}

function wholeAndSafe(value: number): number | undefined {
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
