/**
 * What is usual for each kind of message, so that a route for it takes few lines. Whatever a route says itself wins over
 * its shape.
 */
import type { FieldSource } from './field.js';
import type { RouteOptions } from './route-options.js';
import { parseTopicFilter, type TopicFilter } from './topic-filter.js';

export const SHAPES = ['json', 'single', 'event', 'number', 'zigbee2mqtt', 'tasmota', 'flows'] as const;

export type Shape = (typeof SHAPES)[number];

/** What a route needs to know of its shape. */
interface Preset {
  readonly topic?: string;
  readonly device?: FieldSource;
  readonly time?: { readonly from: FieldSource; readonly missing: 'reject' | 'arrival'; readonly timezone?: string };
  readonly id?: FieldSource;
  readonly metric?: FieldSource;
  readonly value?: string;
  readonly except?: readonly string[];
  readonly words?: Readonly<Record<string, number>>;
}

const ON_OFF = { ON: 1, OFF: 0 } as const;

const PRESETS: Readonly<Record<Shape, Preset>> = {
  json: {},
  single: { metric: 'metric', value: 'value' },
  event: { metric: 'event_type', value: 'payload.value' },
  number: { metric: '{metric}' },
  zigbee2mqtt: {
    topic: 'zigbee2mqtt/{device}',
    time: { from: 'last_seen', missing: 'arrival' },
    except: ['update', 'elapsed'],
    words: ON_OFF,
  },
  tasmota: {
    topic: 'tele/{device}/SENSOR',
    time: { from: 'Time', missing: 'reject', timezone: 'utc' },
    words: ON_OFF,
  },
  flows: {
    device: ['{SrcIP}:{DstIP}', '{Src IP}:{Dst IP}', '{Source IP}:{Destination IP}'],
    time: { from: ['Timestamp', 'timestamp', 'ts'], missing: 'arrival' },
    id: ['record_id', 'content'],
    except: [
      ...['SrcPort', 'DstPort', 'Src Port', 'Dst Port', 'Source Port', 'Destination Port', 'Protocol'],
      ...['SrcIP', 'DstIP', 'Src IP', 'Dst IP', 'Source IP', 'Destination IP', 'Flow ID'],
    ],
  },
};

/** Where a metric's name and value come from. */
export type MetricsPlan =
  | { readonly kind: 'list'; readonly fields: readonly { readonly from: string; readonly as: string }[] }
  | { readonly kind: 'all'; readonly from: string | undefined; readonly except: readonly string[] }
  /** One metric a record; without `value` the payload itself is the number. */
  | { readonly kind: 'single'; readonly metric: FieldSource; readonly value: string | undefined };

export interface TimePlan {
  readonly from: FieldSource;
  readonly missing: 'reject' | 'arrival';
  readonly unit: 'auto' | 'iso' | 's' | 'ms' | 'us' | 'ns';
  readonly format: string | undefined;
  readonly timezone: string | undefined;
}

/** A route with its shape filled in. What is undefined here is nowhere. */
export interface RoutePlan {
  readonly name: string;
  readonly filters: readonly TopicFilter[];
  readonly device: FieldSource | undefined;
  readonly group: FieldSource | undefined;
  /** Undefined: the arrival time. */
  readonly time: TimePlan | undefined;
  readonly id: FieldSource | undefined;
  readonly metrics: MetricsPlan;
  readonly records: string | undefined;
  readonly words: Readonly<Record<string, number>>;
  readonly numericStrings: boolean;
  readonly windowMs: number;
  readonly latenessMs: number;
}

/** The word that stands for the arrival time where a field is expected. */
export const ARRIVAL = 'arrival';

export function planRoute(route: RouteOptions): RoutePlan {
  const preset = PRESETS[route.shape];
  const topics = [route.topic ?? preset.topic ?? []].flat();
  const filters = topics.map(parseTopicFilter).filter((filter): filter is TopicFilter => !('expected' in filter));
  const named = (name: string) =>
    filters.length > 0 && filters.every(({ names }) => names.includes(name)) ? `{${name}}` : undefined;
  return {
    name: route.name ?? topics[0] ?? '',
    filters,
    device: route.device ?? named('device') ?? preset.device,
    group: route.group ?? named('group'),
    time: planTime(route.time, preset),
    id: route.id ?? preset.id,
    metrics: planMetrics(route, preset),
    records: route.records,
    words: route.words ?? preset.words ?? {},
    numericStrings: route.numericStrings ?? false,
    windowMs: route.window,
    latenessMs: route.lateness,
  };
}

function planTime(given: RouteOptions['time'], preset: Preset): TimePlan | undefined {
  const own = typeof given === 'string' || Array.isArray(given) ? { from: given } : (given ?? {});
  const from = own.from ?? preset.time?.from;
  if (from === undefined || from === ARRIVAL) return undefined;
  return {
    from,
    missing:
      ('missing' in own ? own.missing : undefined) ??
      (own.from === undefined ? preset.time?.missing : undefined) ??
      'reject',
    unit: ('unit' in own ? own.unit : undefined) ?? 'auto',
    format: 'format' in own ? own.format : undefined,
    timezone: ('timezone' in own ? own.timezone : undefined) ?? preset.time?.timezone,
  };
}

function planMetrics(route: RouteOptions, preset: Preset): MetricsPlan {
  const { metrics } = route;
  if (Array.isArray(metrics)) {
    return {
      kind: 'list',
      fields: metrics.map((each) => (typeof each === 'string' ? { from: each, as: each } : each)),
    };
  }
  const metric = route.metric ?? preset.metric;
  if (metrics === undefined && metric !== undefined) {
    return { kind: 'single', metric, value: route.value ?? preset.value };
  }
  return { kind: 'all', from: metrics?.from, except: [...(preset.except ?? []), ...(metrics?.except ?? [])] };
}
