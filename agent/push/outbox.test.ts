import t from 'tap';
import type { LossRecord } from '../../shared/loss.js';
import type { UntoldLoss } from '../block.js';
import type { BacklogWindow, RefusedWindow, WindowId, WindowRef } from '../stored-window.js';
import type { Backlog } from './backlog.js';
import { Credit } from './credit.js';
import { Outbox } from './outbox.js';

const LIMITS = { maxInFlight: 4, maxBatchBytes: 1000, receiptTimeoutMs: 1000 };
/** What a window takes in a batch. */
const BYTES = 92;

/** A backlog of windows of one device, each a hundred bytes. */
class FakeBacklog implements Backlog {
  readonly windows = new Map<number, { revision: number; receipted: number }>();
  readonly refusals = new Map<number, RefusedWindow>();
  /** Counts, and of them those that the cloud has. */
  readonly lost = { count: 0, receipted: 0 };
  readonly losses = {
    untold: () => (this.lost.count > this.lost.receipted ? [{ key: 'k', record: lossOf(this.lost.count) }] : []),
    receipted: (told: readonly UntoldLoss[]) => {
      this.lost.receipted = Math.max(this.lost.receipted, ...told.map(({ record }) => record.count));
    },
  };

  put(startMs: number, revision = 1): WindowId {
    this.windows.set(startMs, { revision, receipted: this.windows.get(startMs)?.receipted ?? 0 });
    return idOf(startMs);
  }

  page(after: WindowId, limit: number): BacklogWindow[] {
    const starts = [...this.windows.keys()].filter((start) => start > after.startMs).sort((a, b) => a - b);
    return starts.flatMap((start) => this.unsent(idOf(start)) ?? []).slice(0, limit);
  }

  unsent(id: WindowId): BacklogWindow | undefined {
    const window = this.windows.get(id.startMs);
    if (window === undefined || window.receipted >= window.revision) return undefined;
    const summary = { group: '', device: 'a', startMs: id.startMs, lengthMs: 1, part: 0, readings: 1 };
    return {
      ref: { ...idOf(id.startMs), revision: window.revision },
      summary: { ...summary, revision: window.revision, metrics: new Map() },
      bytes: 100,
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
      this.refusals.delete(startMs);
    }
  }

  refused(): RefusedWindow[] {
    return [...this.refusals.values()];
  }

  refuse(ref: WindowRef, reason: string, detail: string): void {
    this.refusals.set(ref.startMs, { ref, reason, detail, atMs: 0 });
  }

  get owed(): number[] {
    return [...this.windows].filter(([, w]) => w.revision > w.receipted).map(([start]) => start);
  }
}

function lossOf(count: number): LossRecord {
  return { dayMs: 0, kind: 'rejected', reason: 'not-json', group: undefined, device: undefined, count };
}

function idOf(startMs: number): WindowId {
  return { device: 1, startMs, lengthMs: 1, part: 0 };
}

interface Setup {
  readonly backlog?: FakeBacklog;
  /** What a batch of these takes. */
  readonly sizeOf?: (starts: readonly number[]) => number;
  readonly credit?: Credit;
  /** Batches of the backlog may fly from the beginning. */
  readonly warm?: boolean;
}

function setup({ backlog = new FakeBacklog(), sizeOf, credit, warm = true }: Setup = {}) {
  const granted = credit ?? new Credit(0);
  if (credit === undefined) granted.grant(undefined, 0);
  const largest: number[] = [];
  const outbox = new Outbox({
    backlog,
    limits: LIMITS,
    credit: granted,
    encode: ({ windows, losses }) => {
      if (losses.length > 0) return Uint8Array.of(losses[0]!.count);
      const numbers = windows.map(({ ref }) => ref.startMs);
      const payload = new Uint8Array(sizeOf?.(numbers) ?? numbers.length * BYTES);
      largest.push(payload.length);
      return payload;
    },
  });
  if (warm) warmUp(backlog, outbox);
  return { backlog, outbox, largest };
}

/** Prompt receipts, after which as much of the backlog may be out as there is room, and the size of batches is known. */
function warmUp(backlog: FakeBacklog, outbox: Outbox): void {
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 10; i++) outbox.saved([backlog.put(-1 - i - round * 10)]);
    for (let batch = outbox.next(0); batch !== undefined; batch = outbox.next(0)) outbox.receipt([batch.sequence], 0);
  }
  backlog.windows.clear();
  outbox.linkUp();
  for (const key of Object.keys(outbox.counters)) outbox.counters[key as keyof typeof outbox.counters] = 0;
}

const starts = (outgoing: { windows: readonly BacklogWindow[] } | undefined) =>
  outgoing?.windows.map(({ ref }) => ref.startMs);

t.test('batches are filled to the byte limit, oldest first, each window in one at a time', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 25; start > 0; start--) backlog.put(start);
  t.strictSame(starts(outbox.next(0)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  t.strictSame(starts(outbox.next(0)), [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  t.strictSame(starts(outbox.next(0)), [21, 22, 23, 24, 25]);
  outbox.receipt([21, 22, 23], 0);
  t.strictSame(backlog.owed, []);
  t.equal(outbox.next(0), undefined);
});

t.test('no batch is larger than the limit, and batches fill up as their size becomes known', async (t) => {
  const { backlog, outbox, largest } = setup({ warm: false });
  for (let start = 1; start <= 300; start++) backlog.put(start);
  const sizes: number[] = [];
  for (let batch = outbox.next(0); batch !== undefined; batch = outbox.next(0)) {
    sizes.push(batch.payload.length);
    outbox.receipt([batch.sequence], 0);
  }
  t.strictSame(backlog.owed, []);
  t.ok(
    sizes.slice(5, -1).every((size) => size <= LIMITS.maxBatchBytes && size > 0.85 * LIMITS.maxBatchBytes),
    `${sizes}`,
  );
  t.ok(
    largest.some((size) => size > LIMITS.maxBatchBytes),
    'the first estimate was too bold',
  );
  t.ok(outbox.counters.cut > 0 && outbox.counters.cut < 3, `${outbox.counters.cut} encoded twice`);
});

t.test('windows that suddenly take more are cut to what fits, and none is lost', async (t) => {
  const { backlog, outbox } = setup({
    sizeOf: (numbers) => numbers.reduce((sum, start) => sum + (start > 50 ? 600 : 60), 0),
  });
  for (let start = 1; start <= 70; start++) backlog.put(start);
  for (let batch = outbox.next(0); batch !== undefined; batch = outbox.next(0)) {
    t.ok(batch.payload.length <= LIMITS.maxBatchBytes);
    outbox.receipt([batch.sequence], 0);
  }
  t.strictSame(backlog.owed, []);
});

t.test('a window that fits into no message is kept with a reason, and the rest flows', async (t) => {
  const { backlog, outbox } = setup({ sizeOf: (numbers) => (numbers.includes(5) ? 5000 : 0) + numbers.length * BYTES });
  for (let start = 1; start <= 9; start++) backlog.put(start);
  for (let batch = outbox.next(0); batch !== undefined; batch = outbox.next(0)) outbox.receipt([batch.sequence], 0);
  t.strictSame(backlog.owed, [5]);
  t.match(backlog.refusals.get(5), { reason: 'too-large', detail: /alone it takes 5092 bytes/ });
});

t.test('a window that cannot be encoded is kept with a reason, and the rest flows', async (t) => {
  const { backlog, outbox } = setup({
    sizeOf: (numbers) => {
      if (numbers.includes(5)) throw new RangeError('not a name: 5');
      return numbers.length * BYTES;
    },
  });
  for (let start = 1; start <= 9; start++) backlog.put(start);
  for (let batch = outbox.next(0); batch !== undefined; batch = outbox.next(0)) outbox.receipt([batch.sequence], 0);
  t.strictSame(backlog.owed, [5]);
  t.match(backlog.refusals.get(5), { reason: 'invalid', detail: 'not a name: 5' });
});

t.test('live windows go before the backlog, and the backlog fills up what room is left', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 30; start++) backlog.put(start);
  outbox.next(0);
  outbox.saved([backlog.put(100)]);
  t.strictSame(starts(outbox.next(0)), [100, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
});

t.test('the backlog leaves room in flight for live windows', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 100; start++) backlog.put(start);
  while (outbox.next(0) !== undefined);
  t.equal(outbox.inFlight, LIMITS.maxInFlight - 1);
  outbox.saved([backlog.put(1000)]);
  t.strictSame(starts(outbox.next(0)), [1000], 'by itself: there is no room for more of the backlog');
  t.equal(outbox.next(0), undefined);
});

t.test('receipts that are slow keep the backlog from queueing up on its way', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 200; start++) backlog.put(start);
  const out = [outbox.next(0)!, outbox.next(0)!, outbox.next(0)!];
  outbox.receipt(
    out.map(({ sequence }) => sequence),
    20_000,
  );
  outbox.next(20_000);
  t.equal(outbox.next(20_000), undefined, 'one at a time now');
  t.equal(outbox.expire(20_000 + 30_000), 0, 'and they are given the time that they take');
});

t.test('a live window whose batch got lost is still live: it waits neither for room nor for credit', async (t) => {
  const credit = new Credit(0);
  credit.grant({ windowsPerSecond: 1e-6 }, 0);
  const { backlog, outbox } = setup({ credit, warm: false });
  for (let start = 1; start <= 100; start++) backlog.put(start);
  outbox.saved([backlog.put(1000)]);
  t.strictSame(starts(outbox.next(0)), [1000]);
  t.equal(outbox.expire(1000), 1);
  t.strictSame(starts(outbox.next(1000)), [1000]);
});

t.test('a receipt frees the revision it is for, and no other', async (t) => {
  const { backlog, outbox } = setup();
  outbox.saved([backlog.put(1)]);
  const first = outbox.next(0)!;
  outbox.saved([backlog.put(1, 2)]);
  const second = outbox.next(0)!;
  t.equal(second.windows[0]?.ref.revision, 2, 'the change travels at once');
  outbox.receipt([first.sequence], 0);
  t.strictSame(backlog.owed, [1]);
  outbox.receipt([second.sequence], 0);
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
  outbox.receipt([first.sequence], 2000);
  t.strictSame(backlog.owed, []);
  outbox.receipt([first.sequence, 77], 2000);
  t.equal(outbox.counters.receipted, 1, 'unknown or repeated receipts change nothing');
});

t.test('a lost link: everything in flight again, as part of the backlog', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 30; start++) backlog.put(start);
  outbox.next(0);
  outbox.saved([backlog.put(100)]);
  outbox.next(0);
  outbox.linkLost();
  outbox.saved([backlog.put(200)]);
  t.equal(outbox.inFlight, 0);
  outbox.linkUp();
  t.strictSame(starts(outbox.next(0)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 'only what is saved from now on is live');
});

/** Refuses what holds one of these, takes all else. */
function refusing(outbox: Outbox, poison: readonly number[], nowMs = 0): number {
  let batches = 0;
  for (let batch = outbox.next(nowMs); batch !== undefined; batch = outbox.next(nowMs)) {
    batches++;
    if (starts(batch)?.some((start) => poison.includes(start)))
      outbox.rejected(batch.sequence, 'invalid', 'why', nowMs);
    else outbox.receipt([batch.sequence], nowMs);
  }
  return batches;
}

t.test('a refused batch is halved until the culprits stand alone; the rest flows', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 90; start++) backlog.put(start);
  refusing(outbox, [6, 71]);
  t.strictSame(backlog.owed, [6, 71], 'kept, not dropped');
  t.equal(outbox.refused, 2);
  t.strictSame(
    [...backlog.refusals.values()].map(({ ref, reason }) => [ref.startMs, reason]),
    [
      [6, 'invalid'],
      [71, 'invalid'],
    ],
  );
  t.equal(outbox.next(100_000), undefined, 'and not sent again');
});

t.test(
  'a refused window is tried again: after a day, by another cloud, when it changed, when the agent starts; always alone',
  async (t) => {
    const { backlog, outbox } = setup();
    for (let start = 1; start <= 9; start++) backlog.put(start);
    outbox.cloudIs('1.0');
    refusing(outbox, [6]);
    const again = (what: string, box: Outbox, nowMs: number) => {
      box.saved([backlog.put(500 + nowMs)]);
      const tries = [box.next(nowMs), box.next(nowMs), box.next(nowMs)].flatMap((batch) => batch ?? []);
      t.strictSame(tries.map(starts), [[500 + nowMs], [6]], what);
      for (const { sequence, windows } of tries) {
        if (windows[0]!.ref.startMs === 6) box.rejected(sequence, 'invalid', 'still', nowMs);
        else box.receipt([sequence], nowMs);
      }
      t.equal(box.next(nowMs), undefined);
    };
    outbox.cloudIs('1.0');
    t.equal(outbox.next(1), undefined, 'the same cloud');
    again('a day later', outbox, 86_400_000);
    outbox.cloudIs('1.1');
    again('another version', outbox, 86_400_001);
    outbox.saved([backlog.put(6, 2)]);
    again('it changed', outbox, 86_400_002);
    const restarted = setup({ backlog, warm: false }).outbox;
    again('a restart', restarted, 0);
    restarted.cloudIs('1.1');
    restarted.cloudIs('1.2');
    restarted.receipt([restarted.next(1)!.sequence], 1);
    t.equal(restarted.refused, 0);
    t.strictSame(backlog.owed, []);
    t.equal(backlog.refusals.size, 0);
  },
);

t.test('a try whose batch is lost is made again', async (t) => {
  const { backlog, outbox } = setup();
  backlog.put(6);
  refusing(outbox, [6]);
  outbox.cloudIs('1.0');
  outbox.cloudIs('1.1');
  t.strictSame(starts(outbox.next(1)), [6]);
  outbox.linkLost();
  outbox.linkUp();
  t.strictSame(starts(outbox.next(2)), [6]);
  t.equal(outbox.expire(2000), 1);
  t.strictSame(starts(outbox.next(2000)), [6]);
});

t.test('a cloud that takes nothing is not asked about each window at full speed', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 1000; start++) backlog.put(start);
  t.equal(refusing(outbox, [...backlog.windows.keys()]), 100);
  t.equal(refusing(outbox, [...backlog.windows.keys()], 60_000), 100, 'a minute later');
});

t.test('a batch refused for what it is waits as a whole', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 9; start++) backlog.put(start);
  outbox.rejected(outbox.next(0)!.sequence, 'newer-version', '', 0);
  t.equal(outbox.refused, 0);
  t.equal(outbox.next(599_999), undefined);
  t.equal(backlog.owed.length, 9);
  t.strictSame(starts(outbox.next(600_000)), [1, 2, 3, 4, 5, 6, 7, 8, 9], 'the cloud may have been upgraded');
});

t.test('the backlog keeps to its credit, live windows need none', async (t) => {
  const credit = new Credit(0);
  const { backlog, outbox } = setup({ credit, warm: false });
  for (let start = 1; start <= 500; start++) backlog.put(start);
  credit.grant({ windowsPerSecond: 3 }, 0);
  t.equal(outbox.next(0), undefined);
  t.strictSame(starts(outbox.next(5000))?.length, 10, 'as many as fit');
  t.equal(outbox.next(5000), undefined, 'the rest is not worth a batch');
  outbox.saved([backlog.put(1000)]);
  t.strictSame(starts(outbox.next(5000)), [1000, 11, 12, 13, 14, 15], 'but it rides along');
});

t.test('more live windows than are remembered are found all the same', async (t) => {
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

t.test('what could not be marked has not left, and comes first the next time', async (t) => {
  const { backlog, outbox } = setup();
  for (let start = 1; start <= 15; start++) backlog.put(start);
  const { attempted } = backlog;
  backlog.attempted = () => {
    throw new Error('the disk is full');
  };
  t.throws(() => outbox.next(0), /disk is full/);
  t.equal(outbox.inFlight, 0);
  backlog.attempted = attempted;
  t.strictSame(starts(outbox.next(0)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

t.test('losses travel in batches of their own, one at a time and not often, until they have a receipt', async (t) => {
  const { backlog, outbox } = setup();
  const next = (nowMs: number) => {
    const { sequence = 0, windows, payload } = outbox.next(nowMs) ?? {};
    return { sequence, windows: windows?.length, told: payload?.[0] };
  };
  const began = 1e9;
  backlog.lost.count = 3;
  backlog.put(1);
  outbox.linkUp();
  const both = [next(began), next(began)];
  t.strictSame(both.map(({ windows }) => windows).sort(), [0, 1], 'without a window, and windows do not wait for it');
  const first = both.find(({ windows }) => windows === 0)!;
  backlog.lost.count = 5;
  t.equal(next(began + LIMITS.receiptTimeoutMs - 1).windows, undefined, 'no other while it is out');
  const second = next(began + LIMITS.receiptTimeoutMs);
  t.match(second, { windows: 0, told: 5 }, 'no receipt in time: all of it again');
  outbox.receipt([first.sequence], began + LIMITS.receiptTimeoutMs);
  t.equal(backlog.lost.receipted, 0, 'a late receipt frees nothing; the next one will');
  outbox.receipt([second.sequence], began + LIMITS.receiptTimeoutMs);
  t.equal(backlog.lost.receipted, 5);
  backlog.lost.count = 6;
  t.equal(next(began + LIMITS.receiptTimeoutMs + 9_999).told, undefined, 'drops are gathered');
  const third = next(began + LIMITS.receiptTimeoutMs + 10_000);
  t.match(third, { windows: 0, told: 6 });
  outbox.linkLost();
  t.match(next(began + LIMITS.receiptTimeoutMs + 10_001), { windows: 1 }, 'windows go first');
  const fourth = next(began + LIMITS.receiptTimeoutMs + 10_001);
  t.match(fourth, { windows: 0, told: 6 }, 'the link was lost: again at once');
  outbox.rejected(fourth.sequence, 'invalid', '', began + LIMITS.receiptTimeoutMs + 10_001);
  t.not(next(began + LIMITS.receiptTimeoutMs + 600_000).windows, 0, 'refused: kept, and told much later');
  t.match(next(began + LIMITS.receiptTimeoutMs + 610_001), { windows: 0, told: 6 });
});

t.test('a cloud that gathers its receipts is waited for, and its delay is not taken for a slow link', async (t) => {
  const { backlog, outbox } = setup();
  outbox.patient(60_000);
  outbox.saved([backlog.put(1)]);
  const { sequence } = outbox.next(0)!;
  t.equal(outbox.expire(59_998), 0);
  t.equal(outbox.receipt([sequence], 59_999), 1);
  for (let start = 100; start < 100 + 4 * 11; start++) backlog.put(start);
  outbox.linkUp();
  const out = [1, 2, 3, 4].flatMap(() => outbox.next(60_000) ?? []);
  t.ok(out.length > 1, 'as much of the backlog as before may be out');
  t.equal(outbox.expire(119_999), 0);
  t.equal(outbox.expire(120_000), out.length, 'its word may be lost');
});

t.test('a cloud that stops to gather is waited for no longer than is configured', async (t) => {
  const { backlog, outbox } = setup();
  outbox.patient(60_000);
  outbox.patient(0);
  outbox.saved([backlog.put(1)]);
  outbox.next(0);
  t.equal(outbox.expire(1_000), 1);
});

t.test('losses wait as patiently, or their receipt would be of a batch that is forgotten', async (t) => {
  const { backlog, outbox } = setup();
  outbox.patient(60_000);
  backlog.lost.count = 7;
  const { sequence } = outbox.next(0)!;
  t.equal(outbox.next(59_000), undefined);
  outbox.receipt([sequence], 59_500);
  t.equal(backlog.lost.receipted, 7);
});

t.test('what was posted over a link without receipts takes no place in flight, and waits with patience', async (t) => {
  const { backlog, outbox } = setup();
  const posted: number[] = [];
  for (let start = 1; start <= 100; start++) outbox.saved([backlog.put(start)]);
  for (let batch = outbox.next(0); batch !== undefined; batch = outbox.next(0)) {
    outbox.posted(batch.sequence, 0, 50_000);
    posted.push(batch.sequence);
  }
  t.equal(posted.length, 10, 'more than there may be in flight');
  t.match([outbox.inFlight, outbox.postedWindows], [0, 100]);
  outbox.linkLost();
  outbox.linkUp();
  t.equal(outbox.expire(49_999), 0);
  t.equal(outbox.next(49_999), undefined, 'not again, also over another connection of the kind');
  outbox.saved([backlog.put(7, 2)]);
  t.strictSame(starts(outbox.next(49_999)), [7], 'a new revision goes at once');
  outbox.receipt([posted[1]!], 49_999);
  t.equal(outbox.postedWindows, 90, 'a receipt is good whenever it comes');
  t.notOk(backlog.owed.includes(11));
  t.equal(outbox.expire(50_000), 9);
  t.equal(outbox.postedWindows, 0);
  const again = outbox.next(60_000)!;
  outbox.posted(again.sequence, 60_000, 50_000);
  t.equal(outbox.expire(60_000 + 99_999) > 0 && outbox.postedWindows, again.windows.length, 'twice as long');
  outbox.recall();
  t.equal(outbox.postedWindows, 0);
  outbox.receipt(posted, 200_000);
  t.notOk(backlog.owed.includes(1), 'and still is after it was recalled');
});

t.test('losses that were posted are told again only when a receipt may come', async (t) => {
  const { backlog, outbox } = setup();
  backlog.lost.count = 3;
  const told = outbox.next(0)!;
  t.equal(told.payload[0], 3);
  outbox.posted(told.sequence, 0, 50_000);
  outbox.linkLost();
  outbox.linkUp();
  t.equal(outbox.next(49_999), undefined);
  outbox.recall();
  t.match(outbox.next(49_999)?.payload[0], 3);
});

t.test('no more is posted than is remembered', async (t) => {
  const { backlog, outbox } = setup({ sizeOf: () => 1 });
  for (let start = 1; start <= 60_000; start++) {
    outbox.saved([backlog.put(start)]);
    const batch = start % 1000 === 0 ? outbox.next(0) : undefined;
    if (batch !== undefined) outbox.posted(batch.sequence, 0, 50_000);
  }
  t.ok(outbox.postedWindows >= 50_000 && outbox.postedWindows <= 52_000, `${outbox.postedWindows}`);
});
