/**
 * From one record to one reading, or to the reason why it is none. Compiled once a route; MQTT messages and rows of CSV
 * files go through the same steps.
 */
import type { Reading, Reject } from '../reading.js';
import { parseZone } from './calendar.js';
import { compileField, keysRead, type PathStyle, type Read, type RecordContext } from './field.js';
import { compileNumber } from './metric-values.js';
import { allowedName, type Collect, compileMetrics, type Found } from './metrics.js';
import { compileId, type ReadId } from './record-id.js';
import { reject, shown } from './rejects.js';
import type { RoutePlan } from './route-shapes.js';
import { type CompiledTime, compileTime } from './times.js';

export interface RecordLimits {
  readonly maxMetrics: number;
  readonly maxNameBytes: number;
}

/** Where what was decoded goes. */
export interface Decoding {
  readonly readings: Reading[];
  readonly rejects: Reject[];
  readonly valueRejects: Reject[];
}

/** Adds one reading or one rejection. `arrivalUs` stands in where a record has no observation time. */
export type DecodeRecord = (context: RecordContext, arrivalUs: number, into: Decoding) => void;

export interface RecordStyle {
  readonly style: PathStyle;
  readonly decimal: '.' | ',';
  readonly numericStrings: boolean;
}

interface Fields {
  readonly device: Read;
  readonly group: Read | undefined;
  readonly time:
    | (CompiledTime & { readonly from: Read; readonly label: string; readonly arrivalIfMissing: boolean })
    | undefined;
  readonly id: ReadId | undefined;
}

export function compileRecord(
  plan: RoutePlan,
  topicNames: readonly string[],
  { style, decimal, numericStrings }: RecordStyle,
  limits: RecordLimits,
): DecodeRecord {
  const fields = compileFields(plan, topicNames, style);
  const collect = compileMetrics(plan.metrics, {
    toNumber: compileNumber({ words: plan.words, numericStrings, decimal }),
    taken: [plan.device, plan.group, plan.time?.from, plan.id].flatMap((source) => keysRead(source, topicNames, style)),
    topicNames,
    style,
    maxNameBytes: limits.maxNameBytes,
  });
  const readReading = compileReading(plan, fields, collect, limits);
  return (context, arrivalUs, into) => {
    const refused = readReading(context, arrivalUs, into);
    if (refused !== undefined) into.rejects.push(refused);
  };
}

/** Adds the reading to `into`, or gives the reason why there is none. */
function compileReading(
  plan: RoutePlan,
  fields: Fields,
  collect: Collect,
  { maxMetrics, maxNameBytes }: RecordLimits,
): (context: RecordContext, arrivalUs: number, into: Decoding) => Reject | undefined {
  const { windowMs, latenessMs } = plan;
  const found: Found = { names: [], values: [], rejects: [] };
  let lastNames: readonly string[] = [];

  return (context, arrivalUs, into) => {
    const device = nameOf(fields.device(context));
    if (device === undefined || !allowedName(device, maxNameBytes)) return noDevice(plan, fields.device(context));
    const group = fields.group === undefined ? '' : groupOf(fields.group(context));
    if (group === undefined || (group !== '' && !allowedName(group, maxNameBytes))) {
      return badText(plan, 'the group', fields.group!(context));
    }
    const ownUs = ownTime(fields, context);
    if (Number.isNaN(ownUs)) return ofDevice(badTime(plan, fields, context), group, device);
    const undated = ownUs === undefined;
    const timeUs = ownUs ?? arrivalUs;
    const recordId = fields.id?.(context, timeUs);
    if (recordId !== undefined && (recordId === null || !allowedName(recordId, maxNameBytes))) {
      return ofDevice(badText(plan, 'the record id', recordId), group, device);
    }
    const { names, values, rejects } = found;
    names.length = values.length = rejects.length = 0;
    collect(context, found);
    if (names.length + rejects.length > maxMetrics) return ofDevice(tooMany(plan, found, maxMetrics), group, device);
    if (names.length === 0) return ofDevice(noMetrics(plan, found), group, device);
    for (const each of rejects) into.valueRejects.push(ofDevice(atRoute(plan, each), group, device));
    // Readings of one kind share one list of names, so that whoever keeps them can tell by identity.
    if (!sameNames(names, lastNames)) lastNames = names.slice();
    const lane = names.length === 1 ? names[0]! : '';
    const metrics = lastNames;
    // one literal: on the hot path a spread costs more than the rest of the object
    const reading = { group, device, timeUs, undated, lane, windowMs, latenessMs, metrics, values: values.slice() };
    into.readings.push(recordId === undefined ? reading : { ...reading, recordId });
    return undefined;
  };
}

function compileFields(plan: RoutePlan, topicNames: readonly string[], style: PathStyle): Fields {
  const { device, group, time, id } = plan;
  return {
    device: device === undefined ? () => undefined : compileField(device, topicNames, style),
    group: group === undefined ? undefined : compileField(group, topicNames, style),
    id: id === undefined ? undefined : compileId(id, topicNames, style),
    time:
      time === undefined
        ? undefined
        : {
            ...compileTime({
              unit: time.unit,
              format: time.format,
              zoneMinutes: time.timezone === undefined ? undefined : parseZone(time.timezone),
            }),
            from: compileField(time.from, topicNames, style),
            label: typeof time.from === 'string' ? time.from : 'the time',
            arrivalIfMissing: time.missing === 'arrival',
          },
  };
}

/** Numbers are names too, as long as each number is one name. */
function nameOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : undefined;
}

function groupOf(value: unknown): string | undefined {
  return value === undefined || value === null ? '' : nameOf(value);
}

/** Undefined where the record has none and need not have one. */
function ownTime({ time }: Fields, context: RecordContext): number | undefined {
  if (time === undefined) return undefined;
  const value = time.from(context);
  if ((value === undefined || value === null) && time.arrivalIfMissing) return undefined;
  return time.read(value);
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

function at(plan: RoutePlan): string {
  return plan.name === '' ? '' : `route ${plan.name}: `;
}

function ofDevice(refused: Reject, group: string, device: string): Reject {
  return { ...refused, of: { group, device } };
}

function atRoute(plan: RoutePlan, { reason, detail }: Reject): Reject {
  return reject(reason, `${at(plan)}${detail}`);
}

function noDevice(plan: RoutePlan, value: unknown): Reject {
  const exact = typeof value === 'number' ? ', or a number small enough to be exact' : '';
  return reject(
    'no-device',
    `${at(plan)}the device: got ${shown(value)}, expected a short text without control characters${exact}`,
  );
}

function badText(plan: RoutePlan, what: string, value: unknown): Reject {
  return reject(
    'bad-name',
    `${at(plan)}${what}: got ${shown(value)}, expected a short text without control characters`,
  );
}

function badTime(plan: RoutePlan, { time }: Fields, context: RecordContext): Reject {
  const value = time?.from(context);
  return reject(
    'bad-time',
    `${at(plan)}${time?.label}: got ${shown(value)}, expected ${time?.expected} (1970 to 2255)`,
  );
}

/** The first bad metric says more than that there is none. */
function noMetrics(plan: RoutePlan, { rejects }: Found): Reject {
  const [first] = rejects;
  return first === undefined ? reject('no-metrics', `${at(plan)}no metric in the record`) : atRoute(plan, first);
}

function tooMany(plan: RoutePlan, { names, rejects }: Found, maxMetrics: number): Reject {
  const count = names.length + rejects.length;
  return reject(
    'too-many-metrics',
    `${at(plan)}${count} metrics, at most ${maxMetrics} are allowed; name those you want`,
  );
}
