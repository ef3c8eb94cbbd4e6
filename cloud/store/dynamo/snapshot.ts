/**
 * Reads the table for a report or a keeper of roll-ups. DynamoDB has no snapshots: what this one promises is that all that
 * was committed before it began is in what it reads, and nothing twice. table.ts says why.
 */
import pMap from 'p-map';
import type { DayTally, GatewayRow, LossRow, StoreBooks } from '../accounts.js';
import {
  DAY_MS,
  type DirtyRollUp,
  type DueQuery,
  endOf,
  type Level,
  type Portion,
  type PortionQuery,
  type Snapshot,
  type Span,
  type Subject,
  startOf,
  type Where,
} from '../store.js';
import { AccountReader } from './account-reader.js';
import { type DynamoDictionary, isWithin } from './dictionary.js';
import { sealedBefore } from './expiry.js';
import { type GatewayView, readViews } from './gateway-view.js';
import { readGatewayRows, readStoreBooks } from './gateways.js';
import { rollUpSk, subjectPk } from './keys.js';
import type { KeptScope } from './marks.js';
import { pipelined } from './pipelined.js';
import type { Item, Requests } from './requests.js';
import { readRollUps, rollUpPortion, startOfItem } from './roll-ups.js';
import { foundPortion, readFound } from './window-reader.js';

/** Of one subject up to this many roll-ups are got by their keys, with those of others; more are queried. */
const FEW_STARTS = 2;
const SUBJECTS_AT_ONCE = 100;

interface Member {
  readonly view: GatewayView;
  readonly id: number;
  readonly subject: Subject;
}

export class DynamoSnapshot implements Snapshot {
  readonly #requests: Requests;
  readonly #dictionary: DynamoDictionary;
  readonly #nowMs: number;
  readonly #views = new Map<string, Promise<GatewayView>>();
  readonly #accounts: AccountReader;
  #gateways: Promise<readonly string[]> | undefined;

  get windowsSinceMs(): number {
    return sealedBefore(this.#nowMs);
  }

  constructor(requests: Requests, dictionary: DynamoDictionary, nowMs: number) {
    this.#requests = requests;
    this.#dictionary = dictionary;
    this.#nowMs = nowMs;
    this.#accounts = new AccountReader(requests, nowMs);
  }

  async days({ fromMs, toMs }: Span): Promise<readonly number[]> {
    const days = new Set<number>();
    for (const { books } of await this.#viewsOf({})) {
      for (const [first, last] of books?.days ?? []) {
        const from = Math.max(first, Math.ceil(fromMs / DAY_MS));
        const to = Math.min(last, Math.ceil(toMs / DAY_MS) - 1);
        for (let day = from; day <= to; day++) days.add(day * DAY_MS);
      }
    }
    return [...days].sort((a, b) => a - b);
  }

  async *windows({ span, where, metrics }: PortionQuery): AsyncGenerator<readonly Portion[]> {
    const members = await this.#members('device', where);
    const read = async ({ subject }: Member) => {
      const found = await readFound(this.#requests, subject, span, this.#nowMs);
      return this.#decoded(() => found.map((one) => foundPortion(this.#dictionary, subject, one, metrics)));
    };
    for await (const portions of pipelined(members, read)) if (portions.length > 0) yield portions;
  }

  async *rollUps(
    { scope, resolution }: Level,
    { span, where, metrics }: PortionQuery,
  ): AsyncGenerator<readonly Portion[]> {
    const kept = keptScope(scope);
    const all = await this.#members(kept, where);
    const members = all.filter(({ view, id }) => !isAllStale(view, kept, resolution, id, span));
    const decode = async ({ view, id, subject }: Member, items: readonly Item[]) => {
      const current = items.filter((item) => !view.isStale(kept, resolution, id, startOfItem(item)));
      return this.#decoded(() => current.map((item) => rollUpPortion(this.#dictionary, subject, item, metrics)));
    };
    const starts = startsIn(resolution, span);
    if (starts !== undefined) {
      for (let i = 0; i < members.length; i += SUBJECTS_AT_ONCE) {
        const some = members.slice(i, i + SUBJECTS_AT_ONCE);
        const byPk = new Map(some.map((member) => [subjectPk(member.subject), member]));
        const keys = [...byPk.keys()].flatMap((pk) => starts.map((ms) => ({ pk, sk: rollUpSk(resolution, ms) })));
        const items = await this.#requests.getMany(keys);
        const portions = await Promise.all(items.map((item) => decode(byPk.get(item.pk!.S!)!, [item])));
        if (items.length > 0) yield portions.flat();
      }
      return;
    }
    const read = async (member: Member) =>
      decode(member, await readRollUps(this.#requests, member.subject, resolution, span));
    for await (const portions of pipelined(members, read)) if (portions.length > 0) yield portions;
  }

  async dirty({ scope, resolution }: Level, { fromMs, toMs }: Span, where: Where): Promise<readonly DirtyRollUp[]> {
    const kept = keptScope(scope);
    const found: DirtyRollUp[] = [];
    for (const view of await this.#viewsOf(where)) {
      for (const { startMs, id, mark } of view.stale(kept, resolution)) {
        const subject = view.devices.subject(kept, id);
        if (startMs < fromMs || startMs >= toMs || !isWithin(subject, where)) continue;
        found.push({ scope: kept, resolution, subject, startMs, mark });
      }
    }
    return found;
  }

  async due({ scope, resolution }: Level, query: DueQuery): Promise<readonly DirtyRollUp[]> {
    if (scope === 'all') return [];
    const { staleSinceMs, overByMs, limit } = query;
    const isOver = (startMs: number) => overByMs === undefined || startMs < startOf(resolution, overByMs);
    const views = await this.#viewsOf({});
    const found = views.flatMap((view) =>
      view
        .stale(scope, resolution)
        .filter(({ startMs, sinceMs }) => sinceMs <= staleSinceMs && isOver(startMs))
        .map((stale) => ({ view, ...stale })),
    );
    const rank = ({ sinceMs }: { sinceMs: number }) => (overByMs === undefined ? sinceMs : 0);
    found.sort((a, b) => rank(a) - rank(b) || a.startMs - b.startMs || a.id - b.id);
    return found.slice(0, limit).map(({ view, startMs, id, mark }) => {
      return { scope, resolution, subject: view.devices.subject(scope, id), startMs, mark };
    });
  }

  async counted(dayMs: number, where: Where): Promise<number> {
    const views = await this.#viewsOf(where);
    const sums = await pMap(views, (view) => this.#accounts.counted(view, dayMs, where), { concurrency: 32 });
    return sums.reduce((sum, one) => sum + one, 0);
  }

  async *tallies(span: Span, where: Where): AsyncGenerator<readonly DayTally[]> {
    for (const view of await this.#viewsOf(where)) yield* this.#accounts.tallies(view, span, where);
  }

  async losses(span: Span, where: Where): Promise<readonly LossRow[]> {
    const views = await this.#viewsOf(where);
    return (await pMap(views, (view) => this.#accounts.losses(view, span, where), { concurrency: 32 })).flat();
  }

  async devices(): Promise<readonly Subject[]> {
    return (await this.#members('device', {})).map(({ subject }) => subject);
  }

  async gateways(): Promise<readonly GatewayRow[]> {
    const names = (await this.#list()).filter((gateway) => gateway !== '');
    return pMap(names, (gateway) => readGatewayRows(this.#requests, gateway), { concurrency: 32 });
  }

  async books(): Promise<StoreBooks> {
    return readStoreBooks(this.#requests, await this.#viewsOf({}));
  }

  #list(): Promise<readonly string[]> {
    this.#gateways ??= this.#dictionary.gateways();
    return this.#gateways;
  }

  /** Those that are not read yet are read together. */
  async #viewsOf({ gateway }: Where): Promise<GatewayView[]> {
    const names = gateway === undefined ? await this.#list() : [gateway];
    const missing = names.filter((name) => !this.#views.has(name));
    if (missing.length > 0) {
      const views = readViews(this.#requests, this.#dictionary, missing);
      for (const [i, name] of missing.entries())
        this.#views.set(
          name,
          views.then((all) => all[i]!),
        );
    }
    return Promise.all(names.map((name) => this.#views.get(name)!));
  }

  async #members(scope: KeptScope, where: Where): Promise<Member[]> {
    const members: Member[] = [];
    for (const view of await this.#viewsOf(where)) {
      for (const id of view.devices.idsWhere(scope, where)) {
        members.push({ view, id, subject: view.devices.subject(scope, id) });
      }
    }
    return members;
  }

  /** A name of a metric may be newer than what this process has read of them. */
  async #decoded<T>(decode: () => T): Promise<T> {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      await this.#dictionary.refreshMetrics();
      return decode();
    }
  }
}

/** What is kept in place of everything: the groups. */
function keptScope(scope: Level['scope']): KeptScope {
  return scope === 'all' ? 'group' : scope;
}

/** Nothing is to be read of such a subject. */
function isAllStale(
  view: GatewayView,
  scope: KeptScope,
  resolution: Level['resolution'],
  id: number,
  { fromMs, toMs }: Span,
): boolean {
  let ms = fromMs;
  while (ms < toMs && view.isStale(scope, resolution, id, ms)) ms = endOf(resolution, ms);
  return ms >= toMs;
}

/** The starts in a span, where they are few. */
function startsIn(resolution: Level['resolution'], { fromMs, toMs }: Span): number[] | undefined {
  const starts: number[] = [];
  for (let ms = fromMs; ms < toMs; ms = endOf(resolution, ms)) {
    if (starts.push(ms) > FEW_STARTS) return undefined;
  }
  return starts;
}
