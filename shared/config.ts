/**
 * Reads a configuration: YAML text, overridden by the environment, judged by a zod schema. Promises to report all
 * problems at once, each with its place in the file, what was found and what was expected. Never reads a file or the
 * environment itself, never throws.
 */
import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import type { z } from 'zod';
import { applyOverride, type Environment, type Override, readOverrides } from './config-env.js';
import { normalize, type Path } from './config-normalize.js';
import { keyText, problemsOf } from './config-problems.js';
import { fieldOf, isRecord, keysOf } from './config-schema.js';

export { byteSize, byteSizeBetween, configVersion, duration, durationBetween } from './config-fields.js';

export interface ConfigProblem {
  /** From 1; both 0 where the problem is not in the file. */
  readonly line: number;
  readonly column: number;
  /** The key (`push.url`, `accept.sources[0].url`); '' for the file as a whole. */
  readonly key: string;
  readonly got: string;
  readonly expected: string;
  /** The environment variable that the value came from. */
  readonly variable?: string;
}

export type ParsedConfig<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: ConfigProblem[] };

/** `ignored` names variables (or, with a trailing `_`, prefixes) that carry the prefix but belong to something else. */
export function parseConfig<S extends z.ZodType>(
  schema: S,
  yamlText: string,
  env: Environment,
  envPrefix: string,
  ignored: readonly string[] = [],
): ParsedConfig<z.output<S>> {
  const file = readYaml(yamlText);
  if (file.problems.length > 0) return { ok: false, problems: file.problems };
  const newer = newerVersion(schema, file);
  if (newer !== undefined) return { ok: false, problems: [newer] };

  const fromEnv = readOverrides(schema, env, envPrefix, ignored);
  let given: unknown = file.value ?? {};
  for (const override of fromEnv.overrides) given = applyOverride(given, override.path, override.value);
  const normal = normalize(schema, given, (path) => file.sourceAt(path));
  const parsed = schema.safeParse(normal.value);

  const problems: ConfigProblem[] = [
    ...fromEnv.unknown.map(unknownVariable),
    ...normal.unknown.map((found) => ({
      ...placeOf(found.path, file, fromEnv.overrides, 'key'),
      got: 'an unknown key',
      expected:
        found.suggestion === undefined ? `one of ${found.allowed.join(', ')}` : `did you mean ${found.suggestion}?`,
    })),
  ];
  if (!parsed.success) {
    for (const found of problemsOf(parsed.error.issues, schema, normal.value)) {
      problems.push({
        ...placeOf(found.path, file, fromEnv.overrides, 'value'),
        got: found.got,
        expected: found.expected,
      });
    }
  }
  if (parsed.success && problems.length === 0) return { ok: true, value: parsed.data };
  return { ok: false, problems: problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** One line a problem, as compilers write them: `file:line:column: key: got …, expected …`. */
export function formatProblems(file: string, problems: readonly ConfigProblem[]): string {
  return problems
    .map(({ line, column, key, got, expected, variable }) => {
      const place = variable !== undefined ? `environment ${variable}` : line > 0 ? `${file}:${line}:${column}` : file;
      const wanted = expected.startsWith('did you mean') ? expected : `expected ${expected}`;
      return `${place}: ${key === '' ? '' : `${key}: `}got ${got}, ${wanted}`;
    })
    .join('\n');
}

interface ReadFile {
  readonly value: unknown;
  readonly problems: ConfigProblem[];
  sourceAt(path: Path): string | undefined;
  /** Where the value at a path is, or its key, or the nearest thing around it that exists. */
  positionOf(path: Path, what: 'key' | 'value'): { line: number; column: number };
}

function readYaml(text: string): ReadFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const problems = document.errors.map((error) => ({
    ...position(error.pos[0]),
    key: '',
    got: error.message.split('\n')[0]!,
    expected: 'valid YAML',
  }));
  const value = problems.length > 0 ? undefined : toPlain(document);
  if (value instanceof Error)
    problems.push(wholeFile(value.message, 'valid YAML', position(offsetOfBadAlias(document))));
  else if (value !== undefined && value !== null && !isRecord(value)) {
    problems.push(wholeFile(Array.isArray(value) ? 'a list' : 'a single value', 'keys and values', position(0)));
  }
  return {
    value,
    problems,
    sourceAt: (path) => {
      const node = document.getIn(path, true);
      return isScalar(node) ? node.source : undefined;
    },
    positionOf: (path, what) => position(offsetOf(document, path, what)),
  };
}

function wholeFile(got: string, expected: string, place: { line: number; column: number }): ConfigProblem {
  return { ...place, key: '', got, expected };
}

function offsetOfBadAlias(document: Document): number {
  let offset = 0;
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return undefined;
      offset = startOf(alias) ?? 0;
      return visit.BREAK;
    },
  });
  return offset;
}

/** A bomb of aliases is an error like any other. */
function toPlain(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function offsetOf(document: Document, path: Path, what: 'key' | 'value'): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && String(isScalar(item.key) ? item.key.value : item.key) === String(step),
      );
      if (pair === undefined) return offset;
      const last = depth === path.length - 1;
      node = pair.value;
      offset = (last && what === 'value' && isScalar(node) ? startOf(node) : undefined) ?? startOf(pair.key) ?? offset;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = startOf(node) ?? offset;
    } else return offset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}

function placeOf(path: Path, file: ReadFile, overrides: readonly Override[], what: 'key' | 'value') {
  const key = keyText(path);
  const override = overrides.find(
    ({ path: from }) => path.length >= from.length && from.every((step, i) => step === path[i]),
  );
  if (override !== undefined) return { line: 0, column: 0, key, variable: override.variable };
  return { ...file.positionOf(path, what), key };
}

function unknownVariable(found: { variable: string; suggestion: string | undefined }): ConfigProblem {
  const expected = found.suggestion === undefined ? 'the name of a key' : `did you mean ${found.suggestion}?`;
  return { line: 0, column: 0, key: '', got: 'an unknown variable', expected, variable: found.variable };
}

/** What a newer program wrote may look wrong all over; the one thing worth saying is that it is newer. */
function newerVersion(schema: z.ZodType, file: ReadFile): ConfigProblem | undefined {
  const versionSchema = keysOf(fieldOf(schema).core)?.version;
  const newest = versionSchema === undefined ? undefined : fieldOf(versionSchema).meta.newestVersion;
  const version = isRecord(file.value) ? Number(file.value.version) : Number.NaN;
  if (newest === undefined || !(version > newest)) return undefined;
  return {
    ...file.positionOf(['version'], 'value'),
    key: 'version',
    got: `${version}, written for a newer Edgetally`,
    expected: `${newest} or less: upgrade this program`,
  };
}
