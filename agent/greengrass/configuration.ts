/**
 * From the configuration of the component to that of the agent. At its top are the keys of docs/config.md, beside
 * `accessControl`, which is the nucleus's own; numbers may arrive as text. Pure.
 *
 * What the nucleus knows need not be said again: the gateway is called like the thing, and its brokers are signed by the
 * nucleus's CA. What would fight the nucleus is refused: two connections with one client id take turns in ending each other.
 */
import type { ConfigProblem, ParsedConfig } from '../../shared/config.js';
import type { Environment } from '../../shared/config-env.js';
import { isRecord } from '../../shared/config-schema.js';
import { type AgentConfig, parseAgentConfig } from '../config.js';
import { isAwsEndpoint } from '../push/endpoint.js';

/** What tells the agent's connection from the nucleus's, where both are the same thing. */
const OWN = '-edgetally';
const MAX_CLIENT_ID = 128;

/** On AWS a client is called like its thing, and the cloud side takes batches from the client that is called like their gateway. */
const OWN_THING = 'the name of a thing that is the agent’s own, whose certificate it has';

export interface ComponentConfig {
  /** As a file would have it: `edgetally-agent status` and `check` read it. */
  readonly text: string;
  readonly parsed: ParsedConfig<AgentConfig>;
}

/** `env` is what a nucleus gives its component. */
export function componentConfig(given: unknown, env: Environment): ComponentConfig {
  const { accessControl: _, ...own } = isRecord(given) ? given : {};
  const config = { ...own, gateway: own.gateway ?? env.AWS_IOT_THING_NAME };
  const push = isRecord(own.push) ? { push: completed(own.push, config.gateway, env) } : {};
  const text = JSON.stringify({ ...config, ...push }, null, 2);
  const parsed = parseAgentConfig(text, env);
  if (!parsed.ok) return { text, parsed: { ok: false, problems: parsed.problems.map(withoutPlace) } };
  const problem = fightOf(parsed.value, env);
  return { text, parsed: problem === undefined ? parsed : { ok: false, problems: [problem] } };
}

/** For a connection of our own. */
function completed(push: Record<string, unknown>, gateway: unknown, env: Environment): Record<string, unknown> {
  const url = String(push.url);
  if (!/^mqtts?:/.test(url)) return push;
  const thing = env.AWS_IOT_THING_NAME;
  const isNamed = push.clientId != null || gateway !== thing || isAws(url);
  const clientId = isNamed ? push.clientId : `${thing}${OWN}`.slice(-MAX_CLIENT_ID);
  const ca = push.ca ?? (url.startsWith('mqtts:') ? env.GG_ROOT_CA_PATH || undefined : undefined);
  return { ...push, clientId, ca };
}

function fightOf({ gateway, push }: AgentConfig, env: Environment): ConfigProblem | undefined {
  const thing = env.AWS_IOT_THING_NAME;
  if (push === undefined || !/^mqtts?:/.test(push.url) || (push.clientId ?? gateway) !== thing) return undefined;
  const isGiven = push.clientId !== undefined;
  return {
    line: 0,
    column: 0,
    key: isGiven ? 'push.clientId' : 'gateway',
    got: `${thing}, as whom the nucleus is connected`,
    expected: isGiven ? 'another client id: each would end the connection of the other' : OWN_THING,
  };
}

function isAws(url: string): boolean {
  return URL.canParse(url) && isAwsEndpoint(new URL(url));
}

/** Nobody has a file to look a line up in. */
function withoutPlace(problem: ConfigProblem): ConfigProblem {
  return { ...problem, line: 0, column: 0 };
}
