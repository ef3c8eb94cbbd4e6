/** What is taken for a repetition, and what is not; what is forgotten; that what was written down gives the same again. */
import Database from 'better-sqlite3';
import t from 'tap';
import { emptyTally } from './block.js';
import { StoredDeliveries } from './buffer/deliveries.js';
import { Deliveries, type DeliveryRecord, MAX_DELIVERIES } from './deliveries.js';
import type { Sender } from './reading.js';

const VALUE = Buffer.from('21.4');

function connection(name = 'sensor'): Sender {
  return { name, isSettled: false };
}

function deliver(to: Deliveries, from: Sender, packetId: number, dup: 'DUP' | '' = '', payload = VALUE): boolean {
  return to.isRepeated({ from, packetId, isRedelivered: dup === 'DUP' }, 'zigbee/plug', payload);
}

t.test('the same id, topic and payload of the same sender, with DUP', async (t) => {
  const known = new Deliveries();
  t.notOk(deliver(known, connection(), 7));
  const again = connection();
  t.notOk(deliver(known, again, 8, 'DUP'), 'another id');
  t.notOk(deliver(known, connection('other'), 7, 'DUP'), 'another sender');
  t.ok(deliver(known, again, 7, 'DUP'));
  t.ok(deliver(known, connection(), 7, 'DUP'), 'and once more, on the connection after that');
  t.notOk(deliver(known, again, 7, 'DUP', Buffer.from('21.5')), 'another payload');
  t.notOk(known.isRepeated({ from: again, packetId: 8, isRedelivered: true }, 'zigbee/lamp', VALUE), 'another topic');
});

t.test('on one connection: DUP repeats, an id without DUP is new', async (t) => {
  const known = new Deliveries();
  const from = connection();
  t.notOk(deliver(known, from, 1));
  t.ok(deliver(known, from, 1, 'DUP'));
  t.notOk(deliver(known, from, 1), 'acknowledged, and used again for the same value');
  t.notOk(deliver(known, from, 2));
  t.ok(deliver(known, from, 1, 'DUP'), 'others without DUP may go on meanwhile');
});

t.test('a sender that goes on with something new has repeated all it will', async (t) => {
  const known = new Deliveries();
  deliver(known, connection(), 1);
  deliver(known, connection(), 2);
  const last = connection();
  t.notOk(deliver(known, last, 1, 'DUP'), 'forgotten with the new message on the second connection');
  t.ok(deliver(known, last, 2, 'DUP'));
  t.notOk(deliver(known, last, 3));
  t.ok(deliver(known, connection(), 2, 'DUP'), 'repeated on the last connection, so its PUBACK may be lost again');
});

t.test('a sender that left with everything acknowledged repeats nothing', async (t) => {
  const known = new Deliveries();
  const asleep = connection();
  deliver(known, asleep, 1);
  asleep.isSettled = true;
  t.notOk(deliver(known, connection(), 1, 'DUP'), 'its first delivery got lost');
});

t.test('what could not be committed is not known, what it repeated is', async (t) => {
  const known = new Deliveries();
  deliver(known, connection(), 1);
  known.take();
  const again = connection();
  t.ok(deliver(known, again, 1, 'DUP'));
  t.notOk(deliver(known, again, 2));
  known.undo(known.take());
  const third = connection();
  t.ok(deliver(known, third, 1, 'DUP'));
  t.notOk(deliver(known, third, 2, 'DUP'));
});

t.test('bounded: a busy sender makes others forget no more than the older half', async (t) => {
  const known = new Deliveries();
  const quiet = connection('quiet');
  for (let id = 1; id <= 20; id++) deliver(known, quiet, id);
  for (let sender = 0; sender < 15; sender++) {
    const busy = connection(`busy ${sender}`);
    for (let id = 1; id <= 3_000; id++) deliver(known, busy, id);
    t.ok(known.size <= MAX_DELIVERIES);
  }
  t.ok(deliver(known, connection('quiet'), 20, 'DUP'));
  t.ok(deliver(known, connection('busy 14'), 3_000, 'DUP'));
  t.notOk(deliver(known, connection('busy 14'), 2_000, 'DUP'));
  for (let sender = 0; sender < 2 * MAX_DELIVERIES; sender++) deliver(known, connection(`${sender}`), 1);
  t.ok(known.size <= MAX_DELIVERIES);
  t.ok(deliver(known, connection(`${2 * MAX_DELIVERIES - 1}`), 1, 'DUP'));
});

t.test('written down with its blocks, and known after each way of leaving the journal', async (t) => {
  const db = new Database(':memory:');
  db.exec('CREATE TABLE deliveries (id INTEGER PRIMARY KEY, records BLOB NOT NULL)');
  const stored = new StoredDeliveries(db);
  const journal: { sequence: number; deliveries: readonly DeliveryRecord[] }[] = [];
  const rows = () => db.prepare('SELECT count(*) FROM deliveries').pluck().get();
  const from = connection();
  let sequence = 0;
  const commit = (ids: readonly number[]): void => {
    for (const id of ids) deliver(stored.known, from, id);
    const deliveries = stored.known.take();
    stored.committed(++sequence, { readings: [], tally: emptyTally(), deliveries });
    journal.push({ sequence, deliveries });
  };
  const leave = (oldest: number): void => {
    stored.keep(oldest);
    stored.kept();
    journal.splice(0, journal.length, ...journal.filter((block) => block.sequence >= oldest));
  };
  const knows = (ids: readonly number[]): boolean => {
    const reopened = new StoredDeliveries(db);
    for (const { sequence, deliveries } of journal) {
      reopened.recovered(sequence, { readings: [], tally: emptyTally(), deliveries });
    }
    const again = connection();
    return ids.every((id) => deliver(reopened.known, again, id, 'DUP'));
  };
  commit([1, 2]);
  commit([3]);
  t.ok(knows([1, 2, 3]), 'in the journal');
  leave(2);
  t.equal(rows(), 1);
  t.ok(knows([1, 2, 3]), 'some of them in a row');
  leave(2);
  t.equal(rows(), 1, 'nothing left, nothing written');
  stored.keep(3);
  db.exec('DELETE FROM deliveries WHERE id > 1'); // the transaction was undone
  leave(3);
  t.equal(rows(), 2);
  t.ok(knows([1, 2, 3]));
  const ids = (first: number) => Array.from({ length: 6_000 }, (_, i) => first + i);
  for (const first of [10, 10_000, 20_000, 30_000]) {
    commit(ids(first));
    leave(sequence + 1);
  }
  t.ok(Number(rows()) <= 3, 'what is remembered took the place of all rows');
  t.ok(knows([35_500, 35_999]));
  commit(ids(40_000));
  commit(ids(50_000)); // more than is remembered, and none of it written
  commit([7]);
  leave(sequence);
  t.equal(rows(), 1);
  t.ok(knows([55_500, 55_999, 7]), 'a block that stays is applied once more');
});
