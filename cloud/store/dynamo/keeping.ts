/** Puts roll-ups, then takes out of the books the marks that they were computed for, and no later ones. */
import pMap from 'p-map';
import type { RollUp } from '../store.js';
import type { Books } from './books.js';
import { booksKey } from './changes.js';
import type { DynamoDictionary } from './dictionary.js';
import { gatewayPk } from './keys.js';
import { type Cleared, clearMarks, type MarkRow, markOf, rowOf } from './marks.js';
import { CONCURRENCY, type Requests } from './requests.js';
import { putRollUp } from './roll-ups.js';
import { amend } from './versioned.js';

export async function putRollUps(
  requests: Requests,
  dictionary: DynamoDictionary,
  rollUps: readonly RollUp[],
): Promise<void> {
  await pMap(rollUps, (rollUp) => putRollUp(requests, dictionary, rollUp), { concurrency: CONCURRENCY });
  const byGateway = new Map<string, Cleared[]>();
  for (const { scope, resolution, subject, startMs, mark } of rollUps) {
    if (scope === 'all') throw new RangeError('roll-ups of everything are not kept');
    const gateway = subject.gateway!;
    const id = dictionary.devices(gateway).idOf(scope, subject)!;
    const cleared = byGateway.get(gateway) ?? [];
    byGateway.set(gateway, cleared);
    cleared.push({ scope, resolution, startMs, id, version: mark });
  }
  await pMap(byGateway, ([gateway, cleared]) => clear(requests, gateway, cleared), { concurrency: CONCURRENCY });
}

async function clear(requests: Requests, gateway: string, cleared: readonly Cleared[]): Promise<void> {
  await amend<Books>(requests, 'books', booksKey(gateway), async (books) => {
    if (books === undefined) return undefined;
    const spilledMarks: string[] = [];
    for (const sk of books.spilledMarks) {
      const { value } = await amend<readonly MarkRow[]>(requests, 'books', { pk: gatewayPk(gateway), sk }, (rows) => {
        const left = cleaned(rows ?? [], cleared);
        if (left.length === 0) return null;
        return left === rows ? undefined : left;
      });
      if (value !== undefined) spilledMarks.push(sk);
    }
    const marks = cleaned(books.marks, cleared);
    const isSame = marks === books.marks && spilledMarks.length === books.spilledMarks.length;
    return isSame ? undefined : { ...books, marks, spilledMarks };
  });
}

/** The same array where nothing of it is cleared. */
function cleaned(rows: readonly MarkRow[], cleared: readonly Cleared[]): readonly MarkRow[] {
  const marks = rows.map(markOf);
  const left = clearMarks(marks, cleared);
  return left === marks ? rows : left.map(rowOf);
}
