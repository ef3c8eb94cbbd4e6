/**
 * In which order windows leave: live ones (saved while the link is up) first, then those that are sent again, then the
 * backlog, oldest first. Suspects, one of which the cloud may refuse, travel by themselves.
 *
 * Promises: what was taken and not sent comes first the next time; what is not remembered here is found in the backlog.
 * Never: the same window twice in one batch.
 */
import type { BacklogWindow, WindowId, WindowRef } from '../stored-window.js';
import { type Backlog, keyOf } from './backlog.js';
import type { BatchFill } from './batch-size.js';
import type { Cargo } from './flights.js';

/** Windows that may leave together; the live ones first. */
export interface Load {
  readonly windows: readonly BacklogWindow[];
  readonly live: number;
  /** Whether others may join them. */
  readonly alone: boolean;
}

const START: WindowId = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };
const PAGE = 256;
const MAX_LIVE = 20_000;
/** Having reached the end of the backlog, look again after this: windows saved before they closed are found so. */
const RESCAN_MS = 5_000;

export class SendQueue {
  readonly #backlog: Backlog;
  readonly #mayGo: (ref: WindowRef) => boolean;
  #suspects: (readonly WindowRef[])[] = [];
  #live: WindowId[] = [];
  #again: WindowId[] = [];
  #page: BacklogWindow[] = [];
  #cursor: WindowId | undefined = START;
  #rescanMs = 0;

  /** `mayGo`: not on its way, and not refused. */
  constructor(backlog: Backlog, mayGo: (ref: WindowRef) => boolean) {
    this.#backlog = backlog;
    this.#mayGo = mayGo;
  }

  get hasLive(): boolean {
    return this.#live.length > 0;
  }

  /** These windows were saved just now. Where they are too many to remember, the backlog finds them. */
  saved(windows: readonly WindowId[]): void {
    if (this.#live.length + windows.length <= MAX_LIVE) this.#live.push(...windows);
    else this.#cursor = START;
  }

  /** What was sent and has no receipt goes again; what was live still is. */
  again({ refs, live }: Cargo): void {
    this.#live.unshift(...refs.slice(0, live));
    this.#again.push(...refs.slice(live));
  }

  /** One of these may be refused: they go without company. */
  suspect(refs: readonly WindowRef[]): void {
    this.#suspects.push(refs);
  }

  /** Forgets all order: everything without a receipt is the backlog. */
  restart(): void {
    this.#live = [];
    this.#again = [];
    this.#page = [];
    this.#cursor = START;
  }

  /** Was taken, and did not leave. */
  putBack({ windows, live, alone }: Load): void {
    if (windows.length === 0) return;
    if (alone) this.#suspects.unshift(windows.map(({ ref }) => ref));
    else {
      this.#live.unshift(...windows.slice(0, live).map(({ ref }) => ref));
      this.#again.unshift(...windows.slice(live).map(({ ref }) => ref));
    }
  }

  takeSuspects(): Load | undefined {
    for (let refs = this.#suspects.shift(); refs !== undefined; refs = this.#suspects.shift()) {
      const windows = refs.flatMap((ref) => this.#sendable(this.#backlog.unsent(ref)));
      if (windows.length > 0) return { windows, live: 0, alone: true };
    }
    return undefined;
  }

  /** Fills a batch; `maxBacklog` says how many windows may join so many live ones. */
  take(fill: BatchFill, maxBacklog: (live: number) => number, nowMs: number): Load {
    const windows: BacklogWindow[] = [];
    const taken = new Set<string>();
    const takeFrom = (next: () => BacklogWindow | undefined, drop: () => void, max: number): void => {
      for (let left = max; left > 0; left--) {
        let window = next();
        while (window !== undefined && taken.has(keyOf(window.ref))) {
          drop();
          window = next();
        }
        if (window === undefined || !fill.add(window)) return;
        drop();
        windows.push(window);
        taken.add(keyOf(window.ref));
      }
    };
    takeFrom(
      () => this.#first(this.#live),
      () => this.#live.shift(),
      Number.POSITIVE_INFINITY,
    );
    const live = windows.length;
    takeFrom(
      () => this.#first(this.#again) ?? this.#oldest(nowMs),
      () => (this.#again.length > 0 ? this.#again.shift() : this.#page.shift()),
      this.#live.length > 0 ? 0 : maxBacklog(live),
    );
    return { windows, live, alone: false };
  }

  /** The first of a list that may go now; what may not is taken off. */
  #first(list: WindowId[]): BacklogWindow | undefined {
    while (list.length > 0) {
      const [window] = this.#sendable(this.#backlog.unsent(list[0]!));
      if (window !== undefined) return window;
      list.shift();
    }
    return undefined;
  }

  #oldest(nowMs: number): BacklogWindow | undefined {
    for (;;) {
      if (this.#page.length === 0 && !this.#turnPage(nowMs)) return undefined;
      const [window] = this.#page;
      if (window !== undefined && this.#mayGo(window.ref)) return window;
      this.#page.shift();
    }
  }

  #turnPage(nowMs: number): boolean {
    if (this.#cursor === undefined) {
      if (nowMs < this.#rescanMs) return false;
      this.#cursor = START;
    }
    this.#rescanMs = nowMs + RESCAN_MS;
    this.#page = this.#backlog.page(this.#cursor, PAGE);
    this.#cursor = this.#page.at(-1)?.ref;
    return this.#page.length > 0;
  }

  #sendable(window: BacklogWindow | undefined): BacklogWindow[] {
    return window !== undefined && this.#mayGo(window.ref) ? [window] : [];
  }
}
