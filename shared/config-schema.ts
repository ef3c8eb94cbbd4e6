/**
 * Looking into a zod schema: which keys it has, what they default to, how they are described. The loader, the
 * environment overrides and the reference all read the schema through this file, so that a schema says everything once.
 */
import type { z } from 'zod';
import type { FieldMeta } from './config-fields.js';

type Def = z.core.$ZodTypes['_zod']['def'];

/** A schema without its wrappers, and what the wrappers said. */
export interface Field {
  readonly core: z.core.$ZodTypes;
  readonly description: string | undefined;
  readonly meta: FieldMeta;
  /** No value is needed. */
  readonly optional: boolean;
  /** The default as it would be written in a file; undefined where there is none. */
  readonly defaultValue: unknown;
}

export function defOf(schema: z.core.$ZodType): Def {
  return (schema as z.core.$ZodTypes)._zod.def;
}

/** Strips `.default()`, `.optional()`, `.transform()` and the like. The outermost description and default win. */
export function fieldOf(schema: z.core.$ZodType): Field {
  let description: string | undefined;
  let meta: FieldMeta = {};
  let optional = false;
  let defaultValue: unknown;
  let at = schema;
  for (;;) {
    const own = (at as z.ZodType).meta?.() as (FieldMeta & { description?: string }) | undefined;
    description ??= own?.description;
    meta = { ...own, ...meta };
    const def = defOf(at);
    if (def.type === 'default' || def.type === 'prefault') {
      defaultValue ??= def.defaultValue;
      optional = true;
    } else if (def.type === 'optional' || def.type === 'nullable') optional = true;
    const inner = innerOf(def);
    if (inner === undefined) break;
    at = inner;
  }
  return { core: at as z.core.$ZodTypes, description, meta, optional, defaultValue };
}

function innerOf(def: Def): z.core.$ZodType | undefined {
  switch (def.type) {
    case 'default':
    case 'prefault':
    case 'optional':
    case 'nullable':
    case 'nonoptional':
    case 'readonly':
    case 'catch':
      return def.innerType;
    case 'pipe': // `.transform()` keeps what a person writes on the left; `z.preprocess()` on the right
      return defOf(def.in).type === 'transform' ? def.out : def.in;
    case 'lazy':
      return def.getter();
    default:
      return undefined;
  }
}

/** The keys of an object schema, in the order they were declared. */
export function keysOf(core: z.core.$ZodType): Record<string, z.core.$ZodType> | undefined {
  const def = defOf(core);
  return def.type === 'object' ? (def.shape as Record<string, z.core.$ZodType>) : undefined;
}

/** The member of a union that a value is meant for: by its discriminator, else the only member of the value's kind. */
export function memberFor(core: z.core.$ZodType, value: unknown): z.core.$ZodType | undefined {
  const def = defOf(core);
  if (def.type !== 'union') return undefined;
  const members = def.options.map((option) => fieldOf(option).core);
  if ('discriminator' in def && typeof def.discriminator === 'string') {
    const discriminator = def.discriminator;
    const tag = isRecord(value) ? value[discriminator] : undefined;
    return members.find((member) => tagsOf(keysOf(member)?.[discriminator]).includes(tag));
  }
  const kind = Array.isArray(value) ? 'array' : isRecord(value) ? 'object' : typeof value;
  const fitting = members.filter(
    (member) => member._zod.def.type === kind || (kind === 'object' && member._zod.def.type === 'record'),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** The values that a literal or enum allows; none for any other schema. */
export function tagsOf(schema: z.core.$ZodType | undefined): unknown[] {
  if (schema === undefined) return [];
  const def = fieldOf(schema).core._zod.def;
  if (def.type === 'literal') return [...def.values];
  return def.type === 'enum' ? Object.values(def.entries) : [];
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
