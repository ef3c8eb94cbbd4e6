/**
 * Puts changes into the database, inside the transaction of its caller: windows by revision, ledger entries by size,
 * statuses by arrival, rejected messages until the quarantine is full.
 */
import { createHash } from 'node:crypto';
import type { BatchIdentity } from '../../../shared/batch.js';
import type { LossRecord } from '../../../shared/loss.js';
import type { WindowSummary } from '../../../shared/window.js';
import { encodeSummary } from '../blob.js';
import type { Quota } from '../quota.js';
import { addSequence, NO_SEQUENCES, type SequenceSet } from '../sequences.js';
import type { Applied, BatchChange, Change, RejectedChange, StatusChange } from '../store.js';
import type { SqliteDictionary } from './dictionary.js';
import { SqliteQuota } from './quota.js';
import type { Db } from './schema.js';
import { SqliteStains } from './stains.js';

/** Rejected messages that are kept, however small: a row costs some 200 bytes beside its payload. */
const MAX_QUARANTINED = 20_000;
/** A replay has no order, so the last status is not the one that comes last. */
const IS_LATER = "(@receivedMs, @sentMs) >= (coalesce(status_ms, 0), coalesce(status ->> '$.sentMs', 0))";

/** Databases of one gateway whose books are kept from its status alone: a status is large, and may make up an epoch. */
const MAX_EPOCHS = 1_000;

export class SqliteChanges {
  readonly #dictionary: SqliteDictionary;
  readonly #maxQuarantineBytes: number;
  readonly #quota: SqliteQuota;
  readonly #statements: ReturnType<typeof prepare>;
  #quarantinedBytes: number;
  #quarantined: number;
  readonly #stains: SqliteStains;

  constructor(db: Db, dictionary: SqliteDictionary, maxQuarantineBytes: number, quota: Quota) {
    this.#dictionary = dictionary;
    this.#maxQuarantineBytes = maxQuarantineBytes;
    this.#quota = new SqliteQuota(db, dictionary, quota);
    this.#stains = new SqliteStains(db, dictionary);
    this.#statements = prepare(db);
    this.#quarantinedBytes = this.#statements.quarantinedBytes.get() as number;
    this.#quarantined = this.#statements.quarantined.get() as number;
  }

  apply(changes: readonly Change[]): Applied[] {
    this.#stains.clear();
    const applied = changes.map((change) => this.#apply(change));
    this.#stains.write(changes.reduce((latest, { receivedMs }) => Math.max(latest, receivedMs), 0));
    return applied;
  }

  #apply(change: Change): Applied {
    if (change.kind === 'batch') return this.#putBatch(change);
    if (change.kind === 'rejected') this.#putRejected(change);
    else this.#putStatus(change);
    return { windows: 0 };
  }

  #putBatch(batch: BatchChange): Applied {
    const { gateway, receivedMs, windows, ledger, losses, ...identity } = batch;
    const gatewayId = this.#dictionary.gateway(gateway);
    const refused = this.#quota.refusal(gatewayId, batch);
    if (refused !== undefined) {
      this.#statements.seenRejected.run({ gatewayId, receivedMs });
      return { windows: 0, refused };
    }
    const before = this.#dictionary.sizes;
    const epochId = this.#putSequence(gatewayId, identity, receivedMs);
    const changed = this.#putWindows(gatewayId, epochId, receivedMs, windows);
    let rows = 1 + changed;
    for (const { group, device: name, dayMs, readings } of ledger) {
      const device = this.#dictionary.device(this.#dictionary.group(gatewayId, group), name);
      const { changes } = this.#statements.putLedger.run({ dayMs, device, epochId, readings, receivedMs });
      if (changes > 0) this.#stains.day(device, dayMs);
      rows += changes;
    }
    for (const loss of losses) rows += this.#putLoss(gatewayId, epochId, loss);
    const { devices, metrics } = this.#dictionary.sizes;
    const more = { rows, devices: devices - before.devices, metrics: metrics - before.metrics };
    this.#quota.used(gatewayId, receivedMs, more);
    return { windows: changed };
  }

  /** Returns how many were not there in that revision or a higher one. */
  #putWindows(gatewayId: number, epochId: number, receivedMs: number, windows: BatchChange['windows']): number {
    let changed = 0;
    let newestMs: number | null = null;
    for (const window of windows) {
      const device = this.#dictionary.device(this.#dictionary.group(gatewayId, window.group), window.device);
      newestMs = Math.max(newestMs ?? Number.NEGATIVE_INFINITY, window.startMs + window.lengthMs);
      if (!this.#putWindow(device, epochId, window)) continue;
      changed++;
      this.#stains.hour(device, window.startMs);
    }
    this.#statements.seenBatch.run({ gatewayId, receivedMs, newestMs });
    return changed;
  }

  /** Notes that the batch arrived; returns the id of its epoch. */
  #putSequence(gatewayId: number, { epoch, session, sequence }: BatchIdentity, receivedMs: number): number {
    this.#statements.seenEpoch.run({ gatewayId, epoch, receivedMs });
    const epochId = this.#statements.epochId.get(gatewayId, epoch) as number;
    const stored = this.#statements.sequences.get(epochId, session) as string | undefined;
    const before = stored === undefined ? NO_SEQUENCES : (JSON.parse(stored) as SequenceSet);
    const after = addSequence(before, sequence);
    if (after !== before) this.#statements.putSequences.run(epochId, session, JSON.stringify(after));
    return epochId;
  }

  #putWindow(device: number, epochId: number, window: WindowSummary): boolean {
    const { startMs, lengthMs, part, revision, readings, metrics } = window;
    if (this.#statements.has.get({ device, startMs, lengthMs, part, epochId, revision, readings }) !== undefined)
      return false;
    const summary = encodeSummary(this.#dictionary, metrics, startMs, lengthMs);
    this.#statements.putWindow.run(device, startMs, lengthMs, part, epochId, revision, readings, summary);
    return true;
  }

  #putLoss(
    gatewayId: number,
    epochId: number,
    { dayMs, kind, reason, group, device: name, count }: LossRecord,
  ): number {
    const isOfOne = group !== undefined && name !== undefined;
    const device = isOfOne ? this.#dictionary.device(this.#dictionary.group(gatewayId, group), name) : 0;
    return this.#statements.putLoss.run(dayMs, epochId, kind, reason, device, count).changes;
  }

  #putStatus({ gateway, receivedMs, retained, status }: StatusChange): void {
    const gatewayId = this.#dictionary.gateway(gateway);
    // A last will comes from the broker, and so does what it remembers.
    const seenMs = retained || status.state === 'offline' ? 0 : receivedMs;
    const text = JSON.stringify(status);
    const { epoch, readings, sentMs } = status;
    this.#statements.putStatus.run({ gatewayId, receivedMs, sentMs, seenMs, status: text });
    if (this.#statements.epochId.get(gatewayId, epoch) === undefined) {
      if ((this.#statements.epochCount.get(gatewayId) as number) >= MAX_EPOCHS) return;
    }
    this.#statements.putEpochStatus.run({ gatewayId, epoch, receivedMs, status: text, in: readings.in, sentMs });
  }

  #putRejected({ gateway, receivedMs, topic, reason, detail, payload, identity }: RejectedChange): void {
    if (gateway !== '') {
      const gatewayId = this.#dictionary.gateway(gateway);
      this.#statements.seenRejected.run({ gatewayId, receivedMs });
      if (identity !== undefined) this.#putSequence(gatewayId, identity, receivedMs);
    }
    const digest = createHash('sha256').update(payload).digest();
    const row = { gateway, digest, receivedMs, topic, reason, detail, payload };
    if (this.#statements.putRejected.run(row).changes === 0) return;
    this.#quarantinedBytes += payload.length;
    this.#quarantined++;
    while (this.#quarantinedBytes > this.#maxQuarantineBytes || this.#quarantined > MAX_QUARANTINED) {
      const oldest = this.#statements.oldestRejected.get() as { id: number; bytes: number };
      this.#statements.dropRejected.run(oldest.id);
      this.#statements.count.run('evicted', 1);
      this.#quarantinedBytes -= oldest.bytes;
      this.#quarantined--;
    }
  }
}

function prepare(db: Db) {
  return {
    seenEpoch: db.prepare(
      `INSERT INTO epochs (gateway, epoch, first_ms, last_ms) VALUES (@gatewayId, @epoch, @receivedMs, @receivedMs)
       ON CONFLICT DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)`,
    ),
    epochCount: db.prepare('SELECT count(*) FROM epochs WHERE gateway = ?').pluck(),
    epochId: db.prepare('SELECT id FROM epochs WHERE gateway = ? AND epoch = ?').pluck(),
    sequences: db.prepare('SELECT sequences FROM sessions WHERE epoch = ? AND session = ?').pluck(),
    putSequences: db.prepare('INSERT OR REPLACE INTO sessions (epoch, session, sequences) VALUES (?, ?, ?)'),
    // Books only grow within an epoch, whatever the gateway's clock does.
    putEpochStatus: db.prepare(
      `INSERT INTO epochs (gateway, epoch, first_ms, last_ms, status, status_ms)
       VALUES (@gatewayId, @epoch, @receivedMs, 0, @status, @receivedMs)
       ON CONFLICT DO UPDATE SET status = excluded.status, status_ms = excluded.status_ms
         WHERE status IS NULL OR (@in, @sentMs) >= (status ->> '$.readings.in', status ->> '$.sentMs')`,
    ),
    has: db.prepare(
      `SELECT 1 FROM windows WHERE device = @device AND start_ms = @startMs AND length_ms = @lengthMs AND part = @part
         AND epoch = @epochId AND (revision, readings) >= (@revision, @readings)`,
    ),
    putWindow: db.prepare(
      `INSERT OR REPLACE INTO windows (device, start_ms, length_ms, part, epoch, revision, readings, summary)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    putLedger: db.prepare(
      `INSERT INTO ledger (day_ms, device, epoch, readings, told_ms)
       VALUES (@dayMs, @device, @epochId, @readings, @receivedMs)
       ON CONFLICT DO UPDATE SET readings = excluded.readings, told_ms = excluded.told_ms
         WHERE excluded.readings > readings`,
    ),
    putLoss: db.prepare(
      `INSERT INTO losses (day_ms, epoch, kind, reason, device, count) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET count = excluded.count WHERE excluded.count > count`,
    ),
    seenBatch: db.prepare(
      `UPDATE gateways SET seen_ms = max(seen_ms, @receivedMs), batches = batches + 1,
         newest_ms = max(coalesce(newest_ms, @newestMs), coalesce(@newestMs, newest_ms)) WHERE id = @gatewayId`,
    ),
    seenRejected: db.prepare(
      'UPDATE gateways SET seen_ms = max(seen_ms, @receivedMs), rejected = rejected + 1 WHERE id = @gatewayId',
    ),
    putStatus: db.prepare(
      `UPDATE gateways SET seen_ms = max(seen_ms, @seenMs),
         status = iif(${IS_LATER}, @status, status), status_ms = iif(${IS_LATER}, @receivedMs, status_ms)
       WHERE id = @gatewayId`,
    ),
    putRejected: db.prepare(
      `INSERT INTO quarantine (gateway, digest, received_ms, topic, reason, detail, payload)
       VALUES (@gateway, @digest, @receivedMs, @topic, @reason, @detail, @payload) ON CONFLICT DO NOTHING`,
    ),
    quarantinedBytes: db.prepare('SELECT coalesce(sum(length(payload)), 0) FROM quarantine').pluck(),
    quarantined: db.prepare('SELECT count(*) FROM quarantine').pluck(),
    oldestRejected: db.prepare('SELECT id, length(payload) AS bytes FROM quarantine ORDER BY id LIMIT 1'),
    dropRejected: db.prepare('DELETE FROM quarantine WHERE id = ?'),
    count: db.prepare(
      'INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value',
    ),
  };
}
