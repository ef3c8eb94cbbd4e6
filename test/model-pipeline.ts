/**
 * The agent as a model test drives it: the real pipeline and outbox on real SQLite, without sockets and with clocks that
 * the test sets; and the cloud's rule: of each window, part and epoch the highest revision.
 */
import { pino } from 'pino';
import { backlogOf } from '../agent/backlog.js';
import { markDamaged } from '../agent/buffer/damaged-files.js';
import type { BufferOptions } from '../agent/buffer/options.js';
import { openPipeline } from '../agent/open-pipeline.js';
import type { Pipeline } from '../agent/pipeline.js';
import { Credit } from '../agent/push/credit.js';
import { Outbox } from '../agent/push/outbox.js';
import type { Decoded, Delivery, Message } from '../agent/reading.js';
import { clockSchema } from '../agent/time/clock-options.js';
import { TestClocks } from '../agent/time/clock-testing.js';
import { decodeBatch, encodeBatch } from '../shared/batch.js';
import type { LossKind, LossRecord } from '../shared/loss.js';
import { type MetricSummary, mergeAll } from '../shared/summary.js';
import type { WindowSummary } from '../shared/window.js';

/** The device that sends no times. */
export const UNDATED = 'u';
const log = pino({ level: 'silent' });

/** The cloud's rule, and nothing else. */
export class Cloud {
  readonly windows = new Map<string, WindowSummary>();
  readonly losses = new Map<string, LossRecord>();

  take(bytes: Uint8Array): { session: number; sequence: number } {
    const decoded = decodeBatch(bytes);
    if (!decoded.ok) throw new Error(`${decoded.reason}: ${decoded.detail}`);
    const { epoch, session, sequence, windows, losses } = decoded.batch;
    for (const window of windows) {
      const key = [epoch, window.device, window.startMs, window.lengthMs, window.part].join('/');
      const known = this.windows.get(key);
      if (known === undefined || replaces(window, known)) this.windows.set(key, window);
    }
    for (const loss of losses) {
      const key = [epoch, loss.dayMs, loss.kind, loss.reason, loss.device].join('/');
      if ((this.losses.get(key)?.count ?? 0) < loss.count) this.losses.set(key, loss);
    }
    return { session, sequence };
  }

  /** By reason, whatever the day and the device. */
  lost(kind: LossKind): Record<string, number> {
    const reasons: Record<string, number> = {};
    for (const loss of this.losses.values()) {
      if (loss.kind === kind) reasons[loss.reason] = (reasons[loss.reason] ?? 0) + loss.count;
    }
    return reasons;
  }

  totals(): Map<string, unknown> {
    const devices = groupByDevice(this.windows.values());
    return new Map(
      [...devices].map(([device, list]) => [
        device,
        comparable(device, mergeAll(list.map((w) => w.metrics.get('x')!))),
      ]),
    );
  }
}

function replaces(window: WindowSummary, known: WindowSummary): boolean {
  if (window.revision !== known.revision) return window.revision > known.revision;
  return window.readings > known.readings;
}

/** Of readings without a time of their own everything but the times: those are what the clock said. */
export function comparable(device: string, summary: MetricSummary): unknown {
  return device === UNDATED ? { ...summary, first: undefined, last: undefined } : summary;
}

function groupByDevice(windows: Iterable<WindowSummary>): Map<string, WindowSummary[]> {
  const devices = new Map<string, WindowSummary[]>();
  for (const window of windows) devices.set(window.device, [...(devices.get(window.device) ?? []), window]);
  return devices;
}

/** The gateway as it runs, without sockets: what would be published goes into `wire`. */
export class Gateway {
  readonly #path: string;
  readonly #options: BufferOptions;
  readonly clocks: TestClocks;
  /** The true time. */
  nowMs: number;
  windowMs = 60_000;
  wire: Uint8Array[] = [];
  isUp = true;
  pipeline: Pipeline;
  outbox: Outbox;

  constructor(path: string, options: BufferOptions, nowMs: number) {
    this.nowMs = nowMs;
    this.clocks = new TestClocks(nowMs);
    this.#path = path;
    this.#options = options;
    this.pipeline = this.#openPipeline();
    this.outbox = this.#openOutbox();
  }

  #openPipeline(): Pipeline {
    return openPipeline({
      options: this.#options,
      databasePath: this.#path,
      decode: (message) => this.#decode(message),
      clock: this.clocks,
      clockOptions: clockSchema.parse({}),
      log,
    });
  }

  #openOutbox(): Outbox {
    const { buffer } = this.pipeline;
    const { epoch, session } = buffer;
    const credit = new Credit(0);
    credit.grant(undefined, 0);
    const clock = { nowMs: () => this.nowMs, steadyMs: () => this.pipeline.time.now().steadyMs };
    return new Outbox({
      backlog: backlogOf(buffer, clock),
      limits: { maxInFlight: 5, maxBatchBytes: 500, receiptTimeoutMs: 30_000 },
      credit,
      encode: ({ sequence, windows, ledger, losses }) =>
        encodeBatch({
          epoch,
          session,
          sequence,
          sentMs: this.nowMs,
          windows: windows.map(({ summary }) => summary),
          ledger,
          losses,
        }),
    });
  }

  #decode(message: Message): Decoded {
    const none: Decoded = { readings: [], rejects: [], valueRejects: [] };
    const text = Buffer.from(message.payload).toString();
    if (text === 'junk') return { ...none, rejects: [{ reason: 'not-json', detail: '' }] };
    const [device, timeMs, value] = JSON.parse(text) as [string, number, number];
    const undated = device === UNDATED;
    const common = { group: '', lane: '', windowMs: this.windowMs, latenessMs: 1_000, metrics: ['x'], undated };
    if (undated) return { ...none, readings: [{ ...common, device, timeUs: message.arrivalUs, values: [value] }] };
    return { ...none, readings: [{ ...common, device, timeUs: timeMs * 1000, values: [value] }] };
  }

  /** True once the message is on disk. */
  accept(text: string, delivery?: Delivery): boolean {
    let stored = false;
    const message = { topic: 't', payload: Buffer.from(text), arrivalUs: this.clocks.monotonicMs() * 1000 };
    this.pipeline.accept({ ...message, delivery }, (error) => {
      stored = error === undefined;
    });
    this.pipeline.commit();
    return stored;
  }

  async work(): Promise<void> {
    this.pipeline.work();
    await this.pipeline.save('due');
    if (!this.isUp) return;
    const { steadyMs } = this.pipeline.time.now();
    this.outbox.expire(steadyMs);
    for (let next = this.outbox.next(steadyMs); next !== undefined; next = this.outbox.next(steadyMs)) {
      this.wire.push(next.payload);
    }
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.clocks.pass(ms);
  }

  /** What is not on disk is forgotten. */
  crash(meanwhile = () => {}): void {
    this.pipeline.buffer.close();
    meanwhile();
    this.pipeline = this.#openPipeline();
    this.outbox = this.#openOutbox();
  }

  /** What a supervisor of the pipeline does when it hears of damage: it opens anew, and that salvages. */
  salvage(reason: string, meanwhile = () => {}): void {
    this.crash(() => {
      meanwhile();
      markDamaged(this.#path, reason, this.nowMs, '0');
    });
  }

  receipt({ session, sequence }: { session: number; sequence: number }): void {
    if (session === this.pipeline.buffer.session) this.outbox.receipt([sequence], this.pipeline.time.now().steadyMs);
  }
}

/** Delivers what is on the wire: some of it dropped, doubled, in another order. */
export function deliver(gateway: Gateway, cloud: Cloud, seed: number, receiptsLost: boolean): void {
  let state = seed >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const arriving = gateway.wire.flatMap((bytes) => (random() < 0.2 ? [] : random() < 0.2 ? [bytes, bytes] : [bytes]));
  arriving.sort(() => random() - 0.5);
  gateway.wire = [];
  for (const bytes of arriving) {
    const receipt = cloud.take(bytes);
    if (!receiptsLost && random() < 0.8) gateway.receipt(receipt);
  }
}
