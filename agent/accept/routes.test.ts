import t from 'tap';
import { routesSchema } from './route-options.js';
import { ARRIVAL_US, decoder, metrics, metricsOf, reason } from './route-testing.js';

t.test('the first route that matches takes the message', async (t) => {
  const decode = decoder([
    { topic: 'a/{device}', group: { constant: 'first' } },
    { topic: ['a/#', 'b/{device}/+'], device: { constant: 'second' } },
  ]);
  t.match(decode('a/x', { v: 1 }).readings, [{ group: 'first', device: 'x' }]);
  t.match(decode('a/x/y', { v: 1 }).readings, [{ group: '', device: 'second' }]);
  t.match(decode('b/x/y', { v: 1 }).readings, [{ device: 'second' }], 'again, from memory');
  t.match(decode('b/x/y', { v: 1 }).readings, [{ device: 'second' }]);
  for (const _ of [1, 2]) t.match(decode('c', { v: 1 }), { readings: [], rejects: [{ reason: 'no-route' }] });
});

t.test('more topics than are remembered', async (t) => {
  const decode = decoder([{ topic: 'a/{device}' }]);
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 10_000; index++) {
      const { readings } = decode(`a/${index}`, '{"v":1}');
      if (readings[0]?.device !== String(index)) t.fail(`a/${index}`);
    }
  }
});

t.test('where device, group and id come from', async (t) => {
  const device = (source: unknown, payload: object, topic = 'plant/{site}/{n}') => {
    const { readings } = decoder([{ topic, device: source }])('plant/north/7', { v: 1, ...payload });
    return readings[0]?.device;
  };
  t.equal(device('id', { id: 'x' }), 'x');
  t.equal(device('id', { id: 42 }), '42');
  t.equal(device('a.b.c', { a: { b: { c: 'x' } } }), 'x');
  t.equal(device('a.1.c', { a: [0, { c: 'x' }] }), 'x');
  t.equal(device('a\\.b', { 'a.b': 'x' }), 'x');
  t.equal(device('{site}-{id}', { id: 'x', site: 'not this' }), 'north-x');
  t.equal(device('{n}', {}), '7');
  t.equal(device(['nope', 'id'], { id: 'x' }), 'x');
  t.equal(device({ constant: 'id' }, { id: 'x' }), 'id');
  for (const [source, payload] of [
    ['id', {}],
    ['id', { id: '' }],
    ['id', { id: null }],
    ['id', { id: true }],
    ['id', { id: { x: 1 } }],
    ['id', { id: 'a\nb' }],
    ['id', { id: 'x'.repeat(257) }],
    ['id', { id: 2 ** 60 }],
    ['{site}-{id}', {}],
    ['{site}-{id}', { id: '' }],
    ['a.length', { a: [1] }],
    ['constructor.name', {}],
    ['__proto__.x', {}],
  ] as const) {
    t.equal(device(source, payload), undefined, `${source} ${JSON.stringify(payload)}`);
  }
  t.equal(reason({ device: 'id' }, { v: 1 }), 'no-device');
  t.equal(reason({ group: 'g' }, { g: 'a\u0007', v: 1 }), 'bad-name');
  t.equal(reason({ id: 'i' }, { i: { deep: 1 }, v: 1 }), 'bad-name');
  t.equal(reason({ id: 'i' }, { i: 'x'.repeat(300), v: 1 }), 'bad-name');
});

t.test('record ids', async (t) => {
  const id = (source: unknown, payload: object) =>
    decoder([{ topic: 't', device: { constant: 'd' }, time: 'ts', id: source }])('t', { v: 1, ts: 5, ...payload })
      .readings[0]?.recordId;
  t.equal(id('seq', { seq: 17 }), '17');
  t.equal(id('seq', { seq: 'a' }), 'a');
  t.equal(id('seq', {}), undefined);
  t.equal(id('seq', { seq: null }), undefined);
  t.equal(id('seq', { seq: 2 ** 60 }), `${2 ** 60}@5000000`, 'not exact, so the time tells apart');
  t.equal(id('content', {}), id('content', {}));
  t.not(id('content', { v: 2 }), id('content', { v: 3 }));
  t.equal(id(['seq', 'content'], { seq: 1 }), '1');
  t.equal(id(['seq', 'content'], {})?.length, 22);
});

t.test('times', async (t) => {
  const time = (option: unknown, payload: object) =>
    decoder([{ topic: 't', device: { constant: 'd' }, time: option }])('t', { v: 1, ...payload }).readings[0]?.timeUs;
  t.equal(time('ts', { ts: 5 }), 5e6);
  t.equal(time({ from: 'ts', unit: 'ms' }, { ts: 5 }), 5000);
  t.equal(time(['a', 'b'], { b: 5 }), 5e6);
  t.equal(time(undefined, {}), ARRIVAL_US);
  t.equal(time('arrival', { arrival: 5 }), ARRIVAL_US);
  t.equal(time('{arrival}', { arrival: 5 }), 5e6);
  t.equal(time({ from: 'ts', missing: 'arrival' }, {}), ARRIVAL_US);
  t.equal(time({ from: 'ts', missing: 'arrival' }, { ts: 'bad' }), undefined);
  t.equal(reason({ time: 'ts' }, { v: 1 }), 'bad-time');
  t.equal(reason({ shape: 'tasmota', time: { unit: 'iso' } }, { v: 1 }), 'bad-time');
});

t.test('every numeric field', async (t) => {
  const nested = { a: 1, b: { c: 2, d: { e: -0.5 } }, s: 'text', n: null, l: [1, 2], t: true, z: -0 };
  t.strictSame(metrics({}, nested), { a: 1, 'b.c': 2, 'b.d.e': -0.5, t: 1, z: 0 });
  t.ok(Object.is(metrics({}, '{"z":-0.0}').z, 0), '-0 is 0');
  t.strictSame(metrics({ metrics: { except: ['a', 'b.d', 'x.y'] } }, nested), { 'b.c': 2, t: 1, z: 0 });
  t.strictSame(metrics({ metrics: { from: 'b' } }, nested), { c: 2, 'd.e': -0.5 });
  t.strictSame(metrics({ metrics: { from: 'b', except: ['d'] } }, nested), { c: 2 });
  t.strictSame(metrics({ metrics: { from: 'b', except: ['b.c'] } }, nested), { 'd.e': -0.5 });
  t.strictSame(metrics({ metrics: { from: 'b.d' }, time: 'b.d.ts' }, { b: { d: { ts: 5, e: 1 } } }), { e: 1 });
  t.strictSame(metrics({ device: 'id', id: '{seq}', time: ['ts', 'time'] }, { id: 1, seq: 2, ts: 3, time: 4, v: 5 }), {
    v: 5,
  });
  t.strictSame(metrics({}, { a: 1, '': { a: 2 } }), { a: 1, '.a': 2 }, 'the empty name is a name too');
  t.strictSame(metrics({}, '{"__proto__":1,"constructor":{"name":2},"toString":3}'), {
    ['__proto__']: 1,
    'constructor.name': 2,
    toString: 3,
  });
  t.strictSame(metrics({ words: { ON: 1, OFF: 0 } }, { a: 'ON', b: 'OFF', c: 'on', constructor: 'x' }), { a: 1, b: 0 });
  t.strictSame(metrics({ numericStrings: true }, { a: '1.5', b: ' -2e3 ', c: '0x10', d: '', e: '1,5', f: 'NaN' }), {
    a: 1.5,
    b: -2000,
  });
  t.strictSame(metrics({}, { a: '1.5', v: 1 }), { v: 1 });
  t.equal(reason({}, { s: 'text' }), 'no-metrics');
  t.equal(reason({ metrics: { from: 'data' } }, { data: [1] }), 'no-metrics');
});

t.test('a list of metrics', async (t) => {
  const list = { metrics: ['a', 'b.c', { from: 'l.1', as: 'second' }, 'gone'] };
  t.strictSame(metrics(list, { a: 1, b: { c: true }, l: [5, 6], x: 9 }), { a: 1, 'b.c': 1, second: 6 });
  t.equal(reason(list, { x: 1, gone: null }), 'no-metrics');
  t.equal(reason(list, { a: 'text' }), 'bad-number');
  t.equal(reason({ metrics: ['toString'] }, { x: 1 }), 'no-metrics', 'nothing is inherited');
});

t.test('one bad metric costs itself, and is counted', async (t) => {
  const decode = decoder([{ topic: 't', device: { constant: 'd' } }]);
  for (const [payload, reasonOfValue] of [
    ['{"ok":1,"x":NaN}', 'bad-number'],
    ['{"ok":1,"x":-Infinity,"s":"NaN \\" Infinity"}', 'bad-number'],
    ['{"ok":1,"x":1e999}', 'bad-number'],
    ['{"ok":1,"x":1.1e120}', 'bad-number'],
    ['{"ok":1,"x":-1e-121}', 'bad-number'],
    [`{"ok":1,"${'x'.repeat(257)}":1}`, 'bad-name'],
    ['{"ok":1,"a\\u0000b":1}', 'bad-name'],
    ['{"ok":1,"":1}', 'bad-name'],
    ['{"x.ok":2,"x":{"ok":3},"ok":1}', 'bad-name'],
  ] as const) {
    const { readings, rejects, valueRejects } = decode('t', payload);
    t.equal(metricsOf(readings[0]).ok, 1, payload);
    t.equal(rejects.length, 0);
    t.strictSame(
      valueRejects.map(({ reason }) => reason),
      [reasonOfValue],
      payload,
    );
  }
  decode('t', '{"ok":1,"temp":5}');
  t.equal(decode('t', '{"ok":1,"temp":"unavailable"}').valueRejects.length, 1, 'text where a number was');
  t.equal(decode('t', '{"ok":1,"label":"unavailable"}').valueRejects.length, 0, 'a label');
  t.strictSame(metrics({}, '{"a":1e120,"b":-1e-120,"c":1e-120}'), { a: 1e120, b: -1e-120, c: 1e-120 });
  t.equal(reason({}, '{"x":NaN}'), 'bad-number', 'the only one');
});

t.test('the lane is the metric’s name where there is just one', async (t) => {
  const lane = (payload: object) =>
    decoder([{ topic: 't', device: { constant: 'd' } }])('t', payload).readings[0]?.lane;
  t.equal(lane({ temp: 1 }), 'temp');
  t.equal(lane({ temp: 1, unit: 'C' }), 'temp');
  t.equal(lane({ temp: 1, hum: 2 }), '');
});

t.test('readings with the same metrics share one list of names', async (t) => {
  const decode = decoder([{ topic: 't', device: { constant: 'd' } }]);
  const [first, second, other] = [{ a: 1, b: 2 }, { a: 3, b: 4 }, { a: 1 }].map(
    (payload) => decode('t', payload).readings[0]!,
  );
  t.equal(first!.metrics, second!.metrics);
  t.strictSame([first!.values, second!.values, other!.metrics], [[1, 2], [3, 4], ['a']]);
});

t.test('one metric a message', async (t) => {
  t.strictSame(metrics({ shape: 'single' }, { metric: 'm', value: 2 }), { m: 2 });
  t.strictSame(metrics({ metric: 'what', value: 'v.x' }, { what: 7, v: { x: false } }), { 7: 0 });
  t.equal(reason({ shape: 'single' }, { metric: 'm', value: 'x' }), 'bad-number');
  t.equal(reason({ shape: 'single' }, { metric: 'm' }), 'no-metrics');
  t.equal(reason({ shape: 'single' }, { value: 1 }), 'bad-name');
  t.equal(reason({ shape: 'single' }, { metric: '', value: 1 }), 'bad-name');
});

t.test('a bare number', async (t) => {
  const decode = decoder([{ shape: 'number', topic: '{device}/{metric}', words: { ON: 1 } }]);
  for (const [payload, value] of [
    ['21.5', 21.5],
    [' -3 \n', -3],
    ['+.5e1', 5],
    ['007', 7],
    ['true', 1],
    ['false', 0],
    ['ON', 1],
    ['\ufeff4', 4],
    ['', undefined],
    ['on', undefined],
    ['NaN', undefined],
    ['{"v":1}', undefined],
    ['[1]', undefined],
    ['1 2', undefined],
    ['21,5', undefined],
    ['null', undefined],
    ['1e999', undefined],
  ] as const) {
    const { readings, rejects } = decode('d/m', payload);
    t.equal(readings[0]?.values[0], value, payload);
    t.equal(rejects[0]?.reason, value === undefined ? 'bad-number' : undefined, payload);
  }
});

t.test('lists of records', async (t) => {
  const decode = decoder([{ topic: 't', device: 'id' }]);
  const { readings, rejects } = decode('t', [{ id: 'a', v: 1 }, 5, null, [], { id: 'a', v: 2 }, { v: 3 }]);
  t.strictSame(
    readings.map(({ timeUs }) => timeUs - ARRIVAL_US),
    [0, 1],
    'those without a time are two readings',
  );
  t.strictSame(
    rejects.map((each) => each.reason),
    ['wrong-shape', 'wrong-shape', 'wrong-shape', 'no-device'],
  );
  t.equal(reason({}, []), 'wrong-shape');
  const wrapped = { records: 'r.list', device: 'id', group: 'g', time: 'ts' };
  const decodeWrapped = decoder([{ topic: 't', ...wrapped }]);
  const both = decodeWrapped('t', [
    { id: 'a', g: 'G', ts: 1, r: { list: [{ v: 1 }, { v: 2, ts: 3, id: 'b' }] } },
    { r: 1 },
  ]);
  t.match(both.readings, [
    { device: 'a', group: 'G', timeUs: 1e6 },
    { device: 'b', timeUs: 3e6 },
  ]);
  t.strictSame(both.readings.map(metricsOf), [{ v: 1 }, { v: 2 }], 'no metrics of the object around');
  t.equal(both.rejects.length, 1);
});

t.test('routes that cannot work are refused', async (t) => {
  for (const [route, key] of [
    [{ topic: 'a' }, 'device'],
    [{ device: 'd' }, 'topic'],
    [{ topic: 'a/{x', device: 'd' }, 'topic'],
    [{ topic: ['a/{device}', 'b'] }, 'device'],
    [{ topic: '{device}', shape: 'number' }, 'metric'],
    [{ topic: '{metric}', shape: 'number', device: 'd' }, 'device'],
    [{ topic: '{device}/{metric}', shape: 'number', time: 'ts' }, 'time'],
    [{ topic: '{device}', metric: 'm' }, 'value'],
    [{ topic: '{device}', value: 'v' }, 'metric'],
    [{ topic: '{device}', metric: 'm', value: 'v', metrics: ['a'] }, 'metrics'],
    [{ topic: '{device}', metrics: ['a', { from: 'b', as: 'a' }] }, 'metrics'],
    [{ topic: '{device}', time: { from: 't', format: 'dd/MM/yyyy' } }, 'time.timezone'],
    [{ topic: '{device}', time: { from: 't', timezone: 'Europe/Berlin' } }, 'time.timezone'],
    [{ topic: '{device}', window: '7m' }, 'window'],
    [{ topic: '{device}', window: '500ms' }, 'window'],
    [{ topic: '{device}', group: 'a{b' }, 'group'],
    [{ topic: '{device}', metrics: ['a\u0001'] }, 'metrics.0'],
  ] as const) {
    const parsed = routesSchema.safeParse([route]);
    const keys = parsed.success ? [] : parsed.error.issues.map(({ path }) => path.slice(1).join('.'));
    t.ok(keys.includes(key), `${JSON.stringify(route)}: ${keys}`);
  }
  t.notOk(
    routesSchema.safeParse([
      { topic: '{device}', name: 'x' },
      { name: 'x', device: 'd' },
    ]).success,
    'a name twice',
  );
});
