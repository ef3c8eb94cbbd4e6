import { Readable } from 'node:stream';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import t from 'tap';
import { csvBlocks } from './csv-blocks.js';
import { csvRows } from './csv-rows.js';
import { type CsvBatch, type CsvProgress, importCsv } from './import-csv.js';
import { limitsSchema, routeSchema } from './route-options.js';

const LIMITS = limitsSchema.parse({});
const TABLE = { name: 'table', device: 'device', time: 'time' };

interface Run {
  readonly chunk?: number;
  readonly from?: CsvProgress;
  /** Fails to store the batch of this number. */
  readonly failAt?: number;
  readonly signal?: AbortSignal;
}

function chunks(bytes: Buffer, size: number): Readable {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  return Readable.from(parts, { objectMode: true });
}

async function run(route: object, file: string | Buffer, { chunk = 64 * 1024, from, failAt, signal }: Run = {}) {
  const batches: CsvBatch[] = [];
  const progress = await importCsv({
    input: chunks(Buffer.from(file), chunk),
    route: routeSchema.parse(route),
    limits: LIMITS,
    from,
    arrivalUs: 1e15,
    signal,
    accept: async (batch) => {
      if (batches.length === failAt) throw new Error('disk full');
      batches.push(batch);
    },
  }).catch((error: Error) => error);
  return { batches, progress, ...together(batches) };
}

function together(batches: readonly CsvBatch[]) {
  const decoded = batches.map((batch) => batch.decoded);
  return {
    readings: decoded.flatMap(({ readings }) => readings),
    rejects: decoded.flatMap(({ rejects }) => rejects),
    valueRejects: decoded.flatMap(({ valueRejects }) => valueRejects),
  };
}

const HEADER = 'device,time,temp,hum\n';

/** Rows that a store can be filled with, one of a hundred bad, some with quotes. */
function table(rows: number): string {
  let text = HEADER;
  for (let index = 0; index < rows; index++) {
    const device = index % 7 === 0 ? `"d ""${index % 50}"", x"` : `d${index % 50}${'-'.repeat(80)}`;
    text +=
      index % 100 === 99 ? `bad\n` : `${device},${1_795_248_000 + index},${index / 8},${index % 3 ? index : ''}\n`;
  }
  return text;
}

t.test('bad rows are rejections with their line, and the import goes on', async (t) => {
  const file = `${HEADER}d1,1795248000,20.5,40
d1,never,1,2

d1,1795248060,20.5
,1795248060,1,2
d1,1795248060,oops,"-"
d1,1795248120,1,2,
d2,1795248180,"1","2"\r
d1,1795248240,1,2`;
  const { readings, rejects, valueRejects, progress, batches } = await run(TABLE, file);
  t.strictSame(
    readings.map(({ device, timeUs, values }) => [device, timeUs / 1e6 - 1_795_248_000, values]),
    [
      ['d1', 0, [20.5, 40]],
      ['d1', 120, [1, 2]],
      ['d2', 180, [1, 2]],
      ['d1', 240, [1, 2]],
    ],
  );
  t.strictSame(
    rejects.map(({ reason, detail }) => [reason, detail.slice(0, 8)]),
    [
      ['bad-time', 'line 3: '],
      ['wrong-shape', 'line 5: '],
      ['no-device', 'line 6: '],
      ['bad-number', 'line 7: '],
    ],
  );
  t.strictSame(valueRejects, []);
  t.strictSame(progress, { position: Buffer.byteLength(file), rows: 8, done: true });
  t.equal(Buffer.from(batches[0]!.message.payload).toString(), 'd1,never,1,2', 'the sample that is kept');
  t.equal(batches[0]!.message.topic, 'csv:table');
});

t.test('single bad values are left out', async (t) => {
  const { readings, valueRejects } = await run(TABLE, `${HEADER}d,1,1,2\nd,2,oops,3\n`);
  t.strictSame(
    readings.map(({ values }) => values),
    [[1, 2], [3]],
  );
  t.match(valueRejects, [{ reason: 'bad-number', detail: /^line 3: route table: temp: got "oops"/ }]);
});

t.test('a quote that is never closed costs its own line', async (t) => {
  const rows = Array.from({ length: 50 }, (_, index) => `d,${index},1,"2"`);
  rows[10] = 'd,10,1,"2';
  const { readings, rejects } = await run(TABLE, `${HEADER}${rows.join('\n')}\n`);
  t.equal(readings.length, 49);
  t.match(rejects, [{ reason: 'wrong-shape', detail: 'line 12: a quote that is not closed' }]);
  rows[10] = 'd,10,1,2"';
  const stray = await run(TABLE, `${HEADER}${rows.join('\n')}\n`);
  t.equal(stray.readings.length, 50);
  t.match(stray.valueRejects, [{ reason: 'bad-number', detail: /^line 12: / }]);
  rows[30] = '"d\ne",30,1,2';
  const both = await run(TABLE, `${HEADER}${rows.join('\n')}\n`);
  t.match(
    both.rejects,
    [{ reason: 'no-device', detail: /^line 32: / }],
    'a cell of two lines beside it is still one row',
  );
  t.equal(both.readings.length, 49);
});

t.test('quotes hold delimiters, quotes and line ends', async (t) => {
  const { readings, rejects } = await run(TABLE, `${HEADER}"a,b",1,1,2\n"a""b",1,1,2\n"a\nb",1,1,2\nd,x,1,2\n`);
  t.strictSame(
    readings.map(({ device }) => device),
    ['a,b', 'a"b'],
  );
  t.strictSame(
    rejects.map(({ reason, detail }) => `${reason} ${detail.slice(0, 7)}`),
    ['no-device line 4:', 'bad-time line 6:'],
  );
});

t.test('no block ends within a quoted cell', async (t) => {
  const note = `"${'a note, in two lines\n'.repeat(2)}"`;
  const rows = Array.from({ length: 3000 }, (_, index) => `d,${index},1,${note}\n`);
  const { readings, rejects, batches } = await run(TABLE, `${HEADER}${rows.join('')}`);
  t.ok(batches.length > 2);
  t.strictSame([readings.length, rejects.length], [3000, 0]);
});

t.test('lines that a quote joins to a row of another length are rows of their own', async (t) => {
  const { readings, rejects } = await run(TABLE, `${HEADER}"d,1,1,2\nd,2,1,2\n",3,1\n`);
  t.strictSame(
    readings.map(({ timeUs }) => timeUs),
    [2e6],
  );
  t.strictSame(
    rejects.map(({ detail }) => detail.slice(0, 7)),
    ['line 2:', 'line 4:'],
  );
});

t.test('other grammars', async (t) => {
  const german = { ...TABLE, csv: { delimiter: ';', decimal: ',', skipLines: 2 } };
  const one = await run(german, '\ufeffExport\nof today\ndevice ; time ;temp;hum\nd;1,5;20,5;-1,5e2\n');
  t.match(one.readings, []);
  t.match(one.rejects, [{ reason: 'bad-time', detail: /^line 4: / }]);
  const two = await run(german, 'Export\nof today\ndevice ; time ;temp;hum\nd;15;20,5;-1,5e2\n');
  t.strictSame(
    two.readings.map(({ values }) => values),
    [[20.5, -150]],
  );
  const bare = { ...TABLE, csv: { columns: ['device', 'time', 'x.y'], delimiter: '\t' } };
  t.match((await run(bare, 'd\t1\t5\n')).readings, [{ device: 'd', metrics: ['x.y'], values: [5], lane: 'x.y' }]);
  const latin = { ...TABLE, metrics: ['temp'], csv: { encoding: 'latin1' } };
  t.match((await run(latin, Buffer.from(`${HEADER}k\xfcche,1,2,3\n`, 'latin1'))).readings, [
    { device: 'küche', metrics: ['temp'] },
  ]);
});

t.test('rows that are not UTF-8, lines without an end', async (t) => {
  const file = Buffer.concat([
    Buffer.from(`${HEADER}d,1,1,1\nk`),
    Buffer.from([0xfc]),
    Buffer.from('che,2,1,1\nd,3,1,1\n'),
  ]);
  const { readings, rejects } = await run(TABLE, file);
  t.equal(readings.length, 2);
  t.match(rejects, [{ reason: 'not-text', detail: /^line 3: / }]);
  const long = await run(TABLE, `${HEADER}d,1,1,1\n${'x'.repeat(3_000_000)}\nd,2,1,1\n`);
  t.strictSame(
    long.readings.map(({ timeUs }) => timeUs),
    [1e6, 2e6],
  );
  t.match(long.rejects, [{ reason: 'wrong-shape', detail: /^line 3: a line of more than/ }]);
});

t.test('a file or a route that cannot work is said once', async (t) => {
  for (const [route, file, message] of [
    [TABLE, '', /is empty/],
    [TABLE, '\n\n', /no header/],
    [TABLE, 'a,b\n1,2\n', /no column "device"; there are "a", "b"/],
    [TABLE, 'device,time,device\n', /two columns are called "device"/],
    [{ ...TABLE, metrics: ['volt'] }, HEADER, /no column "volt"/],
    [{ name: 'x', topic: 'a/{device}' }, HEADER, /the device from its topic/],
    [TABLE, Buffer.from(HEADER, 'utf16le'), /not UTF-8/],
  ] as const) {
    const { progress } = await run(route, file as string);
    t.match(progress, { code: 'import-failed', message }, String(message));
  }
});

t.test('the same file is cut the same way, however it comes', async () => {
  const sizes = { targetBytes: 40, maxBytes: 100 };
  const part = fc.constantFrom('a', '"', ',', '\n', '\r\n', 'x'.repeat(30), 'ü', '""');
  const text = fc.array(part, { maxLength: 60 }).map((parts) => Buffer.from(parts.join('')));
  const cut = async (bytes: Buffer, size: number) => {
    const blocks = [];
    for await (const block of csvBlocks(chunks(bytes, size), '"', sizes))
      blocks.push({ ...block, bytes: block.bytes.toString('hex') });
    return blocks;
  };
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 70 }), async (bytes, size) => {
      const [whole, pieces] = [await cut(bytes, 1000), await cut(bytes, size)];
      const lossless = whole.every(({ overlong }) => !overlong);
      const joined = whole.map((block) => block.bytes).join('');
      const bounded = whole.every((block) => block.bytes.length <= 2 * sizes.maxBytes);
      return (
        JSON.stringify(whole) === JSON.stringify(pieces) && bounded && (!lossless || joined === bytes.toString('hex'))
      );
    }),
    { numRuns: 300 },
  );
});

t.test('rows are those of csv-parse', async () => {
  const grammar = { delimiter: ',', quote: '"' };
  const cell = fc.oneof(
    fc.string({ maxLength: 5 }).map((text) => text.replaceAll(/["\r\n,]/g, 'x')),
    fc.string({ maxLength: 5 }).map((text) => `"${text.replaceAll('"', '""')}"`),
  );
  const row = fc.array(cell, { minLength: 2, maxLength: 2 }).map((cells) => cells.join(','));
  fc.assert(
    fc.property(fc.array(row, { maxLength: 8 }), fc.constantFrom('\n', '\r\n'), (rows, end) => {
      const text = rows.join(end);
      const seen = csvRows(text, grammar, 2).map(({ cells }) => cells);
      const oracle = parse(text, { relax_quotes: true, relax_column_count: true, record_delimiter: ['\n', '\r\n'] });
      return JSON.stringify(seen) === JSON.stringify(oracle);
    }),
    { numRuns: 300 },
  );
});

t.test('an import that was cut off goes on exactly there', async (t) => {
  const file = table(6000);
  const whole = await run(TABLE, file);
  t.equal(whole.readings.length + whole.rejects.length, 6000);
  t.equal(whole.rejects.length, 60);
  t.ok(whole.batches.length > 5, `${whole.batches.length} batches`);
  for (const [failAt, chunk] of [
    [0, 1000],
    [1, 65_536],
    [3, 99_999],
    [whole.batches.length - 1, 7777],
  ] as const) {
    const first = await run(TABLE, file, { failAt, chunk });
    t.match(first.progress, { message: 'disk full' });
    const from = first.batches.at(-1)?.progress;
    const second = await run(TABLE, file, { chunk: 12_345, ...(from === undefined ? {} : { from }) });
    const all = JSON.stringify(together([...first.batches, ...second.batches]));
    t.ok(all === JSON.stringify(together(whole.batches)), `cut off at ${failAt}`);
    t.strictSame(second.progress, whole.progress);
  }
});

t.test('one batch at a time, and none after the signal', async (t) => {
  const stop = new AbortController();
  let open = 0;
  let taken = 0;
  await t.rejects(
    importCsv({
      input: chunks(Buffer.from(table(6000)), 4096),
      route: routeSchema.parse(TABLE),
      limits: LIMITS,
      arrivalUs: 0,
      signal: stop.signal,
      accept: async () => {
        t.equal(++open, 1);
        await new Promise((resolve) => setImmediate(resolve));
        open--;
        if (++taken === 2) stop.abort();
      },
    }),
    { name: 'AbortError' },
  );
  t.equal(taken, 2);
});

t.test('rows without a time are a reading each', async (t) => {
  const { readings } = await run({ name: 'x', device: 'd' }, 'd,v\na,1\na,1\n');
  t.strictSame(
    readings.map(({ timeUs }) => timeUs - 1e15),
    [0, 1],
  );
});
