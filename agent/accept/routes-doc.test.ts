/** Runs every example of docs/routes.md: its route, its message, and the readings that the page says it gives. */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import t from 'tap';
import { parse } from 'yaml';
import { type Decoded, REJECT_REASONS } from '../reading.js';
import { type CsvBatch, importCsv } from './import-csv.js';
import { limitsSchema, type RouteOptions, routesSchema } from './route-options.js';
import { compileRoutes } from './routes.js';

const PAGE = readFileSync(new URL('../../../docs/routes.md', import.meta.url), 'utf8');
const LIMITS = limitsSchema.parse({});
const ARRIVAL_US = 1_795_248_000_000_001;

interface Example {
  readonly line: number;
  readonly route: string;
  readonly topic: string;
  readonly language: string;
  readonly message: string;
  readonly expected: Record<string, string>[];
  readonly rejected: string[];
}

/** A block of code, the line `On …:`, a table or the line `Rejected: …`. */
const PARTS = /^```(\w+)\n([\s\S]*?)^```$|^On `([^`\n]+)`:$|^(\|.*\|)\n\|[-|]+\|\n((?:\|.*\|\n)+)|^Rejected: (.*)$/gm;

function examplesOf(page: string): Example[] {
  const examples: Example[] = [];
  let route = '';
  let topic = '';
  for (const match of page.slice(0, page.indexOf('\n## Topics')).matchAll(PARTS)) {
    const [, language, code, on, header, rows, rejected] = match;
    if (language === 'yaml') route = code!;
    else if (on !== undefined) topic = on;
    else if (language !== undefined) {
      const line = page.slice(0, match.index).split('\n').length;
      examples.push({ line, route, topic, language, message: code!.trimEnd(), expected: [], rejected: [] });
    } else if (header !== undefined) examples.at(-1)!.expected.push(...tableOf(header, rows!));
    else examples.at(-1)!.rejected.push(...[...rejected!.matchAll(/`([^`]+)`/g)].map((found) => found[1]!));
  }
  return examples;
}

function cells(row: string): string[] {
  return row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function tableOf(header: string, rows: string): Record<string, string>[] {
  const names = cells(header);
  return rows
    .trim()
    .split('\n')
    .map((row) => Object.fromEntries(cells(row).map((cell, index) => [names[index]!, cell])));
}

async function run({ route, topic, language, message }: Example): Promise<Decoded> {
  const routes = routesSchema.parse(parse(route));
  if (language === 'csv') return importText(message, routes[0]!);
  return compileRoutes(routes, LIMITS)({ topic, payload: Buffer.from(message), arrivalUs: ARRIVAL_US });
}

async function importText(text: string, route: RouteOptions): Promise<Decoded> {
  const batches: CsvBatch[] = [];
  const accept = async (batch: CsvBatch) => void batches.push(batch);
  await importCsv({ input: Readable.from([Buffer.from(text)]), route, limits: LIMITS, arrivalUs: ARRIVAL_US, accept });
  return {
    readings: batches.flatMap(({ decoded }) => decoded.readings),
    rejects: batches.flatMap(({ decoded }) => decoded.rejects),
    valueRejects: batches.flatMap(({ decoded }) => decoded.valueRejects),
  };
}

const examples = examplesOf(PAGE);

t.test('the page has its examples', async (t) => {
  t.equal(examples.length, 17);
  for (const { line, expected } of examples) t.ok(expected.length > 0, `line ${line}`);
});

for (const example of examples) {
  t.test(`docs/routes.md line ${example.line}: ${example.message.slice(0, 50)}`, async (t) => {
    const decoded = await run(example);
    const seen = decoded.readings.map(({ group, device, timeUs, lane, recordId, metrics, values }, index) => ({
      group,
      device,
      time: timeUs === ARRIVAL_US ? 'arrival' : iso(timeUs),
      lane,
      id: example.expected[index]?.id === 'digest' && recordId?.length === 22 ? 'digest' : (recordId ?? ''),
      metrics: metrics.map((name, at) => `${name} ${values[at]}`).join(', '),
    }));
    t.strictSame(
      seen,
      example.expected.map((row) => ({ group: '', lane: '', id: '', ...row })),
    );
    t.strictSame(
      decoded.rejects.map(({ reason }) => reason),
      example.rejected,
    );
    t.strictSame(decoded.valueRejects, []);
  });
}

t.test('the page lists every reason', async (t) => {
  const section = PAGE.slice(PAGE.indexOf('\n## Rejections'));
  for (const reason of REJECT_REASONS) t.ok(section.includes(`\`${reason}\``), reason);
});

function iso(timeUs: number): string {
  const text = new Date(Math.floor(timeUs / 1000)).toISOString();
  return text.replace('Z', `${String(timeUs % 1000).padStart(3, '0')}Z`);
}
