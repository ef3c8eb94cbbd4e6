/** What can be wrong with a route although each of its keys is right by itself. */
import { parseZone } from './calendar.js';
import type { FieldSource } from './field.js';
import type { RouteOptions } from './route-options.js';
import { planRoute } from './route-shapes.js';
import { formatHasZone } from './time-format.js';

export interface RouteProblem {
  readonly path: string[];
  /** What was expected. */
  readonly message: string;
}

export function routeProblems(route: RouteOptions): RouteProblem[] {
  return [...identityProblems(route), ...metricProblems(route), ...timeProblems(route)];
}

function identityProblems(route: RouteOptions): RouteProblem[] {
  const plan = planRoute(route);
  const problems: RouteProblem[] = [];
  const topics = [route.topic ?? []].flat();
  if (topics.length > 0 && plan.filters.length < topics.length) return problems; // a topic is reported by itself
  if (plan.filters.length === 0 && route.name === undefined) {
    problems.push({ path: ['topic'], message: 'a topic, or a name for a route that is only for `import`' });
  }
  if (plan.device === undefined) {
    problems.push({
      path: ['device'],
      message: 'where the device’s name is: a field of the payload, or {device} in the topic',
    });
  }
  if (route.shape === 'number') {
    const inTopic = (source: FieldSource | undefined) => source === undefined || isOutsidePayload(source, plan.filters);
    for (const key of ['device', 'group', 'id'] as const) {
      if (!inTopic(plan[key]))
        problems.push({ path: [key], message: 'a level of the topic or a constant: the payload is just a number' });
    }
    if (plan.time !== undefined) problems.push({ path: ['time'], message: 'nothing: the payload is just a number' });
    if (plan.metrics.kind !== 'single' || !inTopic(plan.metrics.metric)) {
      problems.push({
        path: ['metric'],
        message: 'the metric’s name: {metric} in the topic, or metric: { constant: … }',
      });
    }
  }
  return problems;
}

function isOutsidePayload(source: FieldSource, filters: readonly { readonly names: readonly string[] }[]): boolean {
  if (typeof source !== 'string')
    return 'constant' in source || source.every((each) => isOutsidePayload(each, filters));
  const references = [...source.matchAll(/\{([^{}]+)\}/g)].map((match) => match[1]!);
  return references.length > 0 && references.every((name) => filters.every(({ names }) => names.includes(name)));
}

function metricProblems(route: RouteOptions): RouteProblem[] {
  const { metrics } = planRoute(route);
  const problems: RouteProblem[] = [];
  if (route.metrics !== undefined && (route.metric !== undefined || route.value !== undefined)) {
    problems.push({ path: ['metrics'], message: 'either metrics, or metric and value' });
  }
  if (metrics.kind === 'single' && metrics.value === undefined && route.shape !== 'number') {
    problems.push({ path: ['value'], message: 'the field of the metric’s value' });
  }
  if (metrics.kind !== 'single' && route.value !== undefined) {
    problems.push({ path: ['metric'], message: 'where the metric’s name is, as there is a value' });
  }
  if (metrics.kind === 'list') {
    const names = metrics.fields.map((field) => field.as);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) problems.push({ path: ['metrics'], message: `each name once (${twice} is there twice)` });
  }
  return problems;
}

function timeProblems(route: RouteOptions): RouteProblem[] {
  const { time } = planRoute(route);
  const given = typeof route.time === 'object' && !Array.isArray(route.time) ? route.time : undefined;
  if (time === undefined || given === undefined) return [];
  if (time.format === undefined || (time.timezone !== undefined && parseZone(time.timezone) !== undefined)) return [];
  if (formatHasZone(time.format)) return [];
  return [
    {
      path: ['time', 'timezone'],
      message: 'the zone of these times, utc or an offset such as +02:00, as the format has none',
    },
  ];
}
