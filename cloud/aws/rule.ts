/**
 * The rules of AWS IoT Core between gateways and the queue, and what comes out of them: the message as base64, beside what
 * the broker knows of it. The bytes of a gateway are never read by SQL, which rewrites numbers.
 *
 * Basic Ingest (`$aws/rules/<rule>/edgetally/v1/…`) triggers the rule by its name; `topic()` is then what follows the prefix.
 */
import { z } from 'zod';
import { TOPIC_ROOT } from '../../shared/topics.js';

/** What a rule takes. */
export type RuleKind = 'batch' | 'status';

export const RULE_SQL_VERSION = '2016-03-23';

export function ruleSql(kind: RuleKind): string {
  return (
    "SELECT encode(*, 'base64') AS payload, topic() AS topic, clientid() AS clientId, principal() AS principal, " +
    `timestamp() AS timestamp FROM '${TOPIC_ROOT}/+/up/${kind}'`
  );
}

const output = z.object({
  payload: z.base64(),
  topic: z.string(),
  clientId: z.string(),
  principal: z.string(),
  /** When the broker had it, ms: the same however often the queue delivers it. */
  timestamp: z.int().min(0),
});

export interface RuleMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly clientId: string;
  readonly principal: string;
  readonly timestampMs: number;
}

export type RuleOutput =
  | { readonly ok: true; readonly message: RuleMessage }
  | { readonly ok: false; readonly detail: string };

/** Total. */
export function readRuleOutput(text: string): RuleOutput {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, detail: 'what the queue delivered is not JSON' };
  }
  const parsed = output.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const where = issue.path.join('.') || 'the record';
    return { ok: false, detail: `not what the rule puts out: ${where}: ${issue.message}` };
  }
  const { payload, timestamp: timestampMs, ...rest } = parsed.data;
  return { ok: true, message: { ...rest, payload: Buffer.from(payload, 'base64'), timestampMs } };
}
