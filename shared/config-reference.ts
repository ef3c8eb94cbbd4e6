/**
 * Writes the reference of a configuration from its schema, so that keys, types, defaults and descriptions are said once.
 * One table a section, in the order of the schema.
 */

import type { z } from 'zod';
import { formatByteSize, formatDuration } from './config-fields.js';
import { type Field, fieldOf, keysOf, tagsOf } from './config-schema.js';

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'number',
  boolean: 'true or false',
  object: 'section',
  record: 'section',
};

interface Row {
  readonly key: string;
  readonly field: Field;
}

interface Section {
  readonly heading: string;
  readonly description: string | undefined;
  readonly rows: Row[];
}

/** Markdown. `intro` goes between the title and the first table. */
export function configReference(schema: z.core.$ZodType, title: string, intro = ''): string {
  const parts = [`# ${title}`];
  if (intro !== '') parts.push(intro.trim());
  for (const section of sectionsOf(schema, '', undefined)) {
    if (section.heading !== '') parts.push(`## ${section.heading}`);
    if (section.description !== undefined) parts.push(section.description);
    if (section.rows.length > 0) parts.push(tableOf(section.rows));
  }
  return `${parts.join('\n\n')}\n`;
}

/** The section of an object schema and those inside it, depth first. */
function sectionsOf(schema: z.core.$ZodType, path: string, heading: string | undefined): Section[] {
  const { core, description } = fieldOf(schema);
  const rows = Object.entries(keysOf(core) ?? {}).map(([key, child]) => ({ key, field: fieldOf(child), child }));
  const own: Section = {
    heading: heading ?? (path === '' ? '' : `\`${path}\``),
    description,
    rows: rows.filter(({ field }) => keysOf(field.core) === undefined),
  };
  return [own, ...rows.flatMap(({ key, child }) => innerSections(child, path === '' ? key : `${path}.${key}`))];
}

function innerSections(schema: z.core.$ZodType, path: string): Section[] {
  const { core, description } = fieldOf(schema);
  const def = core._zod.def;
  if (def.type === 'object') return sectionsOf(schema, path, undefined);
  if (def.type === 'array') return innerSections(def.element, `${path}[]`);
  if (def.type === 'record') return innerSections(def.valueType, `${path}.<name>`);
  if (def.type !== 'union') return [];
  const discriminator = 'discriminator' in def ? String(def.discriminator) : undefined;
  const members = def.options.filter((option) => isSection(option));
  const sections = members.flatMap((member) => {
    const tag = discriminator === undefined ? [] : tagsOf(keysOf(fieldOf(member).core)?.[discriminator]);
    const heading = tag.length > 0 ? `\`${path}\` with \`${discriminator}: ${tag.join(' | ')}\`` : undefined;
    return sectionsOf(member, path, heading);
  });
  if (discriminator !== undefined && description !== undefined) {
    sections.unshift({ heading: `\`${path}\``, description, rows: [] });
  }
  return sections;
}

/** An object whose keys need no words is shown where it is used, as `{ from, as }`. */
function isSection(schema: z.core.$ZodType): boolean {
  const keys = keysOf(fieldOf(schema).core);
  return keys !== undefined && Object.values(keys).some((key) => fieldOf(key).description !== undefined);
}

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(({ key, field }) =>
    [`\`${key}\``, typeText(field), defaultText(field), field.description ?? ''].map(cell).join(' | '),
  );
  return ['| key | type | default | what it does |', '|---|---|---|---|', ...lines.map((line) => `| ${line} |`)].join(
    '\n',
  );
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}

/** `text`, `duration`, `list of text`, `live` or `batch`. */
export function typeText(field: Field): string {
  const { kind } = field.meta;
  if (kind !== undefined) return kind;
  const def = field.core._zod.def;
  const tags = tagsOf(field.core);
  if (tags.length > 0) return tags.map((tag) => `\`${String(tag)}\``).join(' or ');
  if (def.type === 'array') return `list of ${typeText(fieldOf(def.element))}`;
  if (def.type === 'object' && !isSection(field.core)) return `\`{ ${Object.keys(keysOf(field.core)!).join(', ')} }\``;
  if (def.type === 'union') return [...new Set(def.options.map((option) => typeText(fieldOf(option))))].join(' or ');
  return TYPES[def.type] ?? def.type;
}

function defaultText(field: Field): string {
  const value = field.defaultValue;
  if (value === undefined) return field.optional ? '' : '**required**';
  if (typeof value === 'number' && field.meta.kind === 'duration') return `\`${formatDuration(value)}\``;
  if (typeof value === 'number' && field.meta.kind === 'size') return `\`${formatByteSize(value)}\``;
  return `\`${typeof value === 'string' && value !== '' ? value : JSON.stringify(value)}\``;
}
