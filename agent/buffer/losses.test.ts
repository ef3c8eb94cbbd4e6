import { join } from 'node:path';
import { type Test, test } from 'tap';
import { type Block, emptyTally, type Loss } from '../block.js';
import { emptyBooks } from '../books.js';
import { EdgeBuffer } from './buffer.js';
import { bufferSchema } from './options.js';

const OPTIONS = bufferSchema.parse({ maxBytes: '8MB' });
const DAY = 86_400_000;
const ALL = 1e6;

function open(t: Test, path: string): EdgeBuffer {
  const buffer = new EdgeBuffer(path, OPTIONS);
  t.teardown(() => buffer.close());
  return buffer;
}

const loss = (count: number, more: Partial<Loss> = {}): Loss => {
  return { dayMs: DAY, kind: 'rejected', reason: 'bad-time', device: 0, count, ...more };
};

/** As the pipeline does: the block is durable first, then what it lost is entered. */
function commit(buffer: EdgeBuffer, ...losses: Loss[]): void {
  const block: Block = { readings: [], tally: { ...emptyTally(DAY), losses } };
  buffer.commit({ block, samples: [], held: [], released: [] });
  for (const one of losses) buffer.losses.enter(one);
}

/** As recovery does. */
function recover(buffer: EdgeBuffer): void {
  for (const { sequence, block } of buffer.journal.blocks()) {
    if (sequence > buffer.savedBooks.sequence) for (const one of block.tally.losses) buffer.losses.enter(one);
  }
}

const untold = (buffer: EdgeBuffer) =>
  buffer.losses
    .untold(ALL)
    .map(({ record: { dayMs, reason, device, count } }) => `${dayMs / DAY} ${reason} ${device ?? '-'} ${count}`)
    .sort();

test('counts survive a crash at any moment, neither lost nor twice', (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  let buffer = open(t, path);
  const crash = () => {
    buffer.close();
    buffer = open(t, path);
    recover(buffer);
  };
  const device = buffer.dictionary.device('hall', 'd1')!;
  commit(buffer, loss(2), loss(1, { device }));
  crash();
  t.strictSame(untold(buffer), ['1 bad-time - 2', '1 bad-time d1 1'], 'in the journal only');
  buffer.save([], emptyBooks(), undefined);
  commit(buffer, loss(3));
  crash();
  t.strictSame(untold(buffer), ['1 bad-time - 5', '1 bad-time d1 1'], 'saved, and some in the journal');
  const told = buffer.losses.untold(ALL);
  commit(buffer, loss(1));
  buffer.lossesReceipted(told);
  t.strictSame(untold(buffer), ['1 bad-time - 6'], 'a receipt frees what it was for');
  crash();
  t.strictSame(untold(buffer), ['1 bad-time - 6'], 'and is remembered, also for what is in the journal only');
  buffer.save([], emptyBooks(), undefined);
  buffer.lossesReceipted(buffer.losses.untold(ALL));
  crash();
  t.strictSame(untold(buffer), []);
  t.end();
});

test('what a failed transaction lost was not lost', (t) => {
  const buffer = open(t, join(t.testdir(), 'edgetally.db'));
  commit(buffer, loss(2));
  t.throws(() =>
    buffer.losses.saving(() => {
      buffer.losses.enter(loss(40));
      throw new Error('the disk fails');
    }),
  );
  t.strictSame(untold(buffer), ['1 bad-time - 2']);
  t.end();
});

test('devices that are made up do not fill the table: above a bound they are counted without their names', (t) => {
  const buffer = open(t, join(t.testdir(), 'edgetally.db'));
  for (let i = 0; i < 2000; i++) commit(buffer, loss(1, { device: buffer.dictionary.device('', `d${i}`)! }));
  const told = buffer.losses.untold(ALL);
  t.equal(told.length, 501);
  t.equal(
    told.reduce((sum, { record }) => sum + record.count, 0),
    2000,
    'every one of them',
  );
  commit(buffer, loss(5, { device: buffer.dictionary.device('', 'd7')! }), loss(1, { dayMs: 2 * DAY, device: 3 }));
  t.match(
    untold(buffer).filter((line) => line.includes(' d7 ') || line.startsWith('2')),
    ['1 bad-time d7 6', '2 bad-time'],
  );
  t.ok(buffer.losses.untold(1000).length < 30, 'a batch takes what it has room for');
  t.equal(buffer.losses.untold(1).length, 1, 'and one at least');
  t.end();
});

test('days that the cloud knows are forgotten; what they still bring is filed under a later one', (t) => {
  const path = join(t.testdir(), 'edgetally.db');
  let buffer = open(t, path);
  commit(buffer, loss(4), loss(7, { dayMs: 2 * DAY }));
  buffer.lossesReceipted(buffer.losses.untold(ALL).filter(({ record }) => record.dayMs === DAY));
  buffer.forgetLosses(10 * DAY);
  commit(buffer, loss(1));
  t.strictSame(untold(buffer), ['1 bad-time - 5', '2 bad-time - 7'], 'not what is in no row yet');
  buffer.save([], emptyBooks(), undefined);
  buffer.lossesReceipted(buffer.losses.untold(ALL).filter(({ record }) => record.dayMs === DAY));
  buffer.forgetLosses(2 * DAY - 1);
  commit(buffer, loss(1));
  t.strictSame(untold(buffer), ['1 bad-time - 6', '2 bad-time - 7'], 'not the day that goes on');
  buffer.save([], emptyBooks(), undefined);
  buffer.lossesReceipted(buffer.losses.untold(ALL).filter(({ record }) => record.dayMs === DAY));
  buffer.forgetLosses(10 * DAY);
  buffer.close();
  buffer = open(t, path);
  commit(buffer, loss(1));
  t.strictSame(untold(buffer), ['2 bad-time - 8'], 'a count that began again would be lost on the cloud');
  t.end();
});
