/**
 * What CloudFormation would make of the template for given parameters: conditions decided, intrinsic functions worked out,
 * what is conditional and not wanted left out. For tests. Throws on a reference to what is not there, and on a function that
 * it does not know.
 */
import type { Resource, Template } from './template.js';

type Values = Readonly<Record<string, string | number>>;
type Json = unknown;

export interface Resolved {
  readonly resources: Readonly<Record<string, Resource>>;
  readonly outputs: Readonly<Record<string, string>>;
}

/** What the pseudo parameters and attributes are in tests. */
export const PSEUDO = {
  'AWS::Partition': 'aws-us-gov',
  'AWS::Region': 'ap-southeast-2',
  'AWS::AccountId': '123456789012',
} as const;

const NOTHING = Symbol('AWS::NoValue');

export function resolve(template: Template, parameters: Values): Resolved {
  const context = new Context(template, parameters);
  const wanted = <T extends { readonly Condition?: string }>(all: Readonly<Record<string, T>>): [string, T][] =>
    Object.entries(all).filter(([, { Condition }]) => Condition === undefined || context.holds(Condition));
  const resources = wanted(template.Resources).map(([id, resource]) => [id, context.value(resource)]);
  const outputs = wanted(template.Outputs as Record<string, { Condition?: string; Value?: Json }>).map(
    ([id, { Value }]) => [id, context.value(Value)],
  );
  return { resources: Object.fromEntries(resources), outputs: Object.fromEntries(outputs) };
}

class Context {
  readonly #template: Template & { readonly Conditions?: Readonly<Record<string, Json>> };
  readonly #values: Values;

  constructor(template: Template, parameters: Values) {
    this.#template = template;
    const presets = Object.entries(template.Parameters).map(([name, { Default }]) => [name, Default]);
    this.#values = { ...Object.fromEntries(presets), ...PSEUDO, ...parameters };
  }

  holds(condition: string): boolean {
    return this.value(this.#template.Conditions?.[condition]) === true;
  }

  value(json: Json): Json {
    if (Array.isArray(json)) return json.map((one) => this.value(one)).filter((one) => one !== NOTHING);
    if (typeof json !== 'object' || json === null) return json;
    const entries = Object.entries(json);
    const [name, argument] = entries.length === 1 ? entries[0]! : [];
    if (name === 'Ref' || (name === 'Condition' && typeof argument === 'string') || name?.startsWith('Fn::')) {
      return this.#call(name, argument);
    }
    const kept = entries.map(([key, one]) => [
      key,
      key === 'Condition' && typeof one === 'string' ? one : this.value(one),
    ]);
    return Object.fromEntries(kept.filter(([, one]) => one !== NOTHING));
  }

  #call(name: string, argument: Json): Json {
    const list = argument as readonly Json[];
    switch (name) {
      case 'Ref':
        return this.#ref(String(argument));
      case 'Condition':
        return this.holds(String(argument));
      case 'Fn::GetAtt':
        this.#mustBeThere(String(list[0]));
        return `<${list.join('.')}>`;
      case 'Fn::Join':
        return (this.value(list[1]) as readonly Json[]).join(String(list[0]));
      case 'Fn::If':
        return this.value(this.holds(String(list[0])) ? list[1] : list[2]);
      case 'Fn::Equals':
        return String(this.value(list[0])) === String(this.value(list[1]));
      case 'Fn::Not':
        return this.value(list[0]) !== true;
      case 'Fn::Or':
        return list.some((one) => this.value(one) === true);
      default:
        throw new Error(`${name} is not known here`);
    }
  }

  #ref(name: string): Json {
    if (name === 'AWS::NoValue') return NOTHING;
    const value = this.#values[name];
    if (value !== undefined) return value;
    this.#mustBeThere(name);
    return `<${name}>`;
  }

  #mustBeThere(id: string): void {
    const resource = this.#template.Resources[id];
    const isMade = resource?.Condition === undefined || this.holds(resource.Condition);
    if (resource === undefined || !isMade) throw new Error(`${id} is referred to, and is not made`);
  }
}
