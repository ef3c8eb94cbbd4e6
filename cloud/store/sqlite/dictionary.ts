/**
 * Small ids for names, both ways, of one connection to the database. A reader takes in what has been added since with
 * `refresh`; the writer adds. After a rollback it may know what the file does not, and is thrown away.
 */

import type { Scope, Subject, Where } from '../store.js';
import type { Db } from './schema.js';

/** The subject of scope `all`. */
export const EVERYTHING: Subject = { gateway: undefined, group: undefined, device: undefined };
export const EVERYTHING_ID = 0;

interface NameRow {
  readonly id: number;
  readonly parent: number;
  readonly name: string;
}

/** Names within a parent, such as the devices of a group. */
class Names {
  readonly byId = new Map<number, NameRow>();
  readonly #ids = new Map<number, Map<string, number>>();
  readonly #newer;
  readonly #insert;
  #newest = 0;

  constructor(db: Db, table: string, parent: string) {
    this.#newer = db.prepare<[number], NameRow>(
      `SELECT id, ${parent} AS parent, name FROM ${table} WHERE id > ? ORDER BY id`,
    );
    const columns =
      parent === '0' ? '(id, name) VALUES (@id, @name)' : `(id, ${parent}, name) VALUES (@id, @parent, @name)`;
    this.#insert = db.readonly ? undefined : db.prepare<NameRow>(`INSERT INTO ${table} ${columns}`);
  }

  refresh(): void {
    for (const row of this.#newer.all(this.#newest)) this.#add(row);
  }

  idOf(parent: number, name: string): number {
    const known = this.find(parent, name);
    if (known !== undefined) return known;
    const row = { id: this.#newest + 1, parent, name };
    this.#insert!.run(row);
    this.#add(row);
    return row.id;
  }

  get size(): number {
    return this.byId.size;
  }

  find(parent: number, name: string): number | undefined {
    return this.#ids.get(parent)?.get(name);
  }

  #add(row: NameRow): void {
    this.byId.set(row.id, row);
    let siblings = this.#ids.get(row.parent);
    if (siblings === undefined) {
      siblings = new Map();
      this.#ids.set(row.parent, siblings);
    }
    siblings.set(row.name, row.id);
    this.#newest = row.id;
  }
}

export class SqliteDictionary {
  readonly #gateways: Names;
  readonly #groups: Names;
  readonly #devices: Names;
  readonly #metrics: Names;
  readonly #subjects = { device: new Map<number, Subject>(), group: new Map<number, Subject>() };

  constructor(db: Db) {
    this.#gateways = new Names(db, 'gateways', '0');
    this.#groups = new Names(db, 'groups', 'gateway');
    this.#devices = new Names(db, 'devices', 'grp');
    this.#metrics = new Names(db, 'metrics', '0');
    this.refresh();
  }

  refresh(): void {
    for (const names of this.#all()) names.refresh();
  }

  gateway(name: string): number {
    return this.#gateways.idOf(0, name);
  }

  group(gateway: number, name: string): number {
    return this.#groups.idOf(gateway, name);
  }

  device(group: number, name: string): number {
    return this.#devices.idOf(group, name);
  }

  hasDevice(gateway: number, group: string, device: string): boolean {
    const id = this.#groups.find(gateway, group);
    return id !== undefined && this.#devices.find(id, device) !== undefined;
  }

  hasMetric(name: string): boolean {
    return this.#metrics.find(0, name) !== undefined;
  }

  /** How many there are of all gateways. */
  get sizes(): { readonly devices: number; readonly metrics: number } {
    return { devices: this.#devices.size, metrics: this.#metrics.size };
  }

  groupOf(device: number): number {
    return this.#devices.byId.get(device)!.parent;
  }

  metric(name: string): number {
    return this.#metrics.idOf(0, name);
  }

  metricName(id: number): string {
    const row = this.#metrics.byId.get(id);
    if (row === undefined) throw new RangeError(`no metric has id ${id}`);
    return row.name;
  }

  /** The same id gives the same object. */
  subject(scope: Scope, id: number): Subject {
    if (scope === 'all') return EVERYTHING;
    let subject = this.#subjects[scope].get(id);
    if (subject === undefined) {
      const device = scope === 'device' ? this.#devices.byId.get(id) : undefined;
      const group = this.#groups.byId.get(device?.parent ?? id)!;
      const gateway = this.#gateways.byId.get(group.parent)!.name;
      subject = { gateway, group: group.name, device: device?.name };
      this.#subjects[scope].set(id, subject);
    }
    return subject;
  }

  subjectId(scope: Scope, subject: Subject): number {
    const id = this.#find(scope, subject);
    if (id === undefined) throw new RangeError(`no ${scope} ${JSON.stringify(subject)}`);
    return id;
  }

  /** The ids of a scope that a filter lets through; undefined where it lets all through. */
  idsWhere(scope: Scope, where: Where): ReadonlySet<number> | undefined {
    if (where.gateway === undefined && where.group === undefined && where.device === undefined) return undefined;
    if (scope === 'all') throw new RangeError('everything cannot be told apart');
    const exact = where.gateway !== undefined && where.group !== undefined;
    if (exact && (scope === 'device') === (where.device !== undefined)) {
      const id = this.#find(scope, where as Subject);
      return new Set(id === undefined ? [] : [id]);
    }
    const ids = new Set<number>();
    for (const id of (scope === 'device' ? this.#devices : this.#groups).byId.keys()) {
      if (matches(this.subject(scope, id), where)) ids.add(id);
    }
    return ids;
  }

  devices(): Subject[] {
    return [...this.#devices.byId.keys()].map((id) => this.subject('device', id));
  }

  deviceIds(): Iterable<number> {
    return this.#devices.byId.keys();
  }

  #find(scope: Scope, subject: Subject): number | undefined {
    if (scope === 'all') return EVERYTHING_ID;
    const gateway = this.#gateways.find(0, subject.gateway!);
    const group = gateway === undefined ? undefined : this.#groups.find(gateway, subject.group!);
    return scope === 'group' || group === undefined ? group : this.#devices.find(group, subject.device!);
  }

  #all(): Names[] {
    return [this.#gateways, this.#groups, this.#devices, this.#metrics];
  }
}

function matches(subject: Subject, where: Where): boolean {
  return (
    (where.gateway === undefined || subject.gateway === where.gateway) &&
    (where.group === undefined || subject.group === where.group) &&
    (where.device === undefined || subject.device === where.device)
  );
}
