/**
 * From what a file holds to what its schema asks for, before zod judges it: numbers and booleans that arrive as text
 * (environment, Greengrass) become themselves, bare words stay text where text is wanted, a section with all its keys commented out
 * counts as left out, and every unknown key is reported with the key that was probably meant.
 */

import type { z } from 'zod';
import { defOf, fieldOf, isRecord, keysOf, memberFor, tagsOf } from './config-schema.js';

export type Path = readonly (string | number)[];

export interface UnknownKey {
  readonly path: Path;
  readonly suggestion: string | undefined;
  readonly allowed: readonly string[];
}

type SourceAt = (path: Path) => string | undefined;

/** `sourceAt` gives the characters that the file has at a path, so that `password: 007` stays 007. */
export function normalize(
  schema: z.core.$ZodType,
  value: unknown,
  sourceAt: SourceAt,
): { value: unknown; unknown: UnknownKey[] } {
  const unknown: UnknownKey[] = [];
  return { value: walk(schema, value, [], { sourceAt, unknown }), unknown };
}

interface Walk {
  readonly sourceAt: SourceAt;
  /** Grows. */
  readonly unknown: UnknownKey[];
}

function walk(at: z.core.$ZodType, given: unknown, path: Path, state: Walk): unknown {
  const { core } = fieldOf(at);
  const def = core._zod.def;
  switch (def.type) {
    case 'object':
      return isRecord(given) ? walkObject(core, given, path, state) : given;
    case 'array':
      return Array.isArray(given) ? given.map((item, i) => walk(def.element, item, [...path, i], state)) : given;
    case 'record':
      if (!isRecord(given)) return given;
      return Object.fromEntries(
        Object.entries(given).map(([key, item]) => [key, walk(def.valueType, item, [...path, key], state)]),
      );
    case 'union': {
      const member = memberFor(core, given);
      return member === undefined ? matchingTag(def.options.flatMap(tagsOf), given) : walk(member, given, path, state);
    }
    case 'number':
    case 'boolean':
      return fromText(def.type, given);
    case 'string':
      return typeof given === 'number' || typeof given === 'boolean' ? (state.sourceAt(path) ?? String(given)) : given;
    case 'enum':
    case 'literal':
      return matchingTag(tagsOf(core), given);
    default:
      return given;
  }
}

function walkObject(core: z.core.$ZodType, given: Record<string, unknown>, path: Path, state: Walk) {
  const shape = keysOf(core)!;
  const allowed = Object.keys(shape);
  const result: [string, unknown][] = [];
  for (const [key, item] of Object.entries(given)) {
    const known = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (known !== undefined) {
      if (item !== null || fieldAllowsNull(known)) result.push([key, walk(known, item, [...path, key], state)]);
    } else if (isOpen(core)) result.push([key, item]);
    else state.unknown.push({ path: [...path, key], suggestion: nearest(key, allowed), allowed });
  }
  for (const [key, child] of Object.entries(shape)) {
    const field = fieldOf(child);
    if (given[key] != null || field.optional || keysOf(field.core) === undefined) continue;
    result.push([key, walk(child, {}, [...path, key], state)]); // so that each key it needs is named
  }
  return Object.fromEntries(result);
}

/** Takes keys that it does not name. */
function isOpen(core: z.core.$ZodType): boolean {
  const def = defOf(core);
  return def.type === 'object' && def.catchall !== undefined && defOf(def.catchall).type !== 'never';
}

function fieldAllowsNull(schema: z.core.$ZodType): boolean {
  return (schema as z.ZodType).safeParse(null).success;
}

function fromText(type: 'number' | 'boolean', given: unknown): unknown {
  if (typeof given !== 'string') return given;
  const text = given.trim();
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : given;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : given;
}

/** `protocol: 5` and `protocol: "5"` mean the same where the choices are 4 and 5. */
function matchingTag(tags: readonly unknown[], given: unknown): unknown {
  if (tags.includes(given) || (typeof given !== 'string' && typeof given !== 'number')) return given;
  return tags.find((tag) => String(tag) === String(given)) ?? given;
}

/** The candidate that a typing slip most likely meant. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, '');
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(plain(word), plain(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
