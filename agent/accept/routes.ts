/**
 * Routes: from a message to its readings. Decoding is total: bytes in; readings and rejections out, and every record of
 * the message is in exactly one of the two. Never throws, never keeps the payload.
 *
 * Routes are compiled once. Topics repeat, so which route takes a topic is remembered, within bounds.
 */
import type { Decoded, Message, Reject } from '../reading.js';
import { compileField, type Read } from './field.js';
import { numberOfText } from './metric-values.js';
import { readJson, readText } from './payload.js';
import { compileRecord, type DecodeRecord, type Decoding } from './records.js';
import { reject, shown } from './rejects.js';
import type { DecodeLimits, RouteOptions } from './route-options.js';
import { planRoute, type RoutePlan } from './route-shapes.js';
import { matchTopic, subscriptionsOf, type TopicFilter } from './topic-filter.js';

export type Decode = (message: Message) => Decoded;

/** One filter of one route. */
interface Branch {
  readonly filter: TopicFilter;
  readonly plan: RoutePlan;
  readonly records: Read | undefined;
  readonly decodeRecord: DecodeRecord;
}

interface Matched {
  readonly branch: Branch;
  readonly topicValues: readonly string[];
}

const MAX_REMEMBERED_TOPICS = 8192;
const MAX_REMEMBERED_TOPIC_LENGTH = 256;

export function compileRoutes(routes: readonly RouteOptions[], limits: DecodeLimits): Decode {
  const match = topicMatcher(routes.flatMap((route) => compileBranches(route, limits)));
  return (message) => {
    try {
      return decode(message, match, limits);
    } catch (error) {
      // Not known to happen. A message that would stop the gateway each time it is redelivered is the worse outcome.
      return rejected(reject('wrong-shape', `this message cannot be decoded: ${String(error)}`));
    }
  };
}

/** The topic filters that a client of a broker subscribes to. */
export function routeSubscriptions(routes: readonly RouteOptions[]): string[] {
  return subscriptionsOf(routes.flatMap((route) => planRoute(route).filters));
}

function compileBranches(route: RouteOptions, limits: DecodeLimits): Branch[] {
  const plan = planRoute(route);
  const style = { style: 'nested', decimal: '.', numericStrings: plan.numericStrings } as const;
  return plan.filters.map((filter) => ({
    filter,
    plan,
    records: plan.records === undefined ? undefined : compileField(plan.records, [], 'nested'),
    decodeRecord: compileRecord(plan, filter.names, style, limits),
  }));
}

function topicMatcher(branches: readonly Branch[]): (topic: string) => Matched | undefined {
  const remembered = new Map<string, Matched | undefined>();
  return (topic) => {
    const known = remembered.get(topic);
    if (known !== undefined) return known;
    if (remembered.has(topic)) return undefined;
    const levels = topic.split('/');
    let matched: Matched | undefined;
    for (const branch of branches) {
      const topicValues = matchTopic(branch.filter, levels);
      if (topicValues === undefined) continue;
      matched = { branch, topicValues };
      break;
    }
    if (remembered.size >= MAX_REMEMBERED_TOPICS) remembered.clear();
    if (topic.length <= MAX_REMEMBERED_TOPIC_LENGTH) remembered.set(topic, matched);
    return matched;
  };
}

const NONE: readonly [] = [];
const EMPTY_LIST = reject('wrong-shape', 'got an empty list, expected records');
const NOT_A_RECORD = reject('wrong-shape', 'got something else, expected an object with fields');

function rejected(...rejects: Reject[]): Decoded {
  return { readings: NONE, rejects, valueRejects: NONE };
}

function decode(message: Message, match: (topic: string) => Matched | undefined, limits: DecodeLimits): Decoded {
  const matched = match(message.topic);
  if (matched === undefined) return rejected(reject('no-route', `no route for the topic ${shown(message.topic)}`));
  const text = readText(message.payload, limits);
  if (!text.ok) return rejected(text.reject);

  const { branch, topicValues } = matched;
  const { metrics } = branch.plan;
  const into: Decoding = { readings: [], rejects: [], valueRejects: [] };
  if (metrics.kind === 'single' && metrics.value === undefined) {
    branch.decodeRecord({ record: bareValue(text.text), envelope: undefined, topicValues }, message.arrivalUs, into);
    return into;
  }
  const json = readJson(text.text, limits);
  if (!json.ok) return rejected(json.reject);
  decodeRoot(json.value, matched, message.arrivalUs, into);
  return into;
}

/** What a payload without any JSON around it says: a number, or a word that the route may know. */
function bareValue(text: string): number | boolean | string {
  const plain = text.trim();
  if (plain === 'true' || plain === 'false') return plain === 'true';
  const number = numberOfText(plain, '.');
  return Number.isNaN(number) ? plain : number;
}

function decodeRoot(root: unknown, matched: Matched, arrivalUs: number, into: Decoding): void {
  if (!Array.isArray(root)) {
    decodeOne(root, matched, arrivalUs, into);
    return;
  }
  if (root.length === 0) into.rejects.push(EMPTY_LIST);
  for (const item of root as unknown[]) decodeOne(item, matched, arrivalUs + into.readings.length, into);
}

/** One record, or one object around a list of records. Those without a time of their own are a µs apart. */
function decodeOne(item: unknown, matched: Matched, arrivalUs: number, into: Decoding): void {
  const { records, plan } = matched.branch;
  if (records === undefined) {
    decodeItem(item, undefined, matched, arrivalUs, into);
    return;
  }
  const list = records({ record: item, envelope: undefined, topicValues: matched.topicValues });
  if (!Array.isArray(list)) {
    into.rejects.push(reject('wrong-shape', `${plan.records}: got ${shown(list)}, expected a list of records`));
    return;
  }
  if (list.length === 0) into.rejects.push(EMPTY_LIST);
  const before = into.readings.length;
  for (const record of list as unknown[]) {
    decodeItem(record, item, matched, arrivalUs + into.readings.length - before, into);
  }
}

function decodeItem(record: unknown, envelope: unknown, matched: Matched, arrivalUs: number, into: Decoding): void {
  if (typeof record === 'object' && record !== null && !Array.isArray(record)) {
    matched.branch.decodeRecord({ record, envelope, topicValues: matched.topicValues }, arrivalUs, into);
  } else into.rejects.push(NOT_A_RECORD);
}
