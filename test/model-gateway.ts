/**
 * Gateways as a model: windows that grow from revision to revision, sent until a receipt names the last one. Readings are
 * fixed, so whatever happens on the way, what the cloud ends up with is known.
 */
import type { BatchIdentity, LedgerEntry } from '../shared/batch.js';
import { encodeBatch } from '../shared/batch.js';
import { decodeReceipt, type Receipt } from '../shared/receipt.js';
import { type Observation, summarize } from '../shared/summary.js';
import { downTopic, upTopic } from '../shared/topics.js';
import type { WindowSummary } from '../shared/window.js';
import type { Dice } from './dice.js';

export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** One database of one gateway. */
export interface Source {
  readonly gateway: string;
  readonly epoch: string;
  /** Of each window its revisions, 1 first. */
  readonly windows: readonly (readonly WindowSummary[])[];
}

const START_MS = Date.UTC(2026, 2, 29, 0, 40);
const LENGTH_MS = 600_000;

export class Story {
  /** A gateway, the same after its card was replaced, and another one with devices of the same names. */
  readonly sources: readonly Source[] = [
    source('g1', 'a'.repeat(32), ['d1', 'd3'], 3),
    source('g1', 'b'.repeat(32), ['d1'], 2),
    source('g2', 'c'.repeat(32), ['d1', '=d2'], 2),
  ];
}

function source(gateway: string, epoch: string, devices: readonly string[], count: number): Source {
  const windows: WindowSummary[][] = [];
  for (const [d, device] of devices.entries()) {
    for (let i = 0; i < count; i++) {
      const startMs = START_MS + i * LENGTH_MS;
      // A late part of a purged window.
      const part = i === 1 ? d : 0;
      windows.push(revisions(device, startMs, part, 1 + ((i + d) % 3), epoch.charCodeAt(0) + d));
    }
  }
  return { gateway, epoch, windows };
}

function revisions(device: string, startMs: number, part: number, count: number, salt: number): WindowSummary[] {
  const group = device === 'd3' ? '' : 'hall';
  return Array.from({ length: count }, (_, r) => {
    const readings = 2 + 3 * r;
    const observed = (value: (i: number) => number): Observation[] =>
      Array.from({ length: readings }, (_, i) => ({
        timeUs: startMs * 1000 + ((i * 7) % 23) * 1_000_000,
        value: value(i),
      }));
    const metrics = new Map([
      ['temp', summarize(observed((i) => Math.round(Math.sin(salt + i + startMs) * 1000) / 100))],
      ...(salt % 2 === 0 ? [['odd', summarize(observed((i) => (salt + i) / 3))] as const] : []),
    ]);
    return { group, device, startMs, lengthMs: LENGTH_MS, part, revision: r + 1, readings, metrics };
  });
}

export class ModelGateway {
  readonly #source: Source;
  /** Revisions so far, and the highest one with a receipt. */
  readonly #now: number[];
  readonly #receipted: number[];
  #inFlight = new Map<number, readonly (readonly [window: number, revision: number])[]>();
  #session = 1;
  #sequence = 0;

  constructor(source: Source) {
    this.#source = source;
    this.#now = source.windows.map(() => 0);
    this.#receipted = source.windows.map(() => 0);
  }

  get done(): boolean {
    return this.#source.windows.every((revisions, w) => this.#receipted[w] === revisions.length);
  }

  /** The next windows get a reading more. */
  age(count: number): void {
    for (const [w, revisions] of this.#source.windows.entries()) {
      if (count <= 0) return;
      if (this.#now[w] === revisions.length) continue;
      const more = Math.min(count, revisions.length - this.#now[w]!);
      this.#now[w]! += more;
      count -= more;
    }
  }

  /** Knows no more what it sent; what came of it, it hears no more. */
  restart(): void {
    this.#session++;
    this.#sequence = 0;
    this.#inFlight = new Map();
  }

  /** Some of what has no receipt, sent before or not, in batches of so many windows. */
  send(windowsInBatch: number, dice?: Dice): Message[] {
    let owed = this.#now.flatMap((revision, w) => (revision > this.#receipted[w]! ? [[w, revision] as const] : []));
    if (dice !== undefined) owed = dice.shuffled(owed).slice(0, windowsInBatch * 2);
    const messages: Message[] = [];
    while (owed.length > 0) messages.push(this.#batch(owed.splice(0, windowsInBatch)));
    return messages;
  }

  receipt(topic: string, payload: Uint8Array): void {
    if (topic !== downTopic(this.#source.gateway, 'receipt')) return;
    const decoded = decodeReceipt(payload);
    if (!decoded.ok) throw new Error(decoded.detail);
    this.take(decoded.value);
  }

  take({ epoch, committed, rejected }: Receipt): void {
    if (rejected.length > 0) throw new Error(`refused: ${JSON.stringify(rejected)}`);
    if (epoch !== this.#source.epoch) return;
    for (const { session, sequences } of committed) {
      if (session !== this.#session) continue;
      for (const [w, revision] of sequences.flatMap((sequence) => this.#inFlight.get(sequence) ?? [])) {
        this.#receipted[w] = Math.max(this.#receipted[w]!, revision);
      }
    }
  }

  #batch(content: readonly (readonly [number, number])[]): Message {
    const { gateway, epoch } = this.#source;
    const identity: BatchIdentity = { epoch, session: this.#session, sequence: ++this.#sequence };
    this.#inFlight.set(identity.sequence, content);
    const windows = content.map(([w, revision]) => this.#source.windows[w]![revision - 1]!);
    const ledger = this.#ledger(windows);
    const payload = encodeBatch({ ...identity, sentMs: START_MS, windows, ledger, losses: [] });
    return { topic: upTopic(gateway, 'batch'), payload };
  }

  /** What was counted so far, of the devices and days of these windows: twice what comes, so that completeness tells. */
  #ledger(of: readonly WindowSummary[]): LedgerEntry[] {
    const entries = new Map<string, LedgerEntry>();
    for (const { group, device, startMs } of of) {
      const dayMs = startMs - (startMs % 86_400_000);
      let readings = 0;
      for (const [w, revisions] of this.#source.windows.entries()) {
        const window = revisions[this.#now[w]! - 1];
        const same = window?.group === group && window.device === device && window.startMs - dayMs < 86_400_000;
        if (same) readings += window.readings;
      }
      entries.set(`${group}/${device}`, { group, device, dayMs, readings: readings * 2 });
    }
    return [...entries.values()];
  }
}
