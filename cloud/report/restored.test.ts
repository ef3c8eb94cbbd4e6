import t from 'tap';
import { nameSession } from '../../shared/session.js';
import { batchOf, EPOCH_A, EPOCH_B, NOON, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite/store.js';
import { formatGateways, listGateways } from './gateways.js';
import { reconcile } from './reconcile.js';

const SPAN = { fromMs: 0, toMs: NOON + 1 };

t.test('the same opening of a database twice, each by another session, is told', async (t) => {
  const store = openSqliteStore({ path: `${t.testdir()}/cloud.db`, maxQuarantineBytes: 1e6 });
  t.teardown(() => store.close());
  const windows = windowsOf([{ timeMs: NOON, values: { c: 1 } }]);
  const put = (opening: number, random: number, epoch = EPOCH_A) =>
    store.commit([batchOf(windows, { epoch, session: nameSession(opening, random) })]);
  const show = async () => {
    const gateways = await listGateways(store, NOON);
    const query = { gateway: 'gw', span: SPAN, nowMs: NOON, maxSilenceMs: 300_000 };
    const { notes } = await reconcile(store, query);
    return {
      restored: gateways[0]!.restored,
      json: JSON.parse(formatGateways(gateways, 'json', NOON)).rows[0].restored,
      table: formatGateways(gateways, 'table', NOON),
      notes: notes.filter((note) => note.includes('restored')),
    };
  };
  await put(1, 7);
  await put(2, 7);
  await put(2, 9, EPOCH_B);
  const calm = await show();
  t.match(calm, { restored: [], json: [], notes: [] });
  t.notMatch(calm.table, /restored/);
  await put(4, 1);
  await put(3, 1);
  await put(3, 2);
  await put(4, 2);
  const told = await show();
  const expected = [{ epoch: EPOCH_A, opening: 3 }];
  t.same(told.restored, expected);
  t.same(told.json, expected);
  t.match(told.table, /\ngw was restored from an older copy of its database \(epoch aaaaaaaa, opening 3\)/);
  t.match(told.notes, [/older copy .*epoch aaaaaaaa, opening 3/]);
});
