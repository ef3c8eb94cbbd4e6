/** Decoding is total: bytes in; readings and rejections out, never a throw, in time that grows with the size alone. */
import fc from 'fast-check';
import t from 'tap';
import type { Decoded, Reading } from '../reading.js';
import { decoder, metrics, reason } from './route-testing.js';

t.test('payloads that are none', async (t) => {
  t.equal(reason({}, Buffer.from([0x7b, 0xff, 0x7d])), 'not-text');
  t.equal(reason({}, ''), 'not-json');
  t.equal(reason({}, '{"a":1'), 'not-json');
  t.equal(reason({}, '{a:NaN'), 'not-json');
  for (const scalar of ['5', '"x"', 'null', 'true']) t.equal(reason({}, scalar), 'wrong-shape', scalar);
  t.strictSame(metrics({}, '\ufeff{"a":1}\0\0'), { a: 1 });
  t.strictSame(metrics({}, '{"a":1,"a":2}'), { a: 2 });
});

t.test('limits', async (t) => {
  const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  t.strictSame(metrics({}, deep(16)), { [Array(16).fill('a').join('.')]: 1 });
  t.equal(reason({}, deep(17)), 'too-deep');
  t.equal(reason({}, `[${'['.repeat(100_000)}`), 'too-deep');
  t.strictSame(metrics({}, { s: '[{'.repeat(50), v: 1 }), { v: 1 }, 'brackets in text');
  t.strictSame(metrics({}, `{"s":"${'\\"[{'.repeat(50)}","v":1}`), { v: 1 });
  t.equal(reason({}, deep(3), { maxDepth: 2 }), 'too-deep');
  t.equal(reason({}, ' '.repeat(262_145)), 'too-large');
  t.equal(reason({}, ' '.repeat(262_144)), 'not-json');
  const many = Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`m${index}`, 1]));
  t.equal(reason({}, many), 'too-many-metrics');
  t.equal(reason({}, many, { maxMetrics: 257 }), 'not one rejection');
  t.equal(reason({ device: 'd' }, { d: 'abc', v: 1 }, { maxNameBytes: 2 }), 'no-device');
  t.equal(reason({ device: 'd' }, { d: 'ää', v: 1 }, { maxNameBytes: 3 }), 'no-device');
});

t.test('hostile payloads take no longer than their size', async (t) => {
  const size = 250_000;
  const started = performance.now();
  for (const payload of [
    `NaN${'\\"'.repeat(size / 2)}`,
    `NaN${'"'.repeat(size)}`,
    `[${'0,'.repeat(size / 2)}0]`,
    `{"a":{${Array.from({ length: 9000 }, (_, index) => `"k${index}":1`).join()}},"a.b":1}`,
    `{${Array.from({ length: 20 }, (_, index) => `"${String(index).repeat(6000)}":{"x":1}`).join()}}`,
    '9'.repeat(size),
    `{"ts":"${'9'.repeat(size)}"}`,
    `{"ts":"1e${'9'.repeat(size)}"}`,
  ]) {
    for (const route of [{}, { time: 'ts', numericStrings: true }]) reason(route, payload);
  }
  t.ok(performance.now() - started < 2000);
});

const ROUTES = [
  { topic: 'a/{group}/{device}', time: 'ts', id: 'id', words: { ON: 1 }, numericStrings: true },
  { topic: 'b', device: ['id', '{a}:{b}'], group: 'a.b', metrics: { from: 'data', except: ['x'] } },
  {
    topic: 'c',
    device: 'id',
    records: 'list',
    metrics: ['a', 'b.c', { from: 'd', as: 'e' }],
    time: { from: 'ts', missing: 'arrival' },
  },
  { topic: 'd', device: 'id', shape: 'single' },
  { topic: 'e/{device}/{metric}', shape: 'number' },
  { topic: 'f', shape: 'flows' },
  { shape: 'zigbee2mqtt' },
  { shape: 'tasmota' },
];

const TOPICS = [
  'a/g/d',
  'a//',
  'b',
  'c',
  'd',
  'e/d/m',
  'e/\u0001/',
  'f',
  'zigbee2mqtt/x',
  'tele/x/SENSOR',
  'none',
  '',
  '$SYS',
];

t.test('decoding is total: anything is readings and rejections', async (t) => {
  let readings = 0;
  const decode = decoder(ROUTES);
  const key = fc.constantFrom(
    'id',
    'a',
    'b',
    'c',
    'd',
    'x',
    'ts',
    'data',
    'list',
    'metric',
    'value',
    'Time',
    'last_seen',
    'SrcIP',
    'DstIP',
    '__proto__',
    'constructor',
    'a.b',
    '',
  );
  const leaf = fc.oneof(
    fc.double(),
    fc.integer(),
    fc.string(),
    fc.boolean(),
    fc.constantFrom(null, 'ON', '1.5', 'x', 5, -0, 1e300, '2026-11-21T08:00:00Z'),
  );
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      leaf,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.array(fc.tuple(key, tie('tree')), { maxLength: 8 }).map((pairs) => Object.fromEntries(pairs)),
    ),
  }));
  const pairs = fc.array(fc.tuple(key, tree), { maxLength: 3 });
  const almostRight = pairs.map((changes) => ({ ...RIGHT, ...Object.fromEntries(changes) }));
  const message = fc.oneof(
    tree,
    { arbitrary: almostRight, weight: 3 },
    fc.array(fc.oneof(almostRight, tree), { maxLength: 4 }),
  );
  const json = message.map((value) => JSON.stringify(value) ?? 'null');
  const broken = fc
    .tuple(json, fc.nat(), fc.string())
    .map(([text, at, junk]) => text.slice(0, at % (text.length + 1)) + junk);
  const payload = fc.oneof(
    { arbitrary: json.map((text) => Buffer.from(text)), weight: 4 },
    broken.map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 60 }),
  );
  const topic = fc.oneof(
    { arbitrary: fc.constantFrom(...TOPICS), weight: 5 },
    fc.string({ unit: 'binary', maxLength: 20 }),
  );
  fc.assert(
    fc.property(topic, payload, (name, bytes) => {
      const decoded = decode(name, bytes);
      readings += decoded.readings.length;
      return sound(decoded) && decoded.readings.length + decoded.rejects.length === expectedCount(name, bytes);
    }),
    { numRuns: 2000 },
  );
  t.ok(readings > 200, `${readings} readings: the messages must not all be rejected`);
  if (({} as { x?: unknown }).x !== undefined) throw new Error('polluted');
});

/** Has what every route asks for. */
const RIGHT = {
  ...{ id: 'd', a: 'x', b: { c: 2 }, ts: 5, Time: '2026-11-21T08:00:00', SrcIP: '1', DstIP: '2', v: 1.5 },
  ...{ metric: 'm', value: 2, data: { w: 1 }, list: [{ a: 1 }, { a: 'x', d: 2 }] },
};

/** How many records are in a message, found out without the decoder. */
function expectedCount(topic: string, bytes: Uint8Array): number {
  if (topic.startsWith('e/')) return 1;
  let root: unknown;
  try {
    root = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return 1;
  }
  const routed =
    TOPICS.slice(0, 10).includes(topic) ||
    /^(a\/[^/]*\/[^/]*|e\/[^/]*\/[^/]*|zigbee2mqtt\/[^/]*|tele\/[^/]*\/SENSOR)$/.test(topic);
  if (!routed) return 1;
  const roots = Array.isArray(root) ? root : [root];
  if (roots.length === 0) return 1;
  if (topic !== 'c') return roots.length;
  return roots.reduce((sum: number, each: unknown) => {
    const list =
      typeof each === 'object' && each !== null && !Array.isArray(each) ? (each as { list?: unknown }).list : undefined;
    return sum + (Array.isArray(list) ? Math.max(1, list.length) : 1);
  }, 0);
}

function sound({ readings, rejects, valueRejects }: Decoded): boolean {
  const worded = [...rejects, ...valueRejects].every(
    ({ detail }) => detail.length > 0 && detail.length <= 200 && !detail.includes('cannot be decoded'),
  );
  return worded && readings.every(soundReading);
}

function soundReading({ device, group, timeUs, metrics, values, recordId, lane }: Reading): boolean {
  const names = [device, ...metrics, ...(group === '' ? [] : [group]), ...(recordId === undefined ? [] : [recordId])];
  return (
    names.every((name) => name !== '' && Buffer.byteLength(name) <= 256 && !/\p{Cc}/u.test(name)) &&
    Number.isSafeInteger(timeUs) &&
    timeUs >= 0 &&
    metrics.length > 0 &&
    metrics.length === values.length &&
    new Set(metrics).size === metrics.length &&
    values.every((value) => Object.is(value, 0) || (Math.abs(value) >= 1e-120 && Math.abs(value) <= 1e120)) &&
    lane === (metrics.length === 1 ? metrics[0] : '')
  );
}
