import t from 'tap';
import type { Status } from '../../shared/status.js';
import { CreditBook } from './credit.js';

const LEAST = 100;

function told(windows: number, ageMs = 3_600_000): Status {
  return {
    v: 1,
    state: 'online',
    epoch: 'c0ffee00c0ffee00c0ffee00c0ffee00',
    version: '0.1.0',
    sentMs: 1e12,
    backlog: { windows, bytes: windows, oldestMs: 1e12 - ageMs },
    readings: { in: 0, counted: 0, duplicate: 0, rejected: 0, held: 0 },
    reasons: {},
  };
}

/** So many live windows a second, for so long. */
function live(book: CreditBook, perSecond: number, fromMs: number, toMs: number, tookMs = 5): void {
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 100) {
    book.batch('steady', { live: perSecond / 10, backlog: 0 }, tookMs, nowMs);
  }
}

t.test('all backlogs together get half of what comes live, and never less than the operator says', async (t) => {
  const book = new CreditBook(LEAST, 0);
  t.equal(book.grant('a', 0), LEAST);
  live(book, 2000, 0, 10_000);
  t.ok(Math.abs(book.grant('a', 10_000) - 1000) < 20, `${book.grant('a', 10_000)} after ten seconds`);
  live(book, 2000, 10_000, 300_000);
  t.ok(Math.abs(book.grant('a', 300_000) - 1000) < 20);
  live(book, 10, 300_000, 900_000);
  t.equal(book.grant('a', 900_000), LEAST);
});

t.test('it is shared by those who say that they have a backlog, and by those who send one', async (t) => {
  const book = new CreditBook(LEAST, 0);
  for (let i = 0; i < 200; i++) book.status(`gw-${i}`, told(5000), 0);
  t.equal(book.grant('gw-7', 0), LEAST / 200);
  t.equal(book.grant('other', 0), Math.round((100 * LEAST) / 201) / 100);
  for (let i = 0; i < 190; i++) book.status(`gw-${i}`, told(0), 1000);
  t.equal(book.grant('gw-195', 1000), LEAST / 10);
  book.batch('old', { live: 0, backlog: 500 }, 5, 1000);
  t.equal(book.grant('old', 1000), Math.round((100 * LEAST) / 11) / 100);
  t.equal(book.grant('old', 200_000), LEAST, 'nobody else was heard of since');
});

t.test('windows that were just saved, or a few that are refused, are no backlog', async (t) => {
  const book = new CreditBook(LEAST, 0);
  book.status('fresh', told(5000, 60_000), 0);
  book.status('few', told(3), 0);
  book.status('gone', { ...told(5000), state: 'offline' }, 0);
  t.equal(book.grant('a', 0), LEAST);
});

t.test('commits that take long shrink it, prompt ones let it grow again', async (t) => {
  const book = new CreditBook(LEAST, 0);
  live(book, 10, 0, 10_000, 3_000);
  t.equal(book.grant('a', 10_000), 2);
  live(book, 10, 10_000, 60_000);
  t.equal(book.grant('a', 60_000), LEAST);
});
