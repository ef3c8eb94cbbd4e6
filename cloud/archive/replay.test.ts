import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { test } from 'tap';
import { encodeBatch } from '../../shared/batch.js';
import { EPOCH_A, NOON, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite/store.js';
import { DAY_MS } from '../store/store.js';
import { FolderArchive } from './folder-archive.js';
import { archiveKey, isArchived, readArchiveKey } from './key.js';
import { parseReplay, type ReplayQuery, replay } from './replay.js';

const batchKey = (sequence: number, gateway = 'gw', sentMs = NOON) =>
  archiveKey({ kind: 'batch', gateway, sentMs, epoch: EPOCH_A, session: 1, sequence });

test('keys are those of the message, whatever its clock said, and are read back', (t) => {
  t.equal(batchKey(7), `2026-07-01/gw/${EPOCH_A}-1-7`);
  t.equal(batchKey(7, 'gw', 0), `1970-01-01/gw/${EPOCH_A}-1-7`);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), fc.nat(), (sentMs, n) => {
      const keys = [batchKey(n, 'g:1', sentMs), archiveKey({ kind: 'status', gateway: 'g:1', sentMs, epoch: EPOCH_A })];
      const [batch, status] = keys.map(readArchiveKey);
      if (batch?.kind !== 'batch' || status?.kind !== 'status' || batch.gateway !== 'g:1') throw new Error(keys.join());
    }),
  );
  for (const key of ['', 'a/b/c', `2026-07-01/g w/${EPOCH_A}-1-1`, `2026-07-01/gw/${EPOCH_A}-1`, 'x/2026-07-01/gw/y']) {
    t.equal(readArchiveKey(key), undefined, key);
  }
  t.end();
});

test('of statuses the last words are kept, and about one an hour', (t) => {
  const books = { in: 0, counted: 0, duplicate: 0, rejected: 0, held: 0 };
  const status = { v: 1, state: 'online', epoch: EPOCH_A, version: '1', sentMs: NOON, readings: books } as const;
  const full = { ...status, backlog: { windows: 0, bytes: 0, oldestMs: null }, reasons: {} };
  const kept = Array.from({ length: 24 * 60 }, (_, i) => isArchived({ ...full, sentMs: NOON + i * 60_000 + 17_000 }));
  t.equal(kept.filter(Boolean).length, 24);
  const sentMs = NOON + 120_000;
  t.equal(isArchived({ ...full, sentMs }), false);
  t.equal(isArchived({ ...full, sentMs, state: 'offline' }), true);
  t.equal(isArchived({ ...full, sentMs, final: true }), true);
  t.end();
});

test('a folder is replayed: the dates and the gateway that are asked for, and what is wrong in it is counted', async (t) => {
  const base = mkdtempSync(join(tmpdir(), 'edgetally-replay-'));
  t.teardown(() => rmSync(base, { recursive: true }));
  const folder = join(base, 'archive');
  let databases = 0;
  const write = (key: string, bytes: Uint8Array) => {
    const path = join(folder, key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    utimesSync(path, NOON / 1000, (NOON + 5000) / 1000);
  };
  for (let sequence = 1; sequence <= 9; sequence++) {
    const sentMs = NOON + (sequence % 3) * DAY_MS;
    const windows = windowsOf([{ timeMs: sentMs, values: { c: sequence } }], 60_000, sequence);
    const gateway = sequence > 6 ? 'gw2' : 'gw';
    const batch = { epoch: EPOCH_A, session: 1, sequence, sentMs, windows, ledger: [], losses: [] };
    write(batchKey(sequence, gateway, sentMs), encodeBatch(batch));
  }
  write(batchKey(99), Buffer.from('not a batch'));
  write('README', Buffer.from('by hand'));
  const books = async (query: ReplayQuery) => {
    const store = openSqliteStore({ path: join(base, `${databases++}.db`), maxQuarantineBytes: 1e6 });
    const { signal } = new AbortController();
    const log = pino({ level: 'silent' });
    const told = await replay({ archive: new FolderArchive(folder), store, query, log, signal });
    const rows = await store.read((snapshot) => snapshot.gateways());
    await store.close();
    return { ...told, seen: rows.map(({ seenMs }) => seenMs) };
  };
  const all = { objects: 11, batches: 9, statuses: 0, rejected: 1, foreign: 1, leftOut: 0 };
  t.match(await books({}), { ...all, seen: [NOON + 5000, NOON + 5000] });
  t.match(await books({ gateway: 'gw2' }), { ...all, batches: 3, rejected: 0, leftOut: 7 });
  t.match(await books(parseReplay({ fromDate: '2026-07-02', toDate: '2026-07-03' })), { batches: 3, leftOut: 7 });
  t.throws(() => parseReplay({ fromDate: '2026-13-01' }), { message: /--from-date: "2026-13-01" is not a date/ });
  t.throws(() => parseReplay({ toDate: '7d' }), { code: 'usage' });
});
