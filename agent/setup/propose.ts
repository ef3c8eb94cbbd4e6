/**
 * From messages that were heard on a broker to routes that take them. Pure. A proposal is tried on all that was heard, by the
 * decoder that will run, and says how much of it that gives.
 *
 * Messages are sorted by what their topics have in common: how many levels, which levels are the same in all. Levels that
 * differ become the device (the last of them, unless the payload names one), and before it the group.
 */
import { z } from 'zod';
import { limitsSchema, type RouteOptions, routesSchema } from '../accept/route-options.js';
import { compileRoutes } from '../accept/routes.js';
import { matchTopic, parseTopicFilter } from '../accept/topic-filter.js';

export interface Heard {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** A route as it stands in a configuration file. */
export type RouteText = Readonly<Record<string, unknown>>;

export interface Proposal {
  readonly route: RouteText;
  readonly messages: number;
  /** Of these, how many are readings. */
  readonly readings: number;
  readonly devices: number;
  readonly metrics: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

const DEVICE_FIELDS = ['device_id', 'deviceId', 'device', 'sensor_id', 'sensorId', 'sensor', 'dev_id', 'devEUI', 'mac'];
const GROUP_FIELDS = ['zone_id', 'zone', 'site_id', 'site', 'group', 'area', 'room', 'location'];
const TIME_FIELDS = ['timestamp', 'ts', 'time', 'Timestamp', 'Time', 'datetime', 'date', 'measured_at', 'observed_at'];
const ID_FIELDS = ['record_id', 'recordId', 'message_id', 'messageId', 'seq', 'uuid'];
const KNOWN = [
  ['zigbee2mqtt', 'zigbee2mqtt/{device}'],
  ['tasmota', 'tele/{device}/SENSOR'],
] as const;
/** A route is worth proposing where it takes this share of the messages that it is for. */
const MIN_USEFUL = 0.5;

/** Routes for what was heard, most readings first; messages that give no readings are left out. */
export function proposeRoutes(heard: readonly Heard[]): Proposal[] {
  const rest = heard.filter(({ topic }) => !topic.startsWith('$'));
  const found: Proposal[] = [];
  for (const { own, route } of heapsOf(rest)) {
    const proposal = tried(route, own);
    if (proposal.readings >= MIN_USEFUL * proposal.messages && proposal.readings > 0) found.push(proposal);
  }
  return found.sort((a, b) => b.readings - a.readings);
}

interface Heap {
  readonly own: readonly Heard[];
  readonly route: RouteText;
}

/** Kinds of devices whose messages are known, then the others by what their topics and payloads have in common. */
function* heapsOf(heard: readonly Heard[]): Generator<Heap> {
  let rest = heard;
  for (const [shape, filter] of KNOWN) {
    const own = rest.filter(({ topic }) => matches(filter, topic));
    if (own.length === 0) continue;
    yield { own, route: { shape } };
    const root = filter.split('/')[0]!;
    rest = rest.filter(({ topic }) => !topic.startsWith(`${root}/`)); // what else they say of themselves is no reading
  }
  const heaps = new Map<string, Heard[]>();
  for (const message of rest) {
    const levels = message.topic.split('/');
    const kind = fieldsOf(message) === undefined ? 'text' : 'json';
    const key = `${kind}/${levels.length}/${levels[0]}`;
    heaps.set(key, [...(heaps.get(key) ?? []), message]);
  }
  for (const own of heaps.values()) yield { own, route: routeOf(own) };
}

function routeOf(own: readonly Heard[]): RouteText {
  const samples = own.map(fieldsOf).filter((fields) => fields !== undefined);
  const levels = own[0]!.topic.split('/');
  const differing = levels.flatMap((level, i) => (own.some(({ topic }) => topic.split('/')[i] !== level) ? [i] : []));
  if (samples.length === 0) return numberRoute(levels, differing);
  const names = namesIn(samples);
  const roles = new Map(differing.map((i) => [i, '+']));
  const free = [...differing];
  if (names.device === undefined) roles.set(free.pop() ?? levels.length - 1, '{device}');
  if (names.group === undefined && free.length > 0) roles.set(free.pop()!, '{group}');
  return { topic: topicWith(levels, roles), ...names };
}

/** `…/device/metric`, and what differs before that is the group. */
function numberRoute(levels: readonly string[], differing: readonly number[]): RouteText {
  if (levels.length === 1) return { shape: 'number', topic: '{device}', metric: { constant: 'value' } };
  const roles = new Map(differing.map((i) => [i, '+']));
  const metric = levels.length - 1;
  const group = differing.filter((i) => i < metric - 1).at(-1);
  if (group !== undefined) roles.set(group, '{group}');
  roles.set(metric - 1, '{device}').set(metric, '{metric}');
  return { shape: 'number', topic: topicWith(levels, roles) };
}

function topicWith(levels: readonly string[], roles: ReadonlyMap<number, string>): string {
  return levels.map((level, i) => roles.get(i) ?? level).join('/');
}

/** Fields that all samples have, by what their names usually mean. */
function namesIn(samples: readonly Fields[]): { device?: string; group?: string; time?: string; id?: string } {
  const first = (names: readonly string[], fits: (value: unknown) => boolean) =>
    names.find((name) => samples.every((sample) => fits(sample[name])));
  const isName = (value: unknown) => typeof value === 'string' && value !== '';
  const device = first(DEVICE_FIELDS, isName);
  const group = first(GROUP_FIELDS, isName);
  const time = first(TIME_FIELDS, (value) => isName(value) || typeof value === 'number');
  const id = first(ID_FIELDS, (value) => isName(value) || typeof value === 'number');
  return {
    ...(device && { device }),
    ...(group && { group }),
    ...(time && { time }),
    ...(id && { id }),
  };
}

function tried(text: RouteText, own: readonly Heard[]): Proposal {
  const routes: RouteOptions[] = routesSchema.parse([text]);
  const decode = compileRoutes(routes, limitsSchema.parse({}));
  const devices = new Set<string>();
  const metrics = new Set<string>();
  let readings = 0;
  for (const { topic, payload } of own) {
    for (const reading of decode({ topic, payload, arrivalUs: 0 }).readings) {
      readings++;
      devices.add(`${reading.group}\u0000${reading.device}`);
      for (const metric of reading.metrics) metrics.add(metric);
    }
  }
  return { route: text, messages: own.length, readings, devices: devices.size, metrics: [...metrics].sort() };
}

function matches(filterText: string, topic: string): boolean {
  const filter = parseTopicFilter(filterText);
  return !('expected' in filter) && matchTopic(filter, topic.split('/')) !== undefined;
}

/** Undefined where the payload is no JSON object. */
function fieldsOf({ payload }: Heard): Fields | undefined {
  try {
    const parsed = z.record(z.string(), z.unknown()).safeParse(JSON.parse(Buffer.from(payload).toString()));
    return parsed.data;
  } catch {
    return undefined;
  }
}
