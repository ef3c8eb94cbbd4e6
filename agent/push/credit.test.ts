import t from 'tap';
import { Credit } from './credit.js';

const ALONE = true;

t.test('a new link waits a random while, then a few windows go ahead for a receipt', async (t) => {
  const credit = new Credit(10_000);
  credit.linkUp(0, 0.5);
  t.equal(credit.allowed(4_999, ALONE, 0), 0);
  t.equal(credit.allowed(5_000, !ALONE, 0), 0, 'live windows go without them');
  t.equal(credit.allowed(5_000, ALONE, 0), 10);
  credit.spend(10);
  t.equal(credit.allowed(6_000, ALONE, 10), 0);
  t.equal(credit.allowed(40_000, ALONE, 0), 10, 'their time was up without a receipt: once more');
});

t.test('a receipt ends the wait: without credit in it nothing is limited', async (t) => {
  const credit = new Credit(10_000);
  credit.linkUp(0, 0.5);
  credit.grant(undefined, 100);
  t.equal(credit.allowed(100, ALONE, 1e6), Number.POSITIVE_INFINITY);
  t.equal(credit.perSecond, undefined);
});

t.test('windows leave at the rate that was granted, whatever the pauses', async (t) => {
  const credit = new Credit(0);
  credit.grant({ windowsPerSecond: 10 }, 0);
  let sent = 0;
  for (let nowMs = 0; nowMs <= 100_000; nowMs += nowMs % 7 === 0 ? 50 : 900) {
    if (nowMs % 30_000 < 1000) credit.grant({ windowsPerSecond: 10 }, nowMs);
    const allowed = credit.allowed(nowMs, nowMs % 3 === 0, 0);
    credit.spend(allowed);
    sent += allowed;
    t.ok(sent <= 10 * (nowMs / 1000) + 100, 'never more than the purse on top');
  }
  t.ok(sent > 900, `${sent}`);
  t.equal(credit.perSecond, 10);
});

t.test('alone they wait until some have gathered; with live ones they ride along', async (t) => {
  const credit = new Credit(0);
  credit.grant({ windowsPerSecond: 10 }, 0);
  t.equal(credit.allowed(4_900, ALONE, 0), 0);
  t.equal(credit.allowed(4_900, !ALONE, 0), 49);
  t.equal(credit.allowed(5_000, ALONE, 0), 50);
});

t.test('what is without a receipt is held against it', async (t) => {
  const credit = new Credit(0);
  credit.grant({ windowsPerSecond: 10 }, 0);
  t.equal(credit.allowed(20_000, ALONE, 0), 100);
  t.equal(credit.allowed(20_000, ALONE, 25), 75);
  t.equal(credit.allowed(20_000, !ALONE, 90), 10);
  t.equal(credit.allowed(20_000, !ALONE, 100), 0);
});

t.test('even the least credit lets one window through', async (t) => {
  const credit = new Credit(0);
  credit.grant({ windowsPerSecond: 0.1 }, 0);
  t.equal(credit.allowed(5_000, ALONE, 0), 0);
  t.equal(credit.allowed(10_000, ALONE, 0), 1);
});

t.test('a grant is forgotten after a while without a receipt', async (t) => {
  const credit = new Credit(0);
  credit.grant({ windowsPerSecond: 10 }, 0);
  t.equal(credit.allowed(59_999, ALONE, 0), 100);
  t.equal(credit.allowed(60_000, ALONE, 0), 10, 'as on a new link');
  t.equal(credit.perSecond, undefined);
});
