/** Conformance: what one gateway may put, and that no other one feels it. The quota is QUOTA of conformance-tools.ts. */
import { type ConformanceCases, DAY, QUOTA, total } from './conformance-tools.js';
import { batchOf, EPOCH_B, NOON, windowsOf } from './samples.js';
import { type BatchChange, DAY_MS, type Store } from './store.js';

const at = (device: string, metric = 'c') => windowsOf([{ timeMs: NOON, device, values: { [metric]: 1 } }]);
const many = (count: number, from = 0) => Array.from({ length: count }, (_, i) => at(`d${from + i}`)).flat();

async function put(store: Store, more: Partial<BatchChange>) {
  return (await store.commit([batchOf([], more)]))[0]!;
}

export const QUOTA_CASES: ConformanceCases = {
  'devices: known ones go on, a batch with one too many is refused whole': async (t, database) => {
    const { store } = database;
    t.match(await put(store, { windows: many(QUOTA.devices - 1) }), { windows: QUOTA.devices - 1 });
    const two = { windows: many(2, QUOTA.devices), ledger: [{ group: '', device: 'd0', dayMs: DAY, readings: 9 }] };
    t.match(await put(store, two), { windows: 0, refused: { reason: 'quota-names', detail: /quota.devices/ } });
    t.equal(await store.read((snapshot) => snapshot.counted(DAY, {})), 0, 'nothing of it was put');
    const again = await database.reopen();
    t.equal((await put(again, { windows: many(1, 100) })).refused, undefined, 'there was room for one');
    t.match(await put(again, { ledger: [{ ...two.ledger[0]!, device: 'new' }] }), {
      refused: { reason: 'quota-names' },
    });
    const loss = { dayMs: DAY, kind: 'rejected', reason: 'x', group: '', device: 'new', count: 1 };
    t.match(await put(again, { losses: [loss] }), { refused: { reason: 'quota-names' } });
    t.equal((await put(again, { losses: [{ ...loss, group: undefined, device: undefined }] })).refused, undefined);
    t.match(await put(again, { windows: at('d0', 'rh'), epoch: EPOCH_B }), { windows: 1 }, 'known devices go on');
    t.match(await put(again, { windows: many(QUOTA.devices), gateway: 'other' }), { windows: QUOTA.devices });
    const rows = await again.read((snapshot) => snapshot.gateways());
    t.same(
      rows.map(({ gateway, overQuota, batches }) => [gateway, overQuota, batches]),
      [
        ['gw', 3, 4],
        ['other', 0, 1],
      ],
    );
  },

  'metrics: those that it named first': async (t, { store }) => {
    const named = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => at('d1', `m${from + i}`)[0]!);
    const asParts = (from: number, count: number) => named(from, count).map((one, i) => ({ ...one, part: from + i }));
    t.match(await put(store, { gateway: 'other', windows: asParts(0, 5) }), { windows: 5 });
    t.match(await put(store, { windows: asParts(0, QUOTA.metrics + 5) }), { windows: QUOTA.metrics + 5 });
    t.match(await put(store, { windows: asParts(100, 1) }), { refused: { detail: /1 new metrics .*quota.metrics/ } });
    t.match(await put(store, { gateway: 'other', windows: asParts(100, 1) }), { windows: 1 });
    t.match(await put(store, { windows: asParts(100, 1) }), { windows: 1 }, 'a name that is known costs nothing');
  },

  'rows of a day: what is known costs nothing, and the next day is another': async (t, database) => {
    const { store } = database;
    const parts = Array.from({ length: QUOTA.rowsPerDay - 1 }, (_, part) => ({ ...at('d1')[0]!, part }));
    await put(store, { windows: parts, receivedMs: NOON });
    const again = await database.reopen();
    const truth = await again.read((snapshot) => total(snapshot, 'windows'));
    const refused = await put(again, { windows: [{ ...parts[0]!, part: 1e6 }], receivedMs: NOON });
    t.match(refused, { windows: 0, refused: { reason: 'quota', detail: /quota.rowsPerDay/ } });
    t.equal(await again.read((snapshot) => total(snapshot, 'windows')), truth);
    const tomorrow = { windows: [...parts, { ...parts[0]!, part: 1e6 }], receivedMs: NOON + DAY_MS };
    t.match(await put(again, tomorrow), { windows: 1 });
    t.match(
      await put(again, { ...tomorrow, sequence: 2 }),
      { windows: 0, refused: undefined },
      'repeated: one row, the batch',
    );
    t.match(await put(again, { gateway: 'other', windows: parts, receivedMs: NOON }), { windows: parts.length });
  },
};
