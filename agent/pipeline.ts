/**
 * The agent, stage by stage: accept → aggregate → buffer → push. This is the only file that sees them all.
 *
 * A message is decoded when it comes in, and waits. A commit makes all that wait durable as one block (one fsync); then
 * the block is folded into the windows, and only then are the senders told. So the windows in memory are at every
 * moment exactly the saved ones plus the journal, and recovery is nothing but reading the journal again.
 */
import type { Logger } from 'pino';
import { EdgetallyError } from '../shared/errors.js';
import { Aggregator, type Applied, type UnsavedState } from './aggregate/aggregator.js';
import type { Block } from './block.js';
import { BlockBuilder } from './block-builder.js';
import { type Books, enter, lossesOf, rebalance } from './books.js';
import { EdgeBuffer } from './buffer/buffer.js';
import type { Interval } from './buffer/coarsen.js';
import type { ImportProgress } from './buffer/imports.js';
import type { BufferOptions } from './buffer/options.js';
import { CommitTiming } from './commit-timing.js';
import { DamageWatch } from './damage-watch.js';
import type { Push } from './push/push.js';
import type { Accept, Decoded, Message, Source } from './reading.js';
import { Releases } from './releases.js';
import { Room } from './room.js';
import { Saver } from './saver.js';
import type { Clocks } from './time/clock.js';
import type { ClockOptions } from './time/clock-options.js';
import { type Now, TimeKeeper } from './time/time-keeper.js';

export interface PipelineContext {
  readonly options: BufferOptions;
  readonly databasePath: string;
  readonly decode: (message: Message) => Decoded;
  readonly clock: Clocks;
  readonly clockOptions: ClockOptions;
  readonly log: Logger;
  /** Only to look at what a stopped agent left. */
  readonly readOnly?: boolean;
}

const TICK_MS = 100;
const HOUSEKEEPING_MS = 10_000;
/** What waits is committed early where it takes so much memory. */
const MAX_BLOCK_BYTES = 1024 * 1024;

export class Pipeline {
  readonly buffer: EdgeBuffer;
  readonly books: Books;
  readonly time: TimeKeeper;
  /** Readings and messages that could not be committed, and were not acknowledged. */
  refused = 0;
  /** Of the database. Nothing is acknowledged from then on. */
  readonly damage: DamageWatch;
  readonly #context: PipelineContext;
  readonly #aggregator: Aggregator;
  readonly #builder: BlockBuilder;
  readonly #releases: Releases;
  readonly #timing: CommitTiming;
  readonly #room: Room;
  readonly #maxBlockBytes: number;
  readonly #saver: Saver;
  #progress: ImportProgress | undefined;
  #push: Push | undefined;
  #sources: readonly Source[] = [];
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> | undefined;
  #housekeptMs = Number.NEGATIVE_INFINITY;
  /** The journal of the earlier session is in rows, so this one may take readings in. */
  #begun = false;

  constructor(context: PipelineContext) {
    this.#context = context;
    this.damage = new DamageWatch(context.log);
    this.buffer = new EdgeBuffer(context.databasePath, context.options, context.readOnly);
    this.books = structuredClone(this.buffer.savedBooks.books);
    this.time = new TimeKeeper(context.clock, context.clockOptions, this.buffer.times, context.log);
    this.#builder = new BlockBuilder(
      this.buffer.dictionary,
      context.options.future,
      this.buffer.journal.deliveries.known,
    );
    this.#releases = new Releases(this.buffer, this.#builder, context.options.future, context.log);
    this.#timing = new CommitTiming(context.options.commitInterval, context.clock, () => this.commit());
    this.#aggregator = new Aggregator(this.buffer);
    const { buffer, books } = this;
    this.#maxBlockBytes = Math.min(MAX_BLOCK_BYTES, buffer.disk.shares.transaction);
    this.#room = new Room({
      ...{ buffer, books, time: this.time, log: context.log },
      isOpen: (interval) => this.isOpen(interval),
    });
    this.#saver = new Saver({
      ...{ aggregator: this.#aggregator, books, buffer, options: context.options, room: this.#room },
      saved: (windows) => this.#push?.saved(windows),
    });
    try {
      this.#recover();
    } catch (error) {
      this.buffer.close(); // or the file would stay locked
      throw error;
    }
  }

  /** Whether a window of the device that overlaps the interval is in memory. */
  isOpen(interval: Interval): boolean {
    return this.#aggregator.isOpen(interval);
  }

  /** Windows with readings that are in no row yet. */
  get openWindows(): number {
    return this.#aggregator.unsaved;
  }

  unsavedState(): UnsavedState {
    return this.#aggregator.unsavedState();
  }

  /** Starts the stages from the last to the first. */
  async start(sources: readonly Source[], push: Push | undefined): Promise<void> {
    this.#push = push;
    this.#sources = sources;
    push?.start();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    for (const source of sources) await source.start();
  }

  /** Stops the stages from the first to the last; what waits is committed. Idempotent. */
  async stop(): Promise<void> {
    this.commit(); // so that those who wait get their PUBACK
    for (const source of this.#sources) await source.stop();
    this.#sources = [];
    clearInterval(this.#timer);
    this.commit();
    // what fails is told, and tried again by the next start
    await Promise.allSettled([this.#saving, this.#room.making]);
    await this.#push?.stop();
    this.#push = undefined;
    this.buffer.close();
  }

  /** Takes a message; `done` is called after the commit that holds it. */
  readonly accept: Accept = (message, done, urgent = false) => {
    this.#add(message, this.#context.decode(message), done);
    const isFull = this.#builder.bytes >= this.#maxBlockBytes;
    if (isFull || this.#timing.isEnough(this.#builder.messages)) this.commit();
    else this.#timing.soon(urgent);
  };

  /** Takes rows of a file that are decoded already; the progress is committed with them. */
  async acceptImport(message: Message, decoded: Decoded, progress: ImportProgress): Promise<void> {
    let failure: Error | undefined;
    this.#progress = progress;
    this.#add(message, decoded, (error) => {
      failure = error;
    });
    this.commit();
    if (failure !== undefined) throw failure;
    if (this.#saver.isOvergrown) await this.#saver.due(this.time.now().steadyMs);
  }

  /** Saves the windows whose time has come, or all: then nothing is left in the journal. */
  async save(which: 'due' | 'all'): Promise<void> {
    this.commit();
    await this.#saving;
    await (which === 'due' ? this.#saver.due(this.time.now().steadyMs) : this.#saver.all());
  }

  #add(message: Message, decoded: Decoded, done: (error?: Error) => void): void {
    this.#builder.add(message, decoded, this.time.now(), done);
  }

  /** Makes durable what waits, and tells those who handed it over. */
  commit(): void {
    this.#timing.committed();
    if (this.#builder.empty && this.#progress === undefined) return;
    const { block, held, undated, samples, waiting } = this.#builder.take(this.time.now().wallMs);
    const { released, dated } = this.#releases.take();
    const progress = this.#progress;
    this.#progress = undefined;
    try {
      if (this.damage.isFound) throw new EdgetallyError('database-damaged', 'intake waits for the salvage');
      if (!this.#begun) this.#begin();
      if (!this.#begun) throw new EdgetallyError('database-failed', 'intake waits: the journal could not be saved');
      this.#saver.relieve();
      this.#aggregator.prepare(block); // what may fail must do so before the block is stored
      const sequence = this.buffer.commit({
        block,
        held,
        samples,
        released,
        dated,
        ...(undated.length === 0 ? {} : { undated: { bootId: this.time.bootId, readings: undated } }),
        ...(progress === undefined ? {} : { progress }),
      });
      this.#timing.done();
      this.#enter(block, this.#aggregator.apply(block, sequence, this.time.now()));
    } catch (error) {
      this.damage.noteIn(error);
      this.refused += block.tally.in;
      this.#builder.refused(block);
      this.#context.log.error({ error: (error as Error).message, readings: block.tally.in }, 'commit failed');
      for (const done of waiting) done(error as Error);
      return;
    }
    for (const done of waiting) done();
  }

  /** Applies the blocks that the saved windows and the saved books do not hold. */
  #recover(): void {
    const now = this.time.now();
    let blocks = 0;
    for (const { sequence, block } of this.buffer.journal.blocks()) {
      const applied = this.#aggregator.apply(block, sequence, now);
      if (sequence > this.buffer.savedBooks.sequence) this.#enter(block, applied);
      this.buffer.journal.deliveries.recovered(sequence, block);
      blocks++;
    }
    if (this.buffer.damage.isUnbalanced) rebalance(this.books, this.buffer.held.count + this.buffer.undated.count);
    this.#context.log.info({ blocks, windows: this.#aggregator.open, epoch: this.buffer.epoch }, 'recovered');
    if (this.#context.readOnly !== true) this.#begin();
  }

  /**
   * What the earlier session left in the journal becomes rows of that session, and they are frozen: what comes now goes to
   * parts of this one. Where the disk has no room for that, intake waits, and the next tick, or commit, tries again.
   */
  #begin(): void {
    try {
      this.#saver.freeze(this.time.now().steadyMs);
      this.buffer.begin(this.books);
      this.#begun = true;
    } catch (error) {
      this.#failed(error, 'the journal could not be saved: intake waits');
    }
  }

  /** Into the books, and into what the cloud is to be told. */
  #enter({ tally }: Block, applied: Applied): void {
    enter(this.books, tally, applied);
    for (const loss of lossesOf(tally, applied)) this.buffer.losses.enter(loss);
  }

  /** A fault of the disk is a passing one: the next tick tries again. */
  #tick(): void {
    if (this.damage.isFound) return;
    try {
      this.work();
    } catch (error) {
      this.#failed(error, 'work on the buffer failed');
    }
  }

  #failed(error: unknown, what: string): void {
    this.damage.noteIn(error);
    this.#context.log.error({ error: (error as Error).message }, what);
  }

  /** What falls due with time: held readings, windows that close, resends, purging. Called some times a second. */
  work(): void {
    const now = this.time.now();
    if (!this.#begun) this.#begin();
    for (const row of this.buffer.damage.takeNews()) {
      this.#context.log.error(row, 'stored bytes changed: set aside, and the rest goes on; check the disk');
    }
    this.buffer.sync(now.monotonicMs);
    if (this.books.held > 0 && this.#releases.gather(now, this.time.bootId)) this.#timing.soon(false);
    if (this.#saving === undefined) {
      this.#saving = this.#saver.due(now.steadyMs).finally(() => {
        this.#saving = undefined;
      });
      this.#saving.catch((error: Error) => this.#failed(error, 'saving windows failed'));
    }
    this.#push?.tick();
    // not before what was held is in: what counted it before must still be known
    if (!this.#releases.areUnderWay && now.steadyMs - this.#housekeptMs >= HOUSEKEEPING_MS) this.#housekeep(now);
    this.makeRoom().catch((error: Error) => this.#failed(error, 'making room failed'));
  }

  #housekeep({ steadyMs, trustedMs, earliestMs }: Now): void {
    this.#housekeptMs = steadyMs;
    const newestMs = this.time.toMark();
    if (newestMs !== undefined) {
      this.buffer.times.saveNewest(newestMs);
      this.time.marked(newestMs);
    }
    this.#aggregator.dropClean(this.buffer.journal.oldest);
    this.buffer.purge(steadyMs - this.#context.options.retention, earliestMs, (interval) => this.isOpen(interval));
    if (trustedMs !== undefined) this.buffer.forgetLosses(trustedMs - this.#context.options.retention);
  }

  /** Done when there is room on the disk, or nothing more that makes any. */
  makeRoom(): Promise<void> {
    return this.#room.make();
  }
}
