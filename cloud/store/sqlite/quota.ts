/**
 * What one gateway may put into the database: so many devices and names of metrics in all, so many new rows a UTC day of the
 * cloud's clock. A gateway that lies, or went mad, fills its own share and nobody else's.
 *
 * Counted in the row of the gateway, inside the transaction of its caller; a batch that is refused puts nothing. Looking
 * costs nothing but a comparison until a gateway comes near its limits.
 */

import type { Quota, Refusal } from '../quota.js';
import { type BatchChange, DAY_MS, floorTo } from '../store.js';
import type { SqliteDictionary } from './dictionary.js';
import type { Db } from './schema.js';

interface Usage {
  devices: number;
  metrics: number;
  dayMs: number;
  rows: number;
}

export class SqliteQuota {
  readonly #dictionary: SqliteDictionary;
  readonly #quota: Quota;
  readonly #statements;
  readonly #usage = new Map<number, Usage>();

  constructor(db: Db, dictionary: SqliteDictionary, quota: Quota) {
    this.#dictionary = dictionary;
    this.#quota = quota;
    this.#statements = {
      usage: db.prepare('SELECT devices, metrics, day_ms AS dayMs, rows_today AS rows FROM gateways WHERE id = ?'),
      use: db.prepare(
        `UPDATE gateways SET devices = @devices, metrics = @metrics, day_ms = @dayMs, rows_today = @rows
         WHERE id = @gateway`,
      ),
      refused: db.prepare('UPDATE gateways SET over_quota = over_quota + 1 WHERE id = ?'),
    };
  }

  /** Why a batch is one too many; undefined where it may be put. */
  refusal(gateway: number, batch: BatchChange): Refusal | undefined {
    const refusal = this.#rows(gateway, batch) ?? this.#devices(gateway, batch) ?? this.#metrics(gateway, batch);
    if (refusal !== undefined) this.#statements.refused.run(gateway);
    return refusal;
  }

  /** A batch was put: so many rows are new or changed, and the dictionary grew by so many names. */
  used(gateway: number, receivedMs: number, more: { rows: number; devices: number; metrics: number }): void {
    const usage = this.#usageOf(gateway, receivedMs);
    usage.rows += more.rows;
    usage.devices += more.devices;
    usage.metrics += more.metrics;
    this.#statements.use.run({ gateway, ...usage });
  }

  #rows(gateway: number, { receivedMs }: BatchChange): Refusal | undefined {
    const { rows } = this.#usageOf(gateway, receivedMs);
    const { rowsPerDay } = this.#quota;
    if (rows < rowsPerDay) return undefined;
    const detail = `the gateway has put ${rows} rows into the database today, its limit is ${rowsPerDay} (quota.rowsPerDay)`;
    return { reason: 'quota', detail };
  }

  #devices(gateway: number, { receivedMs, windows, ledger, losses }: BatchChange): Refusal | undefined {
    const { devices } = this.#usageOf(gateway, receivedMs);
    const room = this.#quota.devices - devices;
    if (windows.length + ledger.length + losses.length <= room) return undefined;
    const unknown = new Set<string>();
    for (const { group, device } of [...windows, ...ledger, ...losses]) {
      if (group === undefined || device === undefined || this.#dictionary.hasDevice(gateway, group, device)) continue;
      unknown.add(`${group}\0${device}`);
    }
    if (unknown.size <= room) return undefined;
    const detail = `${unknown.size} new devices beside ${devices}, the limit of a gateway is ${this.#quota.devices} (quota.devices)`;
    return { reason: 'quota-names', detail };
  }

  #metrics(gateway: number, { receivedMs, windows }: BatchChange): Refusal | undefined {
    const { metrics } = this.#usageOf(gateway, receivedMs);
    const unknown = new Set<string>();
    for (const window of windows) {
      for (const name of window.metrics.keys()) if (!this.#dictionary.hasMetric(name)) unknown.add(name);
    }
    if (unknown.size === 0 || metrics + unknown.size <= this.#quota.metrics) return undefined;
    const limit = `the limit of a gateway is ${this.#quota.metrics} (quota.metrics)`;
    return {
      reason: 'quota-names',
      detail: `${unknown.size} new metrics beside the ${metrics} it named first, ${limit}`,
    };
  }

  #usageOf(gateway: number, receivedMs: number): Usage {
    let usage = this.#usage.get(gateway);
    if (usage === undefined) {
      usage = this.#statements.usage.get(gateway) as Usage;
      this.#usage.set(gateway, usage);
    }
    const dayMs = floorTo(receivedMs, DAY_MS);
    if (usage.dayMs !== dayMs) Object.assign(usage, { dayMs, rows: 0 });
    return usage;
  }
}
