import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { pino } from 'pino';
import { type Test, test } from 'tap';
import { formatReport } from '../report/formats.js';
import { parseQuery } from '../report/query.js';
import { runReport } from '../report/report.js';
import { batchOf, NOON, windowsOf } from '../store/samples.js';
import { openSqliteStore } from '../store/sqlite/store.js';
import type { SnapshotStore } from '../store/store.js';
import { http } from './http.js';

async function setup(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'edgetally-http-'));
  const store = openSqliteStore({ path: join(folder, 'cloud.db'), maxQuarantineBytes: 1e6 });
  t.teardown(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  const readings = Array.from({ length: 40 }, (_, i) => ({ timeMs: NOON, device: `d${i}`, values: { c: i } }));
  await store.commit([batchOf(windowsOf(readings), { ledger: [{ group: '', device: 'd1', dayMs: 0, readings: 1 }] })]);
  return { store, ask: asker(store) };
}

function asker(store: SnapshotStore) {
  const handler = http({ store, log: pino({ level: 'silent' }), now: () => NOON + 60_000 });
  return (rawPath: string, rawQueryString = '', more: { method?: string; headers?: Record<string, string> } = {}) => {
    const requestContext = { http: { method: more.method ?? 'GET' }, stage: 'live' };
    const event = { version: '2.0', rawPath, rawQueryString, headers: more.headers ?? {}, requestContext };
    return handler(event, { getRemainingTimeInMillis: () => 1 });
  };
}

test('a report is the bytes of the command, as CSV and JSON, compressed where that is understood', async (t) => {
  const { store, ask } = await setup(t);
  const query = parseQuery({ from: '2026-07-01', groupBy: 'device,hour', metrics: 'c' }, NOON);
  const report = await runReport(store, query);
  const asked = 'from=2026-07-01&group-by=device%2Chour&metrics=c';
  for (const format of ['csv', 'json'] as const) {
    const answer = await ask('/live/report', `${asked}&format=${format}`);
    t.match(answer, { statusCode: 200, isBase64Encoded: false, headers: { 'content-type': new RegExp(format) } });
    t.equal(answer.body, formatReport(report, format));
  }
  const packed = await ask('/report', `${asked}&format=csv`, { headers: { 'accept-encoding': 'br, gzip' } });
  t.match(packed, { isBase64Encoded: true, headers: { 'content-encoding': 'gzip' } });
  t.equal(gunzipSync(Buffer.from(packed.body, 'base64')).toString(), formatReport(report, 'csv'));
  t.match(await ask('/report', asked, { method: 'HEAD' }), { statusCode: 200, body: '' });
});

test('losses, gateways and reconcile answer too', async (t) => {
  const { ask } = await setup(t);
  t.match(await ask('/gateways', 'format=csv'), { statusCode: 200, body: /^gateway,state.*\ngw,/ });
  t.match(await ask('/losses'), { statusCode: 200, body: /"rows"/ });
  const reconciled = await ask('/reconcile', 'gateway=gw&format=csv');
  t.match(reconciled, { statusCode: 200, body: /,d1,1970-01-01/ });
  t.match(JSON.parse(reconciled.headers['edgetally-notes']!), ['verdict: different', /differ by/]);
  t.match(reconciled.headers['edgetally-notes'], /^[\x20-\x7e]+$/, 'a header is ASCII');
});

test('what is wrong with a request is said: what, where, what to do', async (t) => {
  const { ask } = await setup(t);
  const wrong: readonly [string, string, number, RegExp, RegExp][] = [
    ['/report', 'from=yesterday', 400, /^from: "yesterday" is not a time/, /Give a date/],
    ['/report', 'form=7d', 400, /no parameter "form"/, /from, to, group-by/],
    ['/report', 'from=7d&from=8d', 400, /from is given twice/, /once/],
    ['/report', 'group-by=sensor', 400, /^group-by: there is no key "sensor"/, /gateway, group/],
    ['/report', 'format=table', 400, /format/, /csv or json/],
    ['/reconcile', '', 400, /which gateway\? Give gateway/, /./],
    ['/reconcile', 'gateway=gw9', 400, /nothing was ever heard of "gw9"/, /gateways/],
    ['/gateways', 'gateway=gw', 400, /no parameter/, /format/],
    ['/constructor', '', 404, /nothing at/, /\/report, \/losses/],
  ];
  for (const [path, query, status, message, hint] of wrong) {
    const answer = await ask(path, query);
    t.equal(answer.statusCode, status, `${path}?${query}`);
    t.match(JSON.parse(answer.body), { error: { message, hint } });
  }
  t.match(await ask('/report', '', { method: 'POST' }), { statusCode: 405, headers: { allow: /GET/ } });
});

test('a fault of ours is told to the log and not to the world', async (t) => {
  const store: SnapshotStore = {
    read: async () => {
      throw new Error('secret');
    },
  };
  const answer = await asker(store)('/gateways');
  t.equal(answer.statusCode, 500);
  t.notMatch(answer.body, /secret/);
});
