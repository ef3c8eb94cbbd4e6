/**
 * Rows whose bytes changed on the disk, one by one: each is set aside with its reason, what it held is told as lost, and
 * everything else counts once and arrives.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { imbalance } from '../agent/books.js';
import { bufferSchema } from '../agent/buffer/options.js';
import type { MetricSummary } from '../shared/summary.js';
import { Cloud, Gateway } from './model-pipeline.js';

const MINUTE = 60_000;
const T0 = Date.UTC(2026, 5, 1);

class Story {
  readonly path: string;
  readonly gateway: Gateway;
  readonly cloud = new Cloud();

  constructor(t: Test, maxBytes = '64MB') {
    this.path = join(t.testdir(), 'gateway.db');
    this.gateway = new Gateway(this.path, bufferSchema.parse({ maxBytes }), T0);
    t.teardown(() => this.gateway.pipeline.buffer.close());
  }

  /** The n-th reading is 2^n, in its minute. */
  publish(...numbers: number[]): void {
    for (const n of numbers) this.gateway.accept(JSON.stringify(['a', T0 + n * MINUTE, 2 ** n]));
  }

  /** Changes the bytes of a column by one bit each, in the file of a stopped gateway. */
  damage(table: string, column: string, where: string): void {
    this.gateway.crash(() => {
      const db = new Database(this.path);
      const rows = db.prepare(`SELECT rowid_, ${column} AS bytes FROM (${this.#keyed(table)}) WHERE ${where}`).all();
      for (const { rowid_, bytes } of rows as { rowid_: number; bytes: Buffer }[]) {
        bytes[bytes.length >> 1]! ^= 4;
        db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${this.#key(table)} = ?`).run(bytes, rowid_);
      }
      db.close();
      if (rows.length === 0) throw new Error('nothing was damaged');
    });
  }

  #key(table: string): string {
    return table === 'journal' ? 'sequence' : table === 'windows' ? 'start_ms' : 'id';
  }

  #keyed(table: string): string {
    return `SELECT ${this.#key(table)} AS rowid_, * FROM ${table}`;
  }

  /** Numbers of the readings in the cloud; throws where one counts twice. */
  async arrived(): Promise<number[]> {
    const { gateway, cloud } = this;
    for (let round = 0; round < 20; round++) {
      gateway.pass(2 * MINUTE);
      await gateway.work();
      for (const bytes of gateway.wire.splice(0)) gateway.receipt(cloud.take(bytes));
    }
    const total = cloud.totals().get('a') as MetricSummary | undefined;
    const bits = [...(total?.sums.sum ?? 0n).toString(2)].reverse();
    const there = bits.flatMap((bit, n) => (bit === '1' ? [n] : []));
    if (total !== undefined && total.n !== there.length) throw new Error('a reading counts twice');
    return there;
  }

  get damaged(): Record<string, number> {
    return this.gateway.pipeline.buffer.damage.counts();
  }
}

t.test('a block of the journal', async (t) => {
  const story = new Story(t);
  story.publish(1);
  story.publish(2);
  story.publish(3);
  story.damage('journal', 'block', 'sequence = 2');
  t.same(story.damaged, { journal: 1 });
  t.equal(imbalance(story.gateway.pipeline.books), 0);
  story.publish(2); // nobody knows it: it counts
  t.same(await story.arrived(), [1, 2, 3]);
  t.same(story.cloud.lost('damaged'), { journal: 1 });
});

t.test('a window that was not sent', async (t) => {
  const story = new Story(t);
  story.publish(1, 2, 3);
  await story.gateway.pipeline.save('all');
  story.damage('windows', 'summary', `start_ms = ${T0 + 2 * MINUTE}`);
  story.publish(2, 4); // its memory is whole: the repetition is known
  t.same(await story.arrived(), [1, 3, 4]);
  t.same(story.damaged, { windows: 1 });
  t.same(story.cloud.lost('damaged'), { windows: 1 });
});

t.test('a window that the cloud has: what comes late is added to it, and nothing is told as lost', async (t) => {
  const story = new Story(t);
  story.publish(1, 2, 3);
  t.same(await story.arrived(), [1, 2, 3]);
  story.gateway.accept(JSON.stringify(['a', T0 + 2 * MINUTE + 1, 2 ** 20])); // in the journal
  story.damage('windows', 'seen', `start_ms = ${T0 + 2 * MINUTE}`);
  story.gateway.accept(JSON.stringify(['a', T0 + 2 * MINUTE + 2, 2 ** 21]));
  t.same(await story.arrived(), [1, 2, 3, 20, 21]);
  t.same(story.damaged, { windows: 1 });
  t.same(story.cloud.lost('damaged'), {});
});

t.test('a window among those that are merged to save room', async (t) => {
  const story = new Story(t);
  story.gateway.isUp = false;
  story.publish(1, 2, 3, 4);
  await story.gateway.pipeline.save('all');
  story.damage('windows', 'summary', `start_ms = ${T0 + 2 * MINUTE}`);
  const { pipeline } = story.gateway;
  const merge = () =>
    pipeline.buffer.coarsen(T0 + 90 * MINUTE, (interval) => pipeline.isOpen(interval), pipeline.books, T0);
  t.same(merge(), {}, 'it is found');
  t.same(merge(), { '1h': 4 }, 'and then in nobody’s way');
  story.gateway.isUp = true;
  t.same(await story.arrived(), [1, 3, 4]);
  t.same(story.cloud.lost('damaged'), { windows: 1 });
});

t.test('a held reading', async (t) => {
  const story = new Story(t);
  story.publish(1, 20, 21);
  t.equal(story.gateway.pipeline.books.held, 2);
  story.damage('held', 'block', 'id = 1');
  t.same(await story.arrived(), [1, 21]);
  t.same(story.damaged, { held: 1 });
  t.same(story.cloud.lost('damaged'), { held: 1 });
  t.equal(imbalance(story.gateway.pipeline.books), 0);
});

t.test('looking at a damaged database changes nothing in it', async (t) => {
  const story = new Story(t);
  story.publish(1);
  story.publish(2);
  story.gateway.crash();
  story.publish(3);
  story.damage('journal', 'block', 'sequence = 3');
  t.same(story.damaged, { journal: 1 });
});
