/**
 * Environment overrides: `EDGETALLY_PUSH_MAX_IN_FLIGHT` stands for `push.maxInFlight`, and
 * `EDGETALLY_ACCEPT_SOURCES_0_URL` for the first source's `url`. Every variable with the prefix must name a key; an
 * empty one counts as not set.
 */
import { parse } from 'yaml';
import type { z } from 'zod';
import { nearest, type Path } from './config-normalize.js';
import { defOf, fieldOf, isRecord, keysOf } from './config-schema.js';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Override {
  readonly variable: string;
  readonly path: Path;
  readonly value: unknown;
}

export interface UnknownVariable {
  readonly variable: string;
  readonly suggestion: string | undefined;
}

/** `ignored` names variables and (with a trailing `_`) prefixes that belong to something else. */
export function readOverrides(
  schema: z.core.$ZodType,
  env: Environment,
  prefix: string,
  ignored: readonly string[] = [],
): { overrides: Override[]; unknown: UnknownVariable[] } {
  const overrides: Override[] = [];
  const unknown: UnknownVariable[] = [];
  for (const [variable, text] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!variable.startsWith(`${prefix}_`) || text === undefined || text === '') continue;
    if (ignored.some((name) => (name.endsWith('_') ? variable.startsWith(name) : variable === name))) continue;
    const found = findPath(schema, variable.slice(prefix.length + 1));
    if (found === undefined) {
      const plain = variable.slice(prefix.length + 1).replaceAll(/\d+(?=_|$)/g, '0');
      const near = nearest(plain, variableNames(schema));
      unknown.push({ variable, suggestion: near === undefined ? undefined : `${prefix}_${near}` });
    } else overrides.push({ variable, path: found.path, value: scalar(found.schema, text) });
  }
  return { overrides, unknown };
}

/** `maxInFlight` → `MAX_IN_FLIGHT`. */
export function variableWord(key: string): string {
  return key
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toUpperCase();
}

/** A copy of `value` with the override in place. */
export function applyOverride(value: unknown, path: Path, leaf: unknown): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return leaf;
  if (typeof head === 'number') {
    const items: unknown[] = Array.isArray(value) ? [...value] : [];
    items[head] = applyOverride(items[head], rest, leaf);
    return items;
  }
  const record = isRecord(value) ? value : {};
  return { ...record, [head]: applyOverride(record[head], rest, leaf) };
}

interface Target {
  readonly path: Path;
  readonly schema: z.core.$ZodType;
}

function findPath(schema: z.core.$ZodType, rest: string): Target | undefined {
  for (const [key, word, child] of stepsOf(schema, rest)) {
    if (rest === word) return { path: [key], schema: child };
    if (!rest.startsWith(`${word}_`)) continue;
    const deeper = findPath(child, rest.slice(word.length + 1));
    if (deeper !== undefined) return { path: [key, ...deeper.path], schema: deeper.schema };
  }
  return undefined;
}

/** One step into a schema: the key, how a variable spells it, and the schema behind it. */
function* stepsOf(schema: z.core.$ZodType, rest: string): Generator<[string | number, string, z.core.$ZodType]> {
  const { core } = fieldOf(schema);
  const def = core._zod.def;
  if (def.type === 'union') {
    for (const member of def.options) yield* stepsOf(member, rest);
  } else if (def.type === 'array') {
    const index = /^\d{1,3}(?=_|$)/.exec(rest)?.[0];
    if (index !== undefined) yield [Number(index), index, def.element];
  } else {
    for (const [key, child] of Object.entries(keysOf(core) ?? {})) yield [key, variableWord(key), child];
  }
}

/** Text stays as it is where text is wanted; anything else is read as YAML (`60`, `true`, `[a, b]`). */
function scalar(schema: z.core.$ZodType, text: string): unknown {
  if (defOf(fieldOf(schema).core).type === 'string') return text;
  try {
    return parse(text) as unknown;
  } catch {
    return text;
  }
}

function variableNames(schema: z.core.$ZodType): string[] {
  return [...stepsOf(schema, '0')].flatMap(([, word, child]) => [
    word,
    ...variableNames(child).map((name) => `${word}_${name}`),
  ]);
}
