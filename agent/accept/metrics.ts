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

/** The fields of a route’s records, learnt as they come: names are put together and judged once. */
class FieldTree {
  readonly root: Known = { name: '', use: 'metric', numeric: false, fields: new Map() };
  readonly #maxNameBytes: number;
  #known = 0;

  constructor(maxNameBytes: number) {
    this.#maxNameBytes = maxNameBytes;
  }

  learn(parent: Known, key: string): Known {
    const name = parent === this.root ? key : `${parent.name}.${key}`;
    const use = allowedName(name, this.#maxNameBytes) ? 'metric' : 'bad-name';
    const field: Known = { name, use, numeric: false, fields: new Map() };
    if (this.#known < MAX_KNOWN && use === 'metric') {
      this.#known++;
      parent.fields.set(key, field);
    }
    return field;
  }

  skip(path: readonly string[]): void {
    let at = this.root;
    for (const key of path) {
      const next = at.fields.get(key) ?? this.learn(at, key);
      at.fields.set(key, next);
      at = next;
    }
    at.use = 'skip';
  }
}

function compileAll(from: string | undefined, except: readonly string[], setting: MetricsSetting): Collect {
  const { toNumber, style } = setting;
  const readStart = from === undefined ? undefined : compileField(from, [], style);
  const tree = treeOf(from, except, setting);

  return ({ record, topicValues }, found) => {
    const object = readStart === undefined ? record : readStart({ record, envelope: undefined, topicValues });
    if (typeof object !== 'object' || object === null || Array.isArray(object)) return;
    const dotted = walk(object as Record<string, unknown>, tree.root, found);
    if (dotted) rejectRepeated(found);
  };

  /** True if two fields may have come to the same name: `a.b` and b within a. */
  function walk(object: Record<string, unknown>, parent: Known, found: Found): boolean {
    let dotted = false;
    for (const key in object) {
      const field = parent.fields.get(key) ?? tree.learn(parent, key);
      if (field.use === 'skip') continue;
      const value = object[key];
      if (typeof value === 'object') {
        if (value === null || Array.isArray(value)) continue;
        if (walk(value as Record<string, unknown>, field, found)) dotted = true;
      } else addField(field, value, found);
      if (!dotted && key.includes('.')) dotted = true;
    }
    return dotted;
  }

  function addField(field: Known, value: unknown, found: Found): void {
    if (typeof value !== 'string' || !Number.isNaN(toNumber(value))) field.numeric = true;
    else if (!field.numeric) return; // a label
    if (field.use === 'metric') add(found, field.name, value, toNumber);
    else found.rejects.push(badName(field.name));
  }
}

/** Paths are from the start of the record, exceptions also from `from`. The tree begins at `from`. */
function treeOf(from: string | undefined, except: readonly string[], { taken, style, maxNameBytes }: MetricsSetting) {
  const tree = new FieldTree(maxNameBytes);
  const start = from === undefined ? [] : pathKeys(from, style);
  for (const text of [...taken, ...except]) {
    const path = pathKeys(text, style);
    if (path.length > start.length && start.every((key, index) => path[index] === key))
      tree.skip(path.slice(start.length));
  }
  if (from !== undefined) for (const text of except) tree.skip(pathKeys(text, style));
  return tree;
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
