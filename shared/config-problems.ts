/** Turns what zod found into what a person needs: the key, what was found, what was expected. */

import type { z } from 'zod';
import { EXAMPLES } from './config-fields.js';
import { nearest, type Path } from './config-normalize.js';
import { defOf, fieldOf, isRecord, keysOf, tagsOf } from './config-schema.js';

export interface Finding {
  readonly path: Path;
  readonly got: string;
  readonly expected: string;
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section with keys',
  record: 'a section with keys',
};

/** `['accept', 'sources', 0, 'url']` → `accept.sources[0].url`. */
export function keyText(path: Path): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : index === 0 ? step : `.${step}`)).join('');
}

export function problemsOf(issues: readonly z.core.$ZodIssue[], schema: z.ZodType, value: unknown): Finding[] {
  return issues.flatMap((issue) => findingsOf(issue, [], schema, value));
}

function findingsOf(issue: z.core.$ZodIssue, base: Path, schema: z.ZodType, value: unknown): Finding[] {
  const path: Path = [...base, ...(issue.path as (string | number)[])];
  if (issue.code === 'unrecognized_keys') return []; // reported while normalizing, with a suggestion
  if (issue.code === 'invalid_union') {
    const tags = 'discriminator' in issue ? tagsAt(schema, path) : [];
    if (tags.length > 0) return [{ ...found(value, path, schema), expected: choice(tags, valueAt(value, path)) }];
    const nested = closestMember(issue.errors, valueAt(value, path));
    if (nested !== undefined) return nested.flatMap((inner) => findingsOf(inner, path, schema, value));
  }
  return [{ ...found(value, path, schema), expected: expectedOf(issue, valueAt(value, path), schema, path) }];
}

/** Of a union's members, the one whose complaints lie deepest: that is the one the person was writing. */
function closestMember(
  errors: readonly (readonly z.core.$ZodIssue[])[],
  value: unknown,
): readonly z.core.$ZodIssue[] | undefined {
  if (!isRecord(value) && !Array.isArray(value)) return undefined;
  const inside = errors.filter((issues) => issues.length > 0 && issues.every((issue) => issue.path.length > 0));
  return inside.sort((a, b) => a.length - b.length)[0];
}

function found(value: unknown, path: Path, schema: z.ZodType): { path: Path; got: string } {
  const at = valueAt(value, path);
  const secret = fieldAt(schema, path)?.meta.secret ?? /password|secret|passphrase|token/i.test(keyText(path));
  if (at === undefined) return { path, got: 'nothing' };
  if (secret) return { path, got: 'a value that is not shown' };
  if (isRecord(at)) return { path, got: 'a section with keys' };
  if (Array.isArray(at)) return { path, got: at.length === 0 ? 'an empty list' : 'a list' };
  const text = JSON.stringify(at) ?? String(at);
  return { path, got: text.length > 60 ? `${text.slice(0, 57)}…` : text };
}

function expectedOf(issue: z.core.$ZodIssue, at: unknown, schema: z.ZodType, path: Path): string {
  switch (issue.code) {
    case 'invalid_type':
      return kindText(issue.expected, at, schema, path);
    case 'invalid_value':
      return choice(issue.values, at);
    case 'too_small':
      return `${bound(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    case 'too_big':
      return `${bound(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_format':
      if (issue.format === 'url') return 'a URL';
      if (!issue.message.startsWith('Invalid')) return issue.message.replace(/^expected /, '');
      return `text of the form ${issue.pattern ?? issue.format}`;
    case 'invalid_union':
      return unionText(at, schema, path) ?? issue.message;
    default:
      return issue.message;
  }
}

function kindText(expected: string, at: unknown, schema: z.ZodType, path: Path): string {
  const kind = KINDS[expected] ?? expected;
  if (at !== undefined) return kind;
  const description = fieldAt(schema, path)?.description;
  return `${kind}, this key is required${description === undefined ? '' : ` (${description})`}`;
}

function bound(origin: string, comparison: string, limit: number | bigint): string {
  if (origin === 'string') return `${comparison} ${limit} character${limit === 1 ? '' : 's'}`;
  if (origin === 'array' || origin === 'set') return `${comparison} ${limit} entr${limit === 1 ? 'y' : 'ies'}`;
  return `${comparison} ${limit}`;
}

function choice(tags: readonly unknown[], at: unknown): string {
  const names = tags.map(String);
  const near = typeof at === 'string' ? nearest(at, names) : undefined;
  const list = names.length === 1 ? names[0]! : `one of ${names.join(', ')}`;
  return near === undefined ? list : `${list} (did you mean ${near}?)`;
}

function unionText(at: unknown, schema: z.ZodType, path: Path): string | undefined {
  const field = fieldAt(schema, path);
  if (field === undefined) return undefined;
  const { kind } = field.meta;
  const def = field.core._zod.def;
  if (kind === undefined && def.type !== 'union') return undefined;
  const tags = def.type === 'union' ? def.options.flatMap(tagsOf) : [];
  const text = kind !== undefined ? EXAMPLES[kind] : tags.length > 0 ? choice(tags, at) : kindsOf(def);
  return at === undefined ? `${text}, this key is required` : text;
}

function kindsOf(def: z.core.$ZodTypeDef): string {
  const options = 'options' in def ? (def.options as z.core.$ZodType[]) : [];
  return [
    ...new Set(options.map((option) => fieldOf(option).core._zod.def.type).map((type) => KINDS[type] ?? type)),
  ].join(' or ');
}

/** The tags of a discriminated union; the path ends in the discriminator. */
function tagsAt(schema: z.ZodType, path: Path): unknown[] {
  const def = fieldAt(schema, path.slice(0, -1))?.core._zod.def;
  if (def?.type !== 'union') return [];
  return def.options.flatMap((option) => tagsOf(keysOf(fieldOf(option).core)?.[path.at(-1) as string]));
}

function fieldAt(schema: z.core.$ZodType, path: Path) {
  let at: z.core.$ZodType | undefined = schema;
  for (const step of path) {
    const { core } = fieldOf(at);
    const def = core._zod.def;
    if (def.type === 'array') at = def.element;
    else if (def.type === 'record') at = def.valueType;
    else if (def.type === 'union') at = stepIntoUnion(core, step);
    else at = keysOf(core)?.[step as string];
    if (at === undefined) return undefined;
  }
  return fieldOf(at);
}

function stepIntoUnion(core: z.core.$ZodType, step: string | number): z.core.$ZodType | undefined {
  const def = defOf(core);
  if (def.type !== 'union') return undefined;
  for (const option of def.options) {
    const child = keysOf(fieldOf(option).core)?.[step as string];
    if (child !== undefined) return child;
  }
  return undefined;
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = Object.hasOwn(at, step) ? (at as Record<string | number, unknown>)[step] : undefined;
  }
  return at;
}
