/**
 * Finds the metrics of one record: those of a list, every numeric field, or one metric that the record names itself.
 * What is not a usable number is left out and reported. Compiled once a route; the names of fields are learnt as they come.
 */
import { isName } from '../../shared/name.js';
import type { Reject } from '../reading.js';
import { compileField, type PathStyle, pathKeys, type Read, type RecordContext } from './field.js';
import { counts, EXPECTED_NUMBER, type ToNumber } from './metric-values.js';
import { reject, shown } from './rejects.js';
import type { MetricsPlan } from './route-shapes.js';

/** What was found. Reused from record to record. */
export interface Found {
  readonly names: string[];
  readonly values: number[];
  readonly rejects: Reject[];
}

export type Collect = (context: RecordContext, found: Found) => void;

export interface MetricsSetting {
  readonly toNumber: ToNumber;
  /** Fields that are read for something else. */
  readonly taken: readonly string[];
  readonly topicNames: readonly string[];
  readonly style: PathStyle;
  readonly maxNameBytes: number;
}

export function compileMetrics(plan: MetricsPlan, setting: MetricsSetting): Collect {
  if (plan.kind === 'list') return compileList(plan.fields, setting);
  if (plan.kind === 'single') return compileSingle(plan, setting);
  return compileAll(plan.from, plan.except, setting);
}

export function allowedName(text: string, maxNameBytes: number): boolean {
  return isName(text) && (text.length * 3 <= maxNameBytes || Buffer.byteLength(text) <= maxNameBytes);
}

function add(found: Found, name: string, value: unknown, toNumber: ToNumber): void {
  const number = toNumber(value);
  if (counts(number)) {
    found.names.push(name);
    found.values.push(number === 0 ? 0 : number); // -0 is 0
  } else found.rejects.push(reject('bad-number', `${name}: got ${shown(value)}, expected ${EXPECTED_NUMBER}`));
}

function compileList(fields: readonly { from: string; as: string }[], setting: MetricsSetting): Collect {
  const { toNumber, style } = setting;
  const reads: readonly (readonly [string, Read])[] = fields.map(({ from, as }) => [as, compileField(from, [], style)]);
  return ({ record, topicValues }, found) => {
    const context = { record, envelope: undefined, topicValues };
    for (const [name, read] of reads) {
      const value = read(context);
      if (value !== undefined && value !== null) add(found, name, value, toNumber);
    }
  };
}

function compileSingle(plan: Extract<MetricsPlan, { kind: 'single' }>, setting: MetricsSetting): Collect {
  const { toNumber, topicNames, style, maxNameBytes } = setting;
  const readName = compileField(plan.metric, topicNames, style);
  const readValue = plan.value === undefined ? undefined : compileField(plan.value, [], style);
  return (context, found) => {
    const given = readName(context);
    const name = typeof given === 'number' ? String(given) : given;
    if (typeof name !== 'string' || !allowedName(name, maxNameBytes)) {
      found.rejects.push(
        reject('bad-name', `the metric’s name: got ${shown(given)}, expected text without control characters`),
      );
      return;
    }
    const { record, topicValues } = context;
    const value = readValue === undefined ? record : readValue({ record, envelope: undefined, topicValues });
    if (value !== undefined && value !== null) add(found, name, value, toNumber);
  };
}

/** What is known of a field: its full name and what to do with it. */
interface Known {
  readonly name: string;
  use: 'metric' | 'skip' | 'bad-name';
  /** It has been a number before, so that text is no longer taken for a label. */
  numeric: boolean;
  readonly fields: Map<string, Known>;
}

/** Devices that make up field names must not fill the memory. */
const MAX_KNOWN = 10_000;

function compileAll(from: string | undefined, except: readonly string[], setting: MetricsSetting): Collect {
  const { toNumber, style, maxNameBytes } = setting;
  const start = from === undefined ? [] : pathKeys(from, style);
  const readStart = from === undefined ? undefined : compileField(from, [], style);
  const root: Known = { name: '', use: 'metric', numeric: false, fields: new Map() };
  let known = 0;

  // Paths are from the start of the record, exceptions also from `from`. Names are relative to `from`.
  for (const path of [...setting.taken, ...except]) skip(pathKeys(path, style));
  for (const path of except) skip([...start, ...pathKeys(path, style)]);

  return ({ record, topicValues }, found) => {
    const object = readStart === undefined ? record : readStart({ record, envelope: undefined, topicValues });
    if (typeof object !== 'object' || object === null || Array.isArray(object)) return;
    const dotted = walk(object as Record<string, unknown>, root, found, false);
    if (dotted) rejectRepeated(found);
  };

  function skip(path: readonly string[]): void {
    if (!start.every((key, index) => path[index] === key)) return;
    let at = root;
    for (const key of path.slice(start.length)) {
      const next = at.fields.get(key) ?? learn(at, key);
      at.fields.set(key, next);
      at = next;
    }
    at.use = 'skip';
  }

  function learn(parent: Known, key: string): Known {
    const name = parent === root ? key : `${parent.name}.${key}`;
    const field: Known = {
      name,
      use: allowedName(name, maxNameBytes) ? 'metric' : 'bad-name',
      numeric: false,
      fields: new Map(),
    };
    if (known < MAX_KNOWN && field.use === 'metric') {
      known++;
      parent.fields.set(key, field);
    }
    return field;
  }

  /** True if two fields may have come to the same name: `a.b` and b within a. */
  function walk(object: Record<string, unknown>, parent: Known, found: Found, dotted: boolean): boolean {
    let suspect = dotted;
    for (const key in object) {
      const field = parent.fields.get(key) ?? learn(parent, key);
      if (field.use === 'skip') continue;
      const value = object[key];
      if (typeof value === 'number' || typeof value === 'boolean') {
        field.numeric = true;
        if (field.use === 'metric') add(found, field.name, value, toNumber);
        else found.rejects.push(badName(field.name));
      } else if (typeof value === 'string') addText(field, value, found);
      else if (value !== null && !Array.isArray(value)) {
        suspect = walk(value as Record<string, unknown>, field, found, suspect);
      }
      if (!suspect && key.includes('.')) suspect = true;
    }
    return suspect;
  }

  function addText(field: Known, value: string, found: Found): void {
    const number = toNumber(value);
    if (Number.isNaN(number) && !field.numeric) return; // a label
    if (!Number.isNaN(number)) field.numeric = true;
    if (field.use === 'metric') add(found, field.name, value, toNumber);
    else found.rejects.push(badName(field.name));
  }
}

function badName(name: string): Reject {
  return reject('bad-name', `got the field ${shown(name)}, expected a short name without control characters`);
}

function rejectRepeated(found: Found): void {
  const seen = new Set<string>();
  let kept = 0;
  for (const [index, name] of found.names.entries()) {
    if (seen.has(name)) {
      found.rejects.push(reject('bad-name', `${name}: two fields of this name, the first one counts`));
      continue;
    }
    seen.add(name);
    found.names[kept] = name;
    found.values[kept++] = found.values[index]!;
  }
  found.names.length = kept;
  found.values.length = kept;
}
