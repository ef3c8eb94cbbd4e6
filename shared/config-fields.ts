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

/** A length of time. The value is a whole number of ms, within `minMs` and `maxMs`. */
export function duration(bounds: { minMs?: number; maxMs?: number } = {}) {
  const { minMs = 0, maxMs = Number.MAX_SAFE_INTEGER } = bounds;
  return z
    .union([z.string(), z.number()])
    .transform((input, context) => {
      const ms = parseDuration(input);
      if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
      context.addIssue({ code: 'custom', message: `a duration such as 250ms, 10s, 5m, 1h${limits(bounds)}` });
      return z.NEVER;
    })
    .meta({ kind: 'duration' } satisfies FieldMeta);

  function limits(given: { minMs?: number; maxMs?: number }): string {
    const least = given.minMs === undefined ? '' : `, at least ${formatDuration(given.minMs)}`;
    return given.maxMs === undefined ? least : `${least}, at most ${formatDuration(given.maxMs)}`;
  }
}

/** A number of bytes, within `minBytes` and `maxBytes`. */
export function byteSize(bounds: { minBytes?: number; maxBytes?: number } = {}) {
  const { minBytes = 0, maxBytes = Number.MAX_SAFE_INTEGER } = bounds;
  return z
    .union([z.string(), z.number()])
    .transform((input, context) => {
      const bytes = parseByteSize(input);
      if (bytes !== undefined && bytes >= minBytes && bytes <= maxBytes) return bytes;
      context.addIssue({ code: 'custom', message: `a size such as 512KiB, 64MB, 1GiB${limits(bounds)}` });
      return z.NEVER;
    })
    .meta({ kind: 'size' } satisfies FieldMeta);

  function limits(given: { minBytes?: number; maxBytes?: number }): string {
    const least = given.minBytes === undefined ? '' : `, at least ${formatByteSize(given.minBytes)}`;
    return given.maxBytes === undefined ? least : `${least}, at most ${formatByteSize(given.maxBytes)}`;
  }
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
