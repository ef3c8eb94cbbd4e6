/**
 * A gateway with a large backlog and fresh windows that go on coming, on a link with the default caps: how long a fresh
 * window takes from its row to its receipt. The real buffer, outbox and pacer; the link and its time are simulated, so
 * the delays do not depend on the machine.
 *
 * LIVE_FIRST_WINDOWS=1000000 measures with a million, and prints what it costs to start and to drain.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { backlogOf } from '../agent/backlog.js';
import { emptyTally } from '../agent/block.js';
import { emptyBooks } from '../agent/books.js';
import { EdgeBuffer } from '../agent/buffer/buffer.js';
import { bufferSchema } from '../agent/buffer/options.js';
import { Credit } from '../agent/push/credit.js';
import { pushSchema } from '../agent/push/options.js';
import { Outbox } from '../agent/push/outbox.js';
import { Pacer } from '../agent/push/pacer.js';
import type { WindowSave } from '../agent/stored-window.js';
import { encodeBatch } from '../shared/batch.js';
import { summarize } from '../shared/summary.js';
import { Dice, setting } from './dice.js';

const BACKLOG = setting('LIVE_FIRST_WINDOWS', 50_000);
const DEVICES = 50;
const WINDOW_MS = 1_000;
/** From the publish to its receipt, beyond the time that its bytes take. */
const ROUND_TRIP_MS = 150;
const STEP_MS = 5;
const AT_ONCE = 1_000;
const START_MS = Date.UTC(2026, 0, 1);
const dice = new Dice(9, 0);
const options = pushSchema.parse({ url: 'mqtt://simulated' });

function saves(buffer: EdgeBuffer, startMs: number, devices: readonly number[]): WindowSave[] {
  const temperature = buffer.dictionary.metric('temperature')!;
  return devices.map((index) => {
    // as a machine does, so that it compresses no better than that
    const readings = Array.from({ length: 8 }, (_, i) => ({
      timeUs: startMs * 1000 + i * 100_000 + dice.below(90_000),
      value: (200 + index + dice.below(600)) / 10,
    }));
    return {
      device: buffer.dictionary.device('hall', `sensor-${index}`)!,
      startMs,
      lengthMs: WINDOW_MS,
      part: 0,
      revision: 1,
      folded: 0,
      readings: 8,
      metrics: new Map([[temperature, summarize(readings)]]),
      seen: undefined,
      gained: 8,
      closesMs: startMs + WINDOW_MS,
    };
  });
}

function fill(buffer: EdgeBuffer): number {
  const all = Array.from({ length: DEVICES }, (_, device) => device);
  let startMs = START_MS;
  saves(buffer, startMs, all);
  // the names are written with a block
  buffer.commit({ block: { readings: [], tally: emptyTally() }, samples: [], held: [], released: [] });
  let pending: WindowSave[] = [];
  for (let windows = 0; windows < BACKLOG; windows += DEVICES, startMs += WINDOW_MS) {
    pending.push(...saves(buffer, startMs, all));
    if (pending.length < AT_ONCE) continue;
    buffer.save(pending, emptyBooks(), undefined);
    pending = [];
  }
  buffer.save(pending, emptyBooks(), undefined);
  return startMs;
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
}

t.test(`${BACKLOG} windows drain, and fresh ones do not wait for them`, { timeout: 3_000_000 }, async (t) => {
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'edgetally-live-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'edgetally.db');
  const open = () => new EdgeBuffer(path, bufferSchema.parse({ maxBytes: '2GB' }));
  const first = open();
  let nowMs = fill(first);
  first.close();

  const beganMs = performance.now();
  const buffer = open();
  t.teardown(() => buffer.close());
  const openMs = performance.now() - beganMs;
  const state = buffer.windows.backlogState();
  t.equal(state.windows, BACKLOG);
  t.comment(
    `opened in ${Math.round(openMs)} ms, the backlog counted in ${Math.round(performance.now() - beganMs - openMs)} ms`,
  );

  const { epoch, session } = buffer;
  const credit = new Credit(0);
  credit.grant(undefined, nowMs);
  const outbox = new Outbox({
    backlog: backlogOf(buffer, { nowMs: () => nowMs, steadyMs: () => nowMs }),
    limits: {
      maxInFlight: options.maxInFlight,
      maxBatchBytes: options.maxBatchBytes,
      receiptTimeoutMs: options.receiptTimeout,
    },
    credit,
    encode: ({ windows, ...rest }) => {
      const summaries = windows.map(({ summary }) => summary);
      return encodeBatch({ epoch, session, sentMs: nowMs, windows: summaries, ...rest });
    },
  });
  outbox.linkUp();
  const pacer = new Pacer(options.maxPublishesPerSecond, options.maxBytesPerSecond, nowMs);
  const savedMs = new Map<string, number>();
  const delays: number[] = [];
  const onTheWay: { arrivesMs: number; sequence: number; fresh: string[] }[] = [];
  let lineFreeMs = nowMs;
  let bytes = 0;
  let batches = 0;
  let rssBytes = 0;
  const drainBeganMs = nowMs;
  const cpuBegan = process.cpuUsage();
  let stepCount = 0;
  for (let oldest: number | null = START_MS; oldest !== null && oldest < drainBeganMs; nowMs += STEP_MS, stepCount++) {
    const device = stepCount % (WINDOW_MS / STEP_MS);
    if (device < DEVICES) {
      const startMs = Math.floor(nowMs / WINDOW_MS) * WINDOW_MS - WINDOW_MS;
      const fresh = saves(buffer, startMs, [device]);
      buffer.save(fresh, emptyBooks(), undefined);
      savedMs.set(`${fresh[0]!.device}/${startMs}`, nowMs);
      outbox.saved(fresh);
    }
    while (onTheWay.length > 0 && onTheWay[0]!.arrivesMs <= nowMs) {
      const { sequence, fresh } = onTheWay.shift()!;
      outbox.receipt([sequence], nowMs);
      for (const key of fresh) delays.push(nowMs - savedMs.get(key)!);
      for (const key of fresh) savedMs.delete(key);
    }
    outbox.expire(nowMs);
    while (pacer.waitMs(nowMs) === 0) {
      const out = outbox.next(nowMs);
      if (out === undefined) break;
      pacer.spend(out.payload.length);
      bytes += out.payload.length;
      batches++;
      lineFreeMs = Math.max(lineFreeMs, nowMs) + (out.payload.length / options.maxBytesPerSecond) * 1000;
      const keys = out.windows.map(({ ref }) => `${ref.device}/${ref.startMs}`).filter((key) => savedMs.has(key));
      onTheWay.push({ arrivesMs: lineFreeMs + ROUND_TRIP_MS, sequence: out.sequence, fresh: keys });
    }
    if (stepCount % 200 === 0) {
      oldest =
        buffer.windows.backlog(nowMs, { device: 0, startMs: 0, lengthMs: 0, part: 0 }, 1)[0]?.ref.startMs ?? null;
      rssBytes = Math.max(rssBytes, process.memoryUsage().rss);
    }
  }
  const { user, system } = process.cpuUsage(cpuBegan);
  delays.sort((a, b) => a - b);
  const seconds = (nowMs - drainBeganMs) / 1000;
  t.comment(
    `drained in ${seconds.toFixed(0)} s of the link: ${Math.round(BACKLOG / seconds)} windows/s, ${Math.round(bytes / batches)} bytes a batch, ` +
      `${outbox.counters.cut} encoded twice; at most ${Math.round((BACKLOG * 1e6) / (user + system))} windows per second of CPU, ${Math.round(rssBytes / 1e6)} MB`,
  );
  t.comment(
    `a fresh window: p50 ${quantile(delays, 0.5)} ms, p99 ${quantile(delays, 0.99)} ms, worst ${delays.at(-1)} ms of ${delays.length}`,
  );
  t.ok(delays.length > 100, 'fresh windows went all the while');
  t.ok(quantile(delays, 0.99) < 2 * WINDOW_MS, `p99 ${quantile(delays, 0.99)} ms`);
  t.equal(outbox.counters.expired, 0, 'nothing is sent twice');
});
