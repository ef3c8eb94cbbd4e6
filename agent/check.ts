/**
 * `edgetally-agent check`: says all that is wrong with a configuration, or sums up what it will do. Pure: text in, text
 * out.
 */
import { formatProblems } from '../shared/config.js';
import type { Environment } from '../shared/config-env.js';
import { formatByteSize, formatDuration } from '../shared/config-fields.js';
import { ERRORS } from '../shared/errors.js';
import type { RouteOptions } from './accept/route-options.js';
import { type MetricsPlan, planRoute, type TimePlan } from './accept/route-shapes.js';
import { routeSubscriptions } from './accept/routes.js';
import type { SourceOptions } from './accept/source-options.js';
import { lossWindow } from './buffer/options.js';
import { type AgentConfig, parseAgentConfig } from './config.js';

export interface Checked {
  readonly ok: boolean;
  /** What to print; no line end after the last line. */
  readonly text: string;
}

/** `file` is the name for messages. */
export function checkConfig(file: string, yamlText: string, env: Environment): Checked {
  const parsed = parseAgentConfig(yamlText, env);
  if (parsed.ok) return { ok: true, text: [`${file}: valid`, ...summaryOf(parsed.value)].join('\n') };
  const count = parsed.problems.length;
  const total = `${count} problem${count === 1 ? '' : 's'}. ${ERRORS['config-invalid'].hint}`;
  return { ok: false, text: `${formatProblems(file, parsed.problems)}\n${total}` };
}

function summaryOf(config: AgentConfig): string[] {
  const { accept, buffer, push, enroll } = config;
  const loss = lossWindow(buffer);
  return [
    `gateway  ${config.gateway}, data in ${config.data}`,
    ...listOf('source', accept.sources.map(sourceLine), 'none: nothing will come in'),
    ...listOf('route', accept.routes.map(routeLine), 'none: every message will be rejected'),
    ...subscriptionLines(config),
    `buffer   at most ${formatByteSize(buffer.maxBytes)}, committed every ${formatDuration(buffer.commitInterval)}`,
    ...(loss === undefined ? [] : [`         ${loss}`]),
    `uplink   ${push === undefined ? 'none: windows stay on this gateway' : push.url}`,
    ...(enroll === undefined
      ? []
      : [`         certificate by template ${enroll.template}${CLAIM[enroll.claimCert === undefined ? 'no' : 'yes']}`]),
  ];
}

const CLAIM = { yes: '', no: '; without enroll.claimCert there is no first one, and none where one has expired' };

function listOf(label: string, lines: readonly string[], none: string): string[] {
  if (lines.length === 0) return [`${label.padEnd(9)}${none}`];
  return lines.map((line) => `${label.padEnd(9)}${line}`);
}

function sourceLine(source: SourceOptions): string {
  if (source.type === 'mqtt') return `${source.name}: client of ${source.url}`;
  const places = source.listeners.map(({ listen, tls }) => `${listen}${tls === undefined ? '' : ' (TLS)'}`);
  return `${source.name}: broker on ${places.join(', ')}`;
}

function routeLine(route: RouteOptions): string {
  const plan = planRoute(route);
  const topics = plan.filters.map(({ text }) => text).join(', ');
  const label =
    topics === '' ? `${plan.name} (import only)` : plan.name === topics ? topics : `${plan.name}: ${topics}`;
  const windows = `windows of ${formatDuration(plan.windowMs)} + ${formatDuration(plan.latenessMs)}`;
  return `${label}; ${windows}; ${timeText(plan.time)}; ${metricsText(plan.metrics)}`;
}

function timeText(time: TimePlan | undefined): string {
  if (time === undefined) return 'arrival time';
  const from = typeof time.from === 'string' ? time.from : 'field';
  return `time from ${from}${time.missing === 'arrival' ? ' or arrival' : ''}`;
}

function metricsText(metrics: MetricsPlan): string {
  if (metrics.kind === 'list') return `metrics ${metrics.fields.map(({ as }) => as).join(', ')}`;
  if (metrics.kind === 'single') return 'one metric a message';
  return metrics.from === undefined ? 'every numeric field' : `every numeric field of ${metrics.from}`;
}

function subscriptionLines({ accept }: AgentConfig): string[] {
  const own = accept.sources.some((source) => source.type === 'mqtt' && source.subscribe === undefined);
  return own ? listOf('topics', [routeSubscriptions(accept.routes).join(', ')], '') : [];
}
