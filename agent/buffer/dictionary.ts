/** Small ids for names. A new name is written in the transaction of the block that uses it first. */
import type { Db } from './schema.js';

export interface DeviceName {
  readonly group: string;
  readonly device: string;
}

/** Senders with ever new names must not fill memory and disk. */
export interface DictionaryLimits {
  readonly maxDevices: number;
  readonly maxMetricNames: number;
}

export class Dictionary {
  readonly #devices: DeviceName[] = [];
  /** By group, then by device: no text is put together to look one up. */
  readonly #deviceIds = new Map<string, Map<string, number>>();
  readonly #metrics: string[] = [];
  readonly #metricIds = new Map<string, number>();
  readonly #unsaved: (() => void)[] = [];
  readonly #limits: DictionaryLimits;
  readonly #saveDevice;
  readonly #saveMetric;

  constructor(db: Db, limits: DictionaryLimits) {
    this.#limits = limits;
    this.#saveDevice = db.prepare('INSERT INTO devices (id, grp, name) VALUES (?, ?, ?)');
    this.#saveMetric = db.prepare('INSERT INTO metrics (id, name) VALUES (?, ?)');
    for (const row of db.prepare('SELECT id, grp, name FROM devices').all() as {
      id: number;
      grp: string;
      name: string;
    }[]) {
      this.#addDevice(row.id, { group: row.grp, device: row.name });
    }
    for (const row of db.prepare('SELECT id, name FROM metrics').all() as { id: number; name: string }[]) {
      this.#addMetric(row.id, row.name);
    }
  }

  /** Undefined where it is new and there are as many as there may be. */
  device(group: string, device: string): number | undefined {
    const known = this.#deviceIds.get(group)?.get(device);
    if (known !== undefined) return known;
    if (this.#devices.length > this.#limits.maxDevices) return undefined; // ids begin with 1
    const id = Math.max(1, this.#devices.length);
    this.#addDevice(id, { group, device });
    this.#unsaved.push(() => this.#saveDevice.run(id, group, device));
    return id;
  }

  hasDevice(group: string, device: string): boolean {
    return this.#deviceIds.get(group)?.has(device) ?? false;
  }

  /** Undefined where it is new and there are as many as there may be. */
  metric(name: string): number | undefined {
    const known = this.#metricIds.get(name);
    if (known !== undefined) return known;
    if (this.#metricIds.size >= this.#limits.maxMetricNames) return undefined;
    const id = Math.max(1, this.#metrics.length);
    this.#addMetric(id, name);
    this.#unsaved.push(() => this.#saveMetric.run(id, name));
    return id;
  }

  deviceName(id: number): DeviceName {
    const name = this.#devices[id];
    if (name === undefined) throw new RangeError(`no device has id ${id}`);
    return name;
  }

  metricName(id: number): string {
    const name = this.#metrics[id];
    if (name === undefined) throw new RangeError(`no metric has id ${id}`);
    return name;
  }

  /** Writes the names that are new; call inside a transaction, and `saved` after its commit. */
  save(): void {
    for (const save of this.#unsaved) save();
  }

  saved(): void {
    this.#unsaved.length = 0;
  }

  #addDevice(id: number, name: DeviceName): void {
    this.#devices[id] = name;
    const ofGroup = this.#deviceIds.get(name.group);
    if (ofGroup === undefined) this.#deviceIds.set(name.group, new Map([[name.device, id]]));
    else ofGroup.set(name.device, id);
  }

  #addMetric(id: number, name: string): void {
    this.#metrics[id] = name;
    this.#metricIds.set(name, id);
  }
}
