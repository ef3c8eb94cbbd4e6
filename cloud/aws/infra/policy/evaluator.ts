/**
 * Says what a set of AWS IoT policies allows, as the broker would: wildcards, variables, conditions, an explicit deny wins,
 * and what nobody allows is denied. For tests and for the stand-in of the broker; the real broker needs no help.
 *
 * Throws on what it does not know (an operator, a wildcard in a place of its own) instead of guessing. Pure.
 */
import type { Condition, IotAction, PolicyDocument, Statement } from './document.js';

/** Who asks, as policy variables and context keys see it: over HTTPS there are no `iot:Connection.Thing` keys. */
export type Context = Readonly<Record<string, string | readonly string[]>>;

export interface Request {
  readonly action: IotAction;
  /** What follows the ARN of region and account: `client/…`, `topic/…`, `topicfilter/…`. */
  readonly resource: string;
  readonly context: Context;
}

export type Decision = 'allowed' | 'denied' | 'explicitly-denied';

/** `arn` is `arn:<partition>:iot:<region>:<account>`. */
export function evaluate(policies: readonly PolicyDocument[], arn: string, request: Request): Decision {
  const matching = policies
    .flatMap((policy) => policy.Statement)
    .filter((statement) => matches(statement, `${arn}:${request.resource}`, request));
  if (matching.some((statement) => statement.Effect === 'Deny')) return 'explicitly-denied';
  return matching.length > 0 ? 'allowed' : 'denied';
}

function matches(statement: Statement, resource: string, { action, context }: Request): boolean {
  return (
    list(statement.Action).some((pattern) => pattern === action) &&
    list(statement.Resource).some((pattern) => matchesPattern(pattern, resource, context)) &&
    holds(statement.Condition ?? {}, context)
  );
}

/**
 * `*` stands for any characters, slashes included, `?` for one; `+` and `#` are characters like others. What a variable
 * stands for is literal, whatever characters it has; a pattern with a variable that has no value matches nothing.
 */
function matchesPattern(pattern: string, text: string, context: Context): boolean {
  let isComplete = true;
  const source = pattern.replaceAll(/\$\{([^}]*)\}|[\s\S]/g, (part, variable: string | undefined) => {
    if (variable === undefined) return part === '*' ? '[\\s\\S]*' : part === '?' ? '[\\s\\S]' : literal(part);
    const value = valueOfVariable(variable, context);
    if (value === undefined) isComplete = false;
    return literal(value ?? '');
  });
  return isComplete && new RegExp(`^${source}$`).test(text);
}

/** `${*}`, `${?}` and `${$}` are those characters. Of several values a variable is the first. */
function valueOfVariable(variable: string, context: Context): string | undefined {
  if (['*', '?', '$'].includes(variable)) return variable;
  const value = context[variable];
  return value === undefined ? undefined : list(value)[0];
}

function holds(condition: Condition, context: Context): boolean {
  return Object.entries(condition).every(([operator, keys]) =>
    Object.entries(keys).every(([key, expected]) => {
      const compare = OPERATORS[operator];
      if (compare === undefined) throw new Error(`the evaluator does not know the operator ${operator}`);
      return compare(context[key], list(expected));
    }),
  );
}

type Values = readonly string[];

const OPERATORS: Readonly<Record<string, (actual: string | Values | undefined, expected: Values) => boolean>> = {
  Bool: (actual, expected) => actual !== undefined && list(actual).some((value) => expected.includes(value)),
  StringEquals: (actual, expected) => actual !== undefined && list(actual).some((value) => expected.includes(value)),
  // of no values, all are equal
  'ForAllValues:StringEquals': (actual, expected) => list(actual ?? []).every((value) => expected.includes(value)),
  'ForAnyValue:StringEquals': (actual, expected) => list(actual ?? []).some((value) => expected.includes(value)),
};

function list<T extends string>(values: T | readonly T[]): readonly T[] {
  return typeof values === 'string' ? [values] : values;
}

function literal(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
