/** The names of one table, as far as this process has met them: devices by gateway, metrics of all, and the gateways. */
import type { MetricNames } from '../blob.js';
import type { Subject, Where } from '../store.js';
import { keyed, textOf } from './attributes.js';
import { DIRECTORY_SHARDS, directoryKey, directoryPk, gatewayPk } from './keys.js';
import { NameLog } from './names.js';
import { ABSENT, queryAll, type Requests } from './requests.js';

type DeviceName = readonly [group: string, device: string];
type MetricName = readonly [name: string, gateway: string];

/** The devices of one gateway, and their groups: both numbered in the order in which they were first named. */
export class Devices {
  readonly log: NameLog<DeviceName>;
  readonly #gateway: string;
  readonly #groups = new Map<string, number>();
  readonly #groupNames: string[] = [];
  readonly #groupOf: number[] = [];
  readonly #subjects = { device: [] as Subject[], group: [] as Subject[] };

  constructor(requests: Requests, gateway: string) {
    this.#gateway = gateway;
    this.log = new NameLog(requests, gatewayPk(gateway), ([group, device]) => `${group}\0${device}`);
  }

  find(group: string, device: string): number | undefined {
    return this.log.find(`${group}\0${device}`);
  }

  groupOf(device: number): number {
    this.#number();
    return this.#groupOf[device]!;
  }

  size(scope: 'device' | 'group'): number {
    this.#number();
    return scope === 'device' ? this.log.size : this.#groupNames.length;
  }

  idOf(scope: 'device' | 'group', subject: Subject): number | undefined {
    this.#number();
    return scope === 'device' ? this.find(subject.group!, subject.device!) : this.#groups.get(subject.group!);
  }

  /** The same id gives the same object. */
  subject(scope: 'device' | 'group', id: number): Subject {
    this.#number();
    const known = this.#subjects[scope][id];
    if (known !== undefined) return known;
    const gateway = this.#gateway;
    const [group, device] = scope === 'device' ? this.log.entries[id]! : [this.#groupNames[id]!, undefined];
    const subject = { gateway, group, device };
    this.#subjects[scope][id] = subject;
    return subject;
  }

  /** Ids of those that a filter lets through. */
  *idsWhere(scope: 'device' | 'group', where: Where): Generator<number> {
    for (let id = 0; id < this.size(scope); id++) if (isWithin(this.subject(scope, id), where)) yield id;
  }

  #number(): void {
    for (let id = this.#groupOf.length; id < this.log.size; id++) {
      const [group] = this.log.entries[id]!;
      let number = this.#groups.get(group);
      if (number === undefined) {
        number = this.#groupNames.push(group) - 1;
        this.#groups.set(group, number);
      }
      this.#groupOf.push(number);
    }
  }
}

export function isWithin(subject: Subject, where: Where): boolean {
  return (
    (where.gateway === undefined || subject.gateway === where.gateway) &&
    (where.group === undefined || subject.group === where.group) &&
    (where.device === undefined || subject.device === where.device)
  );
}

export class DynamoDictionary implements MetricNames {
  readonly #requests: Requests;
  readonly #devices = new Map<string, Devices>();
  readonly #metrics: NameLog<MetricName>;
  readonly #listed = new Set<string>();

  constructor(requests: Requests) {
    this.#requests = requests;
    this.#metrics = new NameLog(requests, 'metrics', ([name]) => name);
  }

  devices(gateway: string): Devices {
    let devices = this.#devices.get(gateway);
    if (devices === undefined) {
      devices = new Devices(this.#requests, gateway);
      this.#devices.set(gateway, devices);
    }
    return devices;
  }

  metric(name: string): number {
    const id = this.#metrics.find(name);
    if (id === undefined) throw new RangeError(`the metric ${name} has no id`);
    return id;
  }

  metricName(id: number): string {
    const entry = this.#metrics.entries[id];
    if (entry === undefined) throw new RangeError(`no metric has id ${id}`);
    return entry[0];
  }

  hasMetric(name: string): boolean {
    return this.#metrics.find(name) !== undefined;
  }

  /** How many names of metrics a gateway brought in. */
  metricsNamedBy(gateway: string): number {
    return this.#metrics.entries.filter(([, by]) => by === gateway).length;
  }

  refreshMetrics(): Promise<void> {
    return this.#metrics.refresh();
  }

  addMetrics(gateway: string, names: Iterable<string>): Promise<void> {
    return this.#metrics.add([...names].map((name) => [name, gateway]));
  }

  /** Sees to it that a gateway is in the list before anything else of it is in the table. */
  async list(gateway: string): Promise<void> {
    if (this.#listed.has(gateway)) return;
    const key = directoryKey(gateway);
    if ((await this.#requests.get(key)) === undefined) await this.#requests.put('names', keyed(key), ABSENT);
    this.#listed.add(gateway);
  }

  /** All there are, in the order of their names. */
  async gateways(): Promise<string[]> {
    const shards = Array.from({ length: DIRECTORY_SHARDS }, (_, shard) => directoryPk(shard));
    const items = await Promise.all(shards.map((pk) => queryAll(this.#requests, pk, ' ', '~')));
    return items
      .flat()
      .map((item) => textOf(item, 'sk').slice('gateway#'.length))
      .sort();
  }
}
