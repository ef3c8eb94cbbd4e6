/** The agent as a whole: makes the stages from the configuration, starts them, answers for their state, stops them. */
import { mkdirSync } from 'node:fs';
import type { Server } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { encodeStatus } from '../shared/status.js';
import { VERSION } from '../shared/version.js';
import { BrokerSource } from './accept/broker.js';
import { MqttSource } from './accept/mqtt-client.js';
import { compileRoutes, routeSubscriptions } from './accept/routes.js';
import { backlogOf } from './backlog.js';
import { sumReasons } from './books.js';
import { corruptionIn } from './buffer/corruption.js';
import { listSetAside } from './buffer/damaged-files.js';
import { lossWindow } from './buffer/options.js';
import { type Certificates, certificateState, certificatesOf } from './certificates.js';
import type { AgentConfig } from './config.js';
import { inMemoryWarning, isInMemory } from './data-directory.js';
import { mark, openPipeline } from './open-pipeline.js';
import type { Pipeline, PipelineContext } from './pipeline.js';
import { Push, type StatusWord } from './push/push.js';
import type { Source } from './reading.js';
import { type AgentStatus, type RefusedState, serveStatus, socketPath } from './status.js';
import { systemClocks } from './time/clock.js';
import { uplinkTls } from './uplink-tls.js';
import { WriteWatch } from './write-watch.js';

const SAMPLES = 20;

export function databasePath(config: AgentConfig): string {
  return join(config.data, 'edgetally.db');
}

/** `import`: without sources. `inspect`: what a stopped agent left, read only. */
export type AgentMode = 'run' | 'import' | 'inspect';

export class Agent {
  readonly pipeline: Pipeline;
  /** Resolves where only a new process may help. */
  readonly gaveUp: Promise<void>;
  /** Resolves where only another agent on the same data helps: the database is damaged, and marked to be salvaged. */
  readonly damaged: Promise<void>;
  readonly #context: PipelineContext;
  #giveUp!: () => void;
  readonly #mode: AgentMode;
  readonly #config: AgentConfig;
  readonly #log: Logger;
  readonly #clocks = systemClocks();
  readonly #startedMs = this.#clocks.monotonicMs();
  readonly #sources: readonly Source[];
  readonly #certificates: Certificates | undefined;
  readonly #push: Push | undefined;
  readonly #writes: WriteWatch;
  #said: Uint8Array = new Uint8Array();
  #server: Server | undefined;
  #stopped: Promise<void> | undefined;

  constructor(config: AgentConfig, log: Logger, mode: AgentMode) {
    this.#config = config;
    this.#log = log;
    this.#mode = mode;
    this.gaveUp = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
    if (mode !== 'inspect') mkdirSync(config.data, { recursive: true });
    this.#context = {
      options: config.buffer,
      databasePath: databasePath(config),
      decode: compileRoutes(config.accept.routes, config.accept.limits),
      clock: this.#clocks,
      clockOptions: config.clock,
      log,
      readOnly: mode === 'inspect',
    };
    this.pipeline = openPipeline(this.#context);
    const { buffer, books } = this.pipeline;
    const work = () => ({ readings: books.in, commits: buffer.journal.last });
    this.#writes = new WriteWatch(this.#clocks.monotonicMs, work, log);
    this.damaged = this.pipeline.damage.found.then((reason) => mark(this.#context, reason));
    this.#certificates = mode === 'inspect' ? undefined : this.#openCertificates();
    this.#push = config.push === undefined || mode === 'inspect' ? undefined : this.#makePush(config.push);
    this.#sources = mode === 'run' ? this.#makeSources() : [];
  }

  async start(): Promise<void> {
    const loss = lossWindow(this.#config.buffer);
    if (loss !== undefined) this.#log.warn(loss);
    const inMemory = inMemoryWarning(this.#config.data);
    if (inMemory !== undefined) this.#log.warn(inMemory);
    this.#writes.start();
    await this.pipeline.start(this.#sources, this.#push);
    if (this.#push !== undefined) this.#certificates?.start(this.#push.link);
    this.#server = await serveStatus(socketPath(this.#config.data), () => this.#watched(() => this.status()));
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => (this.#server ? this.#server.close(() => resolve()) : resolve()));
    await this.#certificates?.stop();
    await this.pipeline.stop();
    this.#writes.stop();
    await closed;
  }

  status(): AgentStatus {
    const { buffer, books, refused, openWindows } = this.pipeline;
    return {
      v: 1,
      gateway: this.#config.gateway,
      running: this.#mode !== 'inspect',
      version: VERSION,
      epoch: buffer.epoch,
      timeMs: this.#clocks.nowMs(),
      runningMs: this.#mode === 'inspect' ? null : this.#clocks.monotonicMs() - this.#startedMs,
      clock: this.#mode === 'inspect' ? null : this.pipeline.time.state,
      books,
      held: this.#held(books.held),
      refused,
      backlog: buffer.windows.backlogState(),
      openWindows,
      disk: {
        bytes: buffer.disk.use().bytes,
        maxBytes: this.#config.buffer.maxBytes,
        journalBytes: buffer.journal.bytes,
        inMemory: isInMemory(this.#config.data),
      },
      writes: this.#mode === 'inspect' ? null : this.#writes.state,
      push: this.#push?.state ?? null,
      certificate: this.#certificates === undefined ? certificateState(this.#config) : this.#certificates.state,
      sources: this.#sources.map((source) => source.describe()),
      damaged: buffer.damage.counts(),
      salvaged: buffer.damage.salvaged(),
      setAside: listSetAside(databasePath(this.#config)),
      refusedWindows: { byReason: buffer.windows.refused.counts(), latest: this.#refusedWindows() },
      quarantine: buffer.quarantine
        .newest(SAMPLES)
        .map((sample) => ({ ...sample, payload: Buffer.from(sample.payload).toString('utf8') })),
    };
  }

  /** Why readings are held. */
  #held(all: number): AgentStatus['held'] {
    const undated = all === 0 ? 0 : this.pipeline.buffer.undated.count;
    return { future: all - undated, undated };
  }

  #refusedWindows(): RefusedState[] {
    const { dictionary, windows } = this.pipeline.buffer;
    return windows.refused.list(SAMPLES).map(({ ref, ...why }) => ({
      ...dictionary.deviceName(ref.device),
      startMs: ref.startMs,
      lengthMs: ref.lengthMs,
      ...why,
    }));
  }

  #openCertificates(): Certificates {
    try {
      return certificatesOf(this.#config, () => this.pipeline.time.now(), this.#log);
    } catch (error) {
      this.pipeline.buffer.close(); // or the file would stay locked
      throw error;
    }
  }

  #makePush(options: NonNullable<AgentConfig['push']>): Push {
    const { buffer } = this.pipeline;
    const { source } = this.#certificates!;
    const clock = { nowMs: this.#clocks.nowMs, steadyMs: () => this.pipeline.time.now().steadyMs };
    return new Push({
      gateway: this.#config.gateway,
      epoch: buffer.epoch,
      session: buffer.session,
      options,
      backlog: backlogOf(buffer, clock, (error) => this.pipeline.damage.noteIn(error)),
      clock,
      log: this.#log,
      status: (state) => this.#statusMessage(state),
      giveUp: () => this.#giveUp(),
      ...uplinkTls(options, source, options.clientId ?? this.#config.gateway, () => this.#judge(), this.#log),
    });
  }

  #judge(): { nowMs: number; isSure: boolean } {
    const { trustedMs, earliestMs } = this.pipeline.time.now();
    return { nowMs: earliestMs, isSure: trustedMs !== undefined };
  }

  /** Where the database turns out to be damaged, what was said last is said again. */
  #statusMessage(state: StatusWord): Uint8Array {
    this.#said = this.#watched(() => this.#composeStatus(state)) ?? this.#said;
    return this.#said;
  }

  /** Undefined where it fails because of damage. */
  #watched<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (corruptionIn(error) === undefined) throw error;
      this.pipeline.damage.noteIn(error);
      return undefined;
    }
  }

  #composeStatus(state: StatusWord): Uint8Array {
    const { buffer, books } = this.pipeline;
    const { in: all, counted, duplicate, held } = books;
    const certificate = this.#certificates?.trusted;
    return encodeStatus({
      ...(certificate && { certificate }),
      state: state === 'online' ? 'online' : 'offline',
      ...(state === 'stopped' ? { final: true } : {}),
      epoch: buffer.epoch,
      version: VERSION,
      sentMs: Math.max(0, this.#clocks.nowMs()),
      backlog: buffer.windows.backlogState(),
      open: this.pipeline.unsavedState(),
      readings: { in: all, counted, duplicate, rejected: sumReasons(books.rejected), held },
      reasons: {
        rejected: books.rejected,
        values: books.values,
        coarsened: books.coarsened,
        refused: buffer.windows.refused.counts(),
        damaged: buffer.damage.counts(),
      },
    });
  }

  #makeSources(): Source[] {
    const { sources, routes } = this.#config.accept;
    return sources.map((options, index) => {
      const context = {
        accept: this.pipeline.accept,
        gateway: this.#config.gateway,
        number: index + 1,
        filters: routeSubscriptions(routes),
        clock: this.#clocks,
        log: this.#log,
      };
      return options.type === 'broker' ? new BrokerSource(options, context) : new MqttSource(options, context);
    });
  }
}
