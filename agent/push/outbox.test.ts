import t from 'tap';
import type { BacklogWindow, WindowId, WindowRef } from '../stored-window.js';
import { type Backlog, Outbox } from './outbox.js';

const LIMITS = { maxInFlight: 3, maxBatchBytes: 1000, receiptTimeoutMs: 1000 };

/** A backlog of windows of one device, each a hundred bytes. */
class FakeBacklog implements Backlog {
  readonly windows = new Map<number, { revision: number; receipted: number }>();

  put(startMs: number, revision = 1): WindowId {
    this.windows.set(startMs, { revision, receipted: this.windows.get(startMs)?.receipted ?? 0 });
    return idOf(startMs);
  }

  page(_nowMs: number, after: WindowId, limit: number): BacklogWindow[] {
    const starts = [...this.windows.keys()].filter((start) => start > after.startMs).sort((a, b) => a - b);
    return starts.flatMap((start) => this.unsent(0, idOf(start)) ?? []).slice(0, limit);
  }

  unsent(_nowMs: number, id: WindowId): BacklogWindow | undefined {
    const window = this.windows.get(id.startMs);
    if (window === undefined || window.receipted >= window.revision) return undefined;
    const summary = { group: '', device: 'a', startMs: id.startMs, lengthMs: 1, part: 0, readings: 1 };
    return {
      ref: { ...idOf(id.startMs), revision: window.revision },
      summary: { ...summary, revision: window.revision, metrics: new Map() },
    };
  }

  ledger() {
    return [];
  }

  attempted(refs: readonly WindowRef[]): WindowRef[] {
    return refs.filter(({ startMs, revision }) => this.windows.get(startMs)?.revision === revision);
  }

  receipted(refs: readonly WindowRef[]): void {
    for (const { startMs, revision } of refs) {
      const window = this.windows.get(startMs)!;
      window.receipted = Math.max(window.receipted, revision);
    }
  }

  get owed(): number[] {
    return [...this.windows].filter(([, w]) => w.revision > w.receipted).map(([start]) => start);
  }
}

function idOf(startMs: number): WindowId {
  return { device: 1, startMs, lengthMs: 1, part: 0 };
}

function setup() {
  const backlog = new FakeBacklog();
  return { backlog, outbox: new Outbox(backlog, LIMITS, () => 100) };
}

const starts = (outgoing: { windows: readonly BacklogWindow[] } | undefined) =>
  outgoing?.windows.map(({ ref }) => ref.startMs);

t.test('batches are filled to the byte limit, oldest first, each window in one at a time', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 25; start > 0; start--) backlog.put(start);
  t.strictSame(starts(outbox.next(0)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  t.strictSame(starts(outbox.next(0)), [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  t.strictSame(starts(outbox.next(0)), [21, 22, 23, 24, 25]);
  t.equal(outbox.next(0), undefined, 'three are in flight');
  outbox.receipt([1, 2, 3]);
  t.strictSame(backlog.owed, []);
  t.equal(outbox.next(0), undefined);
});

t.test('fresh windows go before the backlog', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 30; start++) backlog.put(start);
  outbox.next(0);
  outbox.saved([backlog.put(100)]);
  t.equal(starts(outbox.next(0))?.[0], 100);
});

t.test('a receipt frees the revision it is for, and no other', async (t) => {
  const { backlog, outbox } = setup();
  outbox.saved([backlog.put(1)]);
  const first = outbox.next(0)!;
  outbox.saved([backlog.put(1, 2)]);
  const second = outbox.next(0)!;
  t.equal(second.windows[0]?.ref.revision, 2, 'the change travels at once');
  outbox.receipt([first.sequence]);
  t.strictSame(backlog.owed, [1]);
  outbox.receipt([second.sequence]);
  t.strictSame(backlog.owed, []);
});

t.test('no receipt in time: sent again, more patiently; a late receipt is still good', async (t) => {
  const { backlog, outbox } = setup();
  outbox.saved([backlog.put(1)]);
  const first = outbox.next(0)!;
  t.equal(outbox.expire(999), 0);
  t.equal(outbox.next(999), undefined, 'it is travelling');
  t.equal(outbox.expire(1000), 1);
  t.strictSame(starts(outbox.next(1000)), [1]);
  t.equal(outbox.expire(2000), 0, 'twice the time now');
  outbox.receipt([first.sequence]);
  t.strictSame(backlog.owed, []);
  outbox.receipt([first.sequence, 77]);
  t.equal(outbox.counters.receipted, 1, 'unknown or repeated receipts change nothing');
});

t.test('a lost link: everything in flight again', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 30; start++) backlog.put(start);
  outbox.next(0);
  outbox.next(0);
  outbox.linkLost();
  t.equal(outbox.inFlight, 0);
  t.strictSame(starts(outbox.next(0)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

t.test('a refused batch is halved until the culprit stands alone; the rest flows', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 9; start++) backlog.put(start);
  const poison = 6;
  for (let round = 0; round < 30; round++) {
    const outgoing = outbox.next(0);
    if (outgoing === undefined) break;
    if (starts(outgoing)?.includes(poison)) outbox.rejected(outgoing.sequence, false, 0);
    else outbox.receipt([outgoing.sequence]);
  }
  t.strictSame(backlog.owed, [poison], 'kept, not dropped');
  t.equal(outbox.setAside, 1);
  t.equal(outbox.next(1000), undefined, 'and not sent again at once');
  outbox.expire(10 * 60_000);
  t.strictSame(starts(outbox.next(10 * 60_000)), [poison], 'but later: the cloud may have been mended');
});

t.test('a batch refused for what it is waits as a whole', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 9; start++) backlog.put(start);
  outbox.rejected(outbox.next(0)!.sequence, true, 0);
  t.equal(outbox.setAside, 9);
  t.equal(outbox.next(1), undefined);
  t.equal(backlog.owed.length, 9);
});

t.test('more fresh windows than are remembered are found all the same', async (t) => {
  const { backlog, outbox } = setup();
  const ids = Array.from({ length: 30_000 }, (_, start) => backlog.put(start));
  outbox.saved(ids);
  t.strictSame(starts(outbox.next(0)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

t.test('a window that was merged away since it was read is not sent', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 15; start++) backlog.put(start);
  outbox.next(0);
  for (let start = 11; start <= 14; start++) backlog.windows.delete(start);
  backlog.put(15, 2);
  t.equal(outbox.next(0), undefined, 'revision 1 of window 15 is not the newest any more');
  t.strictSame(starts(outbox.next(5_000)), [15], 'the newest goes with the next look');
});
