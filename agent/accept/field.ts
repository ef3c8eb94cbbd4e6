/**
 * Where a value comes from. `data.temp` is a path into the record, `{SrcIP}:{DstIP}` a template whose braces hold paths
 * or names of topic levels, `{ constant: … }` a constant, and a list gives the first of several that is there. Compiled
 * once a route. A record is whatever JSON gave: own keys only, so that `constructor` or `__proto__` is never inherited.
 */

/** One record of a message, and what surrounds it. */
export interface RecordContext {
  readonly record: unknown;
  /** The object around a list of records; undefined if there is none. */
  readonly envelope: unknown;
  /** Values of the named topic levels. */
  readonly topicValues: readonly string[];
}

/** The value at the place, undefined if it is not there. */
export type Read = (context: RecordContext) => unknown;

/** A path into a record or one of its keys. */
export type PathStyle = 'nested' | 'column';

export type FieldSource = string | readonly string[] | { readonly constant: string };

type Get = (value: unknown) => unknown;

/** `names` are the topic's; in the style `column` a path is one key whatever characters it has. */
export function compileField(source: FieldSource, names: readonly string[], style: PathStyle): Read {
  if (typeof source === 'string') return source.includes('{') ? template(source, names, style) : path(source, style);
  if ('constant' in source) {
    const { constant } = source;
    return () => constant;
  }
  const reads = source.map((each) => compileField(each, names, style));
  return (context) => {
    for (const read of reads) {
      const value = read(context);
      if (value !== undefined && value !== null) return value;
    }
    return undefined;
  };
}

/** The top-level key that a source reads, where it reads just one: that key is then no metric. */
export function keysRead(source: FieldSource | undefined, names: readonly string[], style: PathStyle): string[] {
  if (source === undefined) return [];
  if (typeof source !== 'string')
    return 'constant' in source ? [] : source.flatMap((each) => keysRead(each, names, style));
  if (!source.includes('{')) return [source];
  return [...source.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1]!).filter((key) => !names.includes(key));
}

/** What is wrong with a source as it was written; undefined if nothing. */
export function fieldProblem(source: FieldSource): string | undefined {
  if (typeof source !== 'string') {
    if ('constant' in source) return undefined;
    return source.map((each) => fieldProblem(each)).find((problem) => problem !== undefined);
  }
  const rest = source.replaceAll(/\{[^{}]+\}/g, '');
  return /[{}]/.test(rest) ? 'a field such as data.temp, or a template such as {site}-{name}' : undefined;
}

/** The keys of a path; `\.` is a dot within a key. */
export function pathKeys(text: string, style: PathStyle): string[] {
  if (style === 'column') return [text];
  return text.split(/(?<!\\)\./).map((key) => key.replaceAll('\\.', '.'));
}

function path(text: string, style: PathStyle): Read {
  const get = compilePath(pathKeys(text, style));
  return ({ record, envelope }) => {
    const value = get(record);
    return value === undefined && envelope !== undefined ? get(envelope) : value;
  };
}

function compilePath(keys: readonly string[]): Get {
  const gets = keys.map(compileKey);
  const [first, second] = gets;
  if (gets.length === 1) return first!;
  if (gets.length === 2) return (value) => second!(first!(value));
  return (value) => gets.reduce((at, get) => get(at), value);
}

function compileKey(key: string): Get {
  const index = /^\d{1,6}$/.test(key) ? Number(key) : undefined;
  const inherited = key in Object.prototype;
  return (value) => {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value)) return index === undefined ? undefined : (value[index] as unknown);
    if (inherited && !Object.hasOwn(value, key)) return undefined;
    return (value as Record<string, unknown>)[key];
  };
}

function template(text: string, names: readonly string[], style: PathStyle): Read {
  const pieces = text.split(/\{([^{}]+)\}/); // literal, reference, literal, …
  const literals = pieces.filter((_, index) => index % 2 === 0);
  const reads = pieces
    .filter((_, index) => index % 2 === 1)
    .map((reference): Read => {
      const level = names.indexOf(reference);
      return level >= 0 ? ({ topicValues }) => topicValues[level] : path(reference, style);
    });
  if (reads.length === 1 && literals.every((literal) => literal === '')) return reads[0]!;
  return (context) => {
    let result = literals[0]!;
    for (let index = 0; index < reads.length; index++) {
      const value = reads[index]!(context);
      if (typeof value !== 'string' && typeof value !== 'number') return undefined;
      if (value === '') return undefined;
      result += `${value}${literals[index + 1]}`;
    }
    return result;
  };
}
