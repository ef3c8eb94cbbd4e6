/**
 * The real pipeline and the real outbox between a scripted sensor and a scripted cloud, without network and without a
 * clock of its own. Says, as one line each: what was acknowledged (`ack`) and refused (`nak`), what left (`sent`), and
 * which receipts came back (`receipt`: from then on the cloud has it).
 */
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { backlogOf } from '../../agent/backlog.js';
import { bufferSchema } from '../../agent/buffer/options.js';
import { mark, openPipeline } from '../../agent/open-pipeline.js';
import type { Pipeline, PipelineContext } from '../../agent/pipeline.js';
import { Credit } from '../../agent/push/credit.js';
import { Outbox } from '../../agent/push/outbox.js';
import type { Push } from '../../agent/push/push.js';
import type { Decoded, Message } from '../../agent/reading.js';
import { clockSchema } from '../../agent/time/clock-options.js';
import { clocksOf } from '../../agent/time/clock-testing.js';
import { encodeBatch } from '../../shared/batch.js';
import { BELIEVED_MS, DAY_START_MS, MESSAGES, type ScriptMessage, type Step } from './agent-script.js';

const OPTIONS = bufferSchema.parse({ commitInterval: 0, future: '2m', retention: '10m', maxBytes: '64MB' });
const LATENESS_MS = 1_000;
const RECEIPT_TIMEOUT_MS = 5_000;
const ATTEMPTS = 5;
/** Of a sensor: more than any fault lasts that passes. */
const DELIVERIES = 12;

function decode({ payload }: Message): Decoded {
  const { reading } = MESSAGES[Number(Buffer.from(payload).toString())]!;
  const nothing = { readings: [], rejects: [], valueRejects: [] };
  if (reading === undefined) return { ...nothing, rejects: [{ reason: 'not-json', detail: 'junk' }] };
  const { device, timeUs, windowMs, values, undated = false } = reading;
  const id = undated ? { recordId: `r${timeUs}` } : {};
  const common = { group: 'hall', lane: '', latenessMs: LATENESS_MS, metrics: ['x', 'y'] };
  return { ...nothing, readings: [{ ...common, device, timeUs, windowMs, values, ...id, undated }] };
}

/** Stands in the place of the push stage: the real outbox, and no link. */
class ScriptedPush {
  readonly #outbox: Outbox;
  readonly #pipeline: Pipeline;
  readonly #say: (line: string) => void;
  #sent: number[] = [];

  constructor(pipeline: Pipeline, say: (line: string) => void) {
    const { buffer } = pipeline;
    this.#pipeline = pipeline;
    this.#say = say;
    const { epoch, session } = buffer;
    const credit = new Credit(0);
    credit.grant(undefined, 0);
    const clock = { nowMs: () => pipeline.time.now().wallMs, steadyMs: () => pipeline.time.now().steadyMs };
    this.#outbox = new Outbox({
      backlog: backlogOf(buffer, clock),
      limits: { maxInFlight: 10, maxBatchBytes: 2_000, receiptTimeoutMs: RECEIPT_TIMEOUT_MS },
      credit,
      encode: ({ sequence, windows, ledger, losses }) => {
        const summaries = windows.map(({ summary }) => summary);
        return encodeBatch({ epoch, session, sequence, sentMs: clock.nowMs(), windows: summaries, ledger, losses });
      },
    });
  }

  start(): void {}

  async stop(): Promise<void> {}

  saved(windows: Parameters<Outbox['saved']>[0]): void {
    this.#outbox.saved(windows);
    this.#pump();
  }

  tick(): void {
    this.#outbox.expire(this.#pipeline.time.now().steadyMs);
    this.#pump();
  }

  /** The cloud has committed what was sent so far; `lost`: and its receipts get lost. */
  receipts(lost: boolean): void {
    for (const sequence of this.#sent.splice(0)) {
      this.#say(`receipt ${this.#pipeline.buffer.session} ${sequence}`);
      if (lost) continue;
      try {
        this.#outbox.receipt([sequence], this.#pipeline.time.now().steadyMs);
      } catch (error) {
        this.#say(`fault receipt: ${(error as Error).message}`);
      }
    }
    this.#pump();
  }

  #pump(): void {
    try {
      const { steadyMs } = this.#pipeline.time.now();
      for (let out = this.#outbox.next(steadyMs); out; out = this.#outbox.next(steadyMs)) {
        const { sequence, payload } = out;
        this.#say(`sent ${this.#pipeline.buffer.session} ${sequence} ${Buffer.from(payload).toString('base64')}`);
        this.#sent.push(sequence);
      }
    } catch (error) {
      this.#say(`fault push: ${(error as Error).message}`);
    }
  }
}

export class Gateway {
  readonly #context: PipelineContext;
  readonly #say: (line: string) => void;
  readonly #now = { ms: DAY_START_MS };
  #pipeline: Pipeline | undefined;
  #push: ScriptedPush | undefined;
  #tick: () => void = () => undefined;
  #refused: ScriptMessage[] = [];
  /** Not pino: it would be a tenth of the time of a point. */
  readonly #log = {
    info: () => undefined,
    warn: () => undefined,
    error: ({ error }: { error: string }, what: string) => this.#say(`fault ${what}: ${error}`),
  } as unknown as Logger;

  constructor(dir: string, say: (line: string) => void) {
    this.#say = say;
    this.#context = {
      options: OPTIONS,
      databasePath: join(dir, 'edgetally.db'),
      decode,
      clock: {
        ...clocksOf(this.#now),
        evidence: () => (this.#now.ms < BELIEVED_MS ? 'unsynchronized' : 'unknown'),
      },
      clockOptions: clockSchema.parse({}),
      log: this.#log,
    };
  }

  get pipeline(): Pipeline {
    return this.#pipeline!;
  }

  get seconds(): number {
    return (this.#now.ms - DAY_START_MS) / 1000;
  }

  /** Tries a few times, as a supervisor does that starts a failed program again. */
  async open(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#pipeline = openPipeline(this.#context);
        break;
      } catch (error) {
        if (attempt === ATTEMPTS) throw error;
        this.#say(`fault open: ${(error as Error).message}`);
      }
    }
    this.#push = new ScriptedPush(this.#pipeline, this.#say);
    await this.#start(this.#pipeline, this.#push as unknown as Push);
  }

  /** Takes the timer away from the pipeline: the script says when it ticks. */
  async #start(pipeline: Pipeline, push: Push): Promise<void> {
    const { setInterval } = globalThis;
    globalThis.setInterval = ((work: () => void) => {
      this.#tick = work;
    }) as unknown as typeof setInterval;
    const started = pipeline.start([], push);
    globalThis.setInterval = setInterval;
    await started;
  }

  async close(): Promise<void> {
    try {
      await this.#pipeline?.stop();
    } catch (error) {
      this.#say(`fault close: ${(error as Error).message}`);
    }
  }

  async step(step: Step): Promise<void> {
    await this.#do(step);
    await this.#restartIfDamaged();
  }

  async #do(step: Step): Promise<void> {
    if (step.do === 'clock') {
      this.#now.ms = DAY_START_MS + step.seconds * 1000;
      this.#say(`clock ${step.seconds}`);
    } else if (step.do === 'deliver') await this.deliver(step.messages);
    else if (step.do === 'receipts') this.#push!.receipts(step.lost ?? false);
    else if (step.do === 'restart') {
      await this.close();
      await this.open();
    } else if (step.do === 'tick') {
      this.#tick();
      await turns();
    } else {
      await this.pipeline.save('all').catch((error: Error) => this.#say(`fault save: ${error.message}`));
      await turns();
    }
  }

  /** All in one commit. What was refused before comes first, as from a sensor that sends again. */
  async deliver(messages: readonly ScriptMessage[]): Promise<void> {
    const list = [...this.#refused.splice(0), ...messages];
    await Promise.all(list.map((message) => this.#deliverOne(message)));
    await turns();
    await this.#restartIfDamaged();
  }

  /** As the program does: after a read that failed, SQLite may find a sound database damaged. */
  async #restartIfDamaged(): Promise<void> {
    const damage = this.#pipeline?.damage;
    if (damage === undefined || !damage.isFound) return;
    mark(this.#context, await damage.found);
    await this.step({ do: 'restart' });
  }

  /** Until nobody is refused any more, or it is plain that the disk stays broken. */
  async settle(): Promise<void> {
    for (let attempt = 1; this.#refused.length > 0 && attempt <= DELIVERIES; attempt++) await this.deliver([]);
  }

  #deliverOne(message: ScriptMessage): Promise<void> {
    return new Promise((resolve) => {
      const payload = Buffer.from(String(message.index));
      const done = (error?: Error) => {
        this.#say(`${error === undefined ? 'ack' : 'nak'} ${message.index}`);
        if (error !== undefined) this.#refused.push(message);
        resolve();
      };
      this.pipeline.accept({ topic: 't', payload, arrivalUs: message.reading?.timeUs ?? 0 }, done, true);
    });
  }
}

/** Lets what is under way come to its end: nothing here waits for time. */
async function turns(): Promise<void> {
  for (let i = 0; i < 4; i++) await turn();
}
