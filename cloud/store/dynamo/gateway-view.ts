/**
 * What a snapshot knows of a gateway: its books, and the marks that had no room in them, read once and before all else of it.
 * What is not marked here is up to date for as long as the snapshot lives: a roll-up that is replaced later holds no less.
 */
import type { Resolution } from '../store.js';
import { textOf } from './attributes.js';
import type { Books } from './books.js';
import { booksKey } from './changes.js';
import type { Devices, DynamoDictionary } from './dictionary.js';
import { gatewayPk } from './keys.js';
import { type KeptScope, type MarkRow, markOf } from './marks.js';
import type { Item, Requests } from './requests.js';
import { versionedOf } from './versioned.js';

export interface Stale {
  readonly startMs: number;
  readonly id: number;
  /** The version of the books that marked it last. */
  readonly mark: number;
  readonly sinceMs: number;
}

export interface GatewayView {
  readonly gateway: string;
  readonly devices: Devices;
  readonly books: Books | undefined;
  stale(scope: KeptScope, resolution: Resolution): readonly Stale[];
  isStale(scope: KeptScope, resolution: Resolution, id: number, startMs: number): boolean;
}

export async function readViews(
  requests: Requests,
  dictionary: DynamoDictionary,
  gateways: readonly string[],
): Promise<GatewayView[]> {
  const items = new Map<string, Item>();
  for (const item of await requests.getMany(gateways.map(booksKey))) items.set(textOf(item, 'pk'), item);
  return Promise.all(
    gateways.map((gateway) => viewOf(requests, gateway, dictionary.devices(gateway), items.get(gatewayPk(gateway)))),
  );
}

async function viewOf(
  requests: Requests,
  gateway: string,
  devices: Devices,
  item: Item | undefined,
): Promise<GatewayView> {
  const books = versionedOf<Books>(item).value;
  if (books !== undefined && devices.log.size < books.devices) await devices.log.refresh();
  const keys = (books?.spilledMarks ?? []).map((sk) => ({ pk: gatewayPk(gateway), sk }));
  const spilled = await requests.getMany(keys);
  const rows = [...(books?.marks ?? []), ...spilled.flatMap((one) => versionedOf<readonly MarkRow[]>(one).value ?? [])];
  const byLevel = staleOf(rows);
  const none = new Map<string, Stale>();
  const at = (scope: KeptScope, resolution: Resolution) => byLevel.get(`${scope}/${resolution}`) ?? none;
  return {
    gateway,
    devices,
    books,
    stale: (scope, resolution) => [...at(scope, resolution).values()],
    isStale: (scope, resolution, id, startMs) => at(scope, resolution).has(`${startMs}/${id}`),
  };
}

/** By level, then by start and id; of several marks the highest, stale since the first. */
function staleOf(rows: readonly MarkRow[]): Map<string, Map<string, Stale>> {
  const byLevel = new Map<string, Map<string, Stale>>();
  for (const row of rows) {
    const { scope, resolution, startMs, version, sinceMs, ids } = markOf(row);
    const level = `${scope}/${resolution}`;
    const found = byLevel.get(level) ?? new Map<string, Stale>();
    byLevel.set(level, found);
    for (const id of ids) {
      const key = `${startMs}/${id}`;
      const before = found.get(key);
      const mark = Math.max(version, before?.mark ?? 0);
      found.set(key, { startMs, id, mark, sinceMs: Math.min(sinceMs, before?.sinceMs ?? sinceMs) });
    }
  }
  return byLevel;
}
