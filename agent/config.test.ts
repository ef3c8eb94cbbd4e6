/** The configuration as a whole: the sample file, the reference page, `check`, and `import` up to the pipeline. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import t from 'tap';
import type { ImportProgress } from './buffer/imports.js';
import { checkConfig } from './check.js';
import { agentReference, agentSchema, loadAgentConfig, parseAgentConfig } from './config.js';
import { formatImportReport, type ImportTarget, importFile } from './import.js';
import { clocksOf } from './time/clock-testing.js';

const at = (path: string) => new URL(`../../${path}`, import.meta.url);
const EXAMPLE = readFileSync(at('agent/edgetally.example.yaml'), 'utf8');

t.test('the sample file is valid, also with everything in it switched on', async (t) => {
  const parsed = parseAgentConfig(EXAMPLE, {});
  t.match(parsed, { ok: true, value: { gateway: 'greenhouse-1', accept: { sources: [{ type: 'broker' }] } } });
  const commentedOut = /^( +)# (?=( *- | {2,}|users:))/gm;
  t.ok([...EXAMPLE.matchAll(commentedOut)].length >= 7);
  t.match(parseAgentConfig(EXAMPLE.replaceAll(commentedOut, '$1'), {}), {
    ok: true,
    value: {
      accept: { sources: [{ listeners: [{}, { tls: { cert: 'certs/broker.pem' } }], users: [{}] }, { type: 'mqtt' }] },
    },
  });
});

t.test('docs/config.md is written from the schema', async (t) => {
  t.equal(readFileSync(at('docs/config.md'), 'utf8'), agentReference(), 'stale: npm run docs');
});

t.test('every key has a description', async (t) => {
  const rows = agentReference().match(/^\| `.*$/gm) ?? [];
  t.ok(rows.length > 100, `${rows.length} keys`);
  for (const row of rows) t.notMatch(row, /\| {2}\|$/, row);
});

t.test('a gateway name is all that is needed', async (t) => {
  const parsed = parseAgentConfig('gateway: g', {});
  t.match(parsed, { ok: true, value: { version: 1, data: './data', accept: { sources: [], routes: [] } } });
  t.equal(parsed.ok && parsed.value.push, undefined);
  t.match(parseAgentConfig('', { EDGETALLY_GATEWAY: 'from-env', EDGETALLY_PUSH_URL: 'mqtt://b' }), {
    ok: true,
    value: { gateway: 'from-env', push: { url: 'mqtt://b' } },
  });
  t.match(parseAgentConfig('gateway: a/b', {}), { ok: false, problems: [{ key: 'gateway', line: 1, column: 10 }] });
});

t.test('sources and routes have names of their own', async (t) => {
  const yaml = `gateway: g
accept:
  sources: [{ type: broker }, { type: broker }]
  routes: [{ topic: "a/{device}", name: x }, { topic: "b/{device}", name: x }]
`;
  const parsed = parseAgentConfig(yaml, {});
  t.match(parsed.ok ? [] : parsed.problems, [{ key: 'accept.sources[1].name' }, { key: 'accept.routes[1].name' }]);
});

t.test('check says what the file does', async (t) => {
  t.matchOnly(checkConfig('edge.yaml', EXAMPLE, {}), {
    ok: true,
    text: [
      'edge.yaml: valid',
      'gateway  greenhouse-1, data in ./data',
      'source   broker: broker on 127.0.0.1:1883',
      'route    traffic: traffic/#; windows of 1m + 10s; time from timestamp; every numeric field',
      'route    greenhouse: plant/{group}/{device}/telemetry; windows of 5m + 10s; time from ts; every numeric field of data',
      'route    zigbee2mqtt/{device}; windows of 1m + 10s; time from last_seen or arrival; every numeric field',
      'route    tele/{device}/SENSOR; windows of 1m + 10s; time from Time; every numeric field',
      'route    table (import only); windows of 1m + 10s; time from time; every numeric field',
      'buffer   at most 512MiB, committed every 100ms',
      'uplink   mqtts://example-ats.iot.eu-central-1.amazonaws.com:8883',
    ].join('\n'),
  });
  const other = checkConfig(
    'x',
    'gateway: g\naccept: { sources: [{ type: mqtt, url: "mqtt://b" }], routes: [{ topic: "a/{device}" }] }',
    {},
  );
  t.match(other.text, /^source {3}mqtt: client of mqtt:\/\/b$/m);
  t.match(other.text, /^topics {3}a\/\+$/m);
  t.match(checkConfig('x', 'gateway: g', {}).text, /source {3}none.*\nroute {4}none.*\n.*\nuplink {3}none/);
  t.match(
    checkConfig('x', 'gateway: g\nbuffer: { durability: relaxed, syncInterval: 5s }', {}).text,
    /^ {9}durability is relaxed: a power cut loses up to 5s of acknowledged readings$/m,
  );
});

t.test('check says all that is wrong, with its place', async (t) => {
  const yaml = `gateway: my gateway
accept:
  sources:
    - type: brokr
  routes:
    - topic: plant/#/x
      window: 7m
      tme: ts
push:
  maxInFlight: 1000
`;
  t.strictSame(checkConfig('edge.yaml', yaml, { EDGETALLY_PUSH_KEYS: '1' }), {
    ok: false,
    text: [
      'environment EDGETALLY_PUSH_KEYS: got an unknown variable, did you mean EDGETALLY_PUSH_KEY?',
      'edge.yaml:1:10: gateway: got "my gateway", expected 1 to 128 letters, digits and : _ . -',
      'edge.yaml:4:13: accept.sources[0].type: got "brokr", expected one of broker, mqtt (did you mean broker?)',
      'edge.yaml:6:14: accept.routes[0].topic: got "plant/#/x", expected # only as the last level',
      'edge.yaml:7:15: accept.routes[0].window: got "7m", expected a length of 1s or more that divides a day, such as 10s, 1m, 15m, 1h',
      'edge.yaml:8:7: accept.routes[0].tme: got an unknown key, did you mean time?',
      'edge.yaml:9:1: push.url: got nothing, expected text, this key is required (The broker the cloud side listens on, such as mqtts://abc-ats.iot.eu-central-1.amazonaws.com:8883; greengrass-ipc: for that of a Greengrass nucleus.)',
      'edge.yaml:10:16: push.maxInFlight: got 1000, expected at most 100',
      '8 problems. Mend the lines named above; every key is described in docs/config.md.',
    ].join('\n'),
  });
});

t.test('load: a file that is not there, a file that is wrong', async (t) => {
  await t.rejects(loadAgentConfig('/nowhere/edge.yaml', {}), { code: 'config-unreadable', message: /nowhere/ });
  const path = join(t.testdir({ 'edge.yaml': 'gateway: 1 2' }), 'edge.yaml');
  await t.rejects(loadAgentConfig(path, {}), { code: 'config-invalid', message: /edge.yaml:1:10: gateway: / });
  writeFileSync(path, 'gateway: g');
  t.match(await loadAgentConfig(path, {}), { gateway: 'g' });
});

t.test('import goes on where it was, and knows a file that is in', async (t) => {
  const folder = t.testdir();
  const file = join(folder, 'readings.csv');
  const rows = Array.from(
    { length: 5000 },
    (_, index) => `device-with-a-long-name-${index % 9},${index % 1000 ? index : 'x'},1\n`,
  );
  writeFileSync(file, `device,time,temp\n${rows.join('')}`);
  const config = agentSchema.parse({
    gateway: 'g',
    accept: { routes: [{ name: 'table', device: 'device', time: 'time' }] },
  });
  const store = new Map<string, ImportProgress>();
  let room = 1;
  const target: ImportTarget = {
    find: (fingerprint) => store.get(fingerprint),
    accept: async (_message, _decoded, progress) => {
      if (room-- === 0) throw new Error('disk full');
      store.set(progress.fingerprint, progress);
    },
  };
  const run = (name = file, routeName = 'table') =>
    importFile({
      config,
      routeName,
      file: name,
      stdin: Readable.from([Buffer.from('device,time,temp\nd,1,1\n')]),
      target,
      clock: clocksOf({ ms: 1 }),
    });
  await t.rejects(run(), { message: 'disk full' });
  const [first] = store.values();
  t.ok(first !== undefined && first.rows > 500 && first.rows < 4500);
  room = 100;
  const report = await run();
  t.match(report, { before: first!.rows, readings: 5000 - first!.rows - report.rejects, valueRejects: 0 });
  t.match([...store.values()], [{ rows: 5000, done: true, name: file }]);
  const text = formatImportReport('f.csv', report).split('\n');
  t.match(text[0], /^f.csv: \d+ rows \(after \d+ rows of an earlier run\): \d+ readings, \d rejected$/);
  t.match(text[1], /^ {2}bad-time: line \d+: route table: time: got "x", expected /);
  t.equal(formatImportReport('f.csv', await run()), 'f.csv: all 5000 rows are in already');
  t.match(await run('-'), { readings: 1, before: 0 });
  t.equal(store.size, 2);
  await t.rejects(run(file, 'tabel'), { code: 'import-failed', message: 'there is no route tabel; there is table' });
  await t.rejects(run(join(folder, 'none.csv')), { code: 'import-failed', message: /cannot read/ });
});
