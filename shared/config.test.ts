import fc from 'fast-check';
import t from 'tap';
import { z } from 'zod';
import { byteSize, type ConfigProblem, configVersion, durationBetween, formatProblems, parseConfig } from './config.js';
import { formatByteSize, formatDuration, parseByteSize, parseDuration } from './config-fields.js';
import { configReference } from './config-reference.js';

const source = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('broker'),
    port: z.number().int().min(1).max(65_535).default(1883).describe('Port.'),
  }),
  z.strictObject({
    type: z.literal('mqtt'),
    url: z.string().min(1).describe('Where it is.'),
    password: z.string().optional().describe('Secret.'),
  }),
]);

const schema = z.strictObject({
  version: configVersion(1).describe('Version.'),
  gateway: z.string().min(1).describe('Its name.'),
  push: z
    .strictObject({
      url: z
        .string()
        .regex(/^mqtts?:/, 'mqtt://host or mqtts://host')
        .describe('The broker.'),
      maxInFlight: z.number().int().positive().default(50).describe('Batches <at one time>.'),
      every: durationBetween(1000, 86_400_000).default(5000).describe('How often.'),
      size: byteSize.prefault('64MB').describe('How | large.'),
      protocol: z
        .union([z.literal(4), z.literal(5)])
        .default(5)
        .describe('MQTT version.'),
      live: z.boolean().default(true).describe('At once.'),
      mode: z.enum(['fast', 'slow']).default('fast').describe('Mode.'),
    })
    .describe('The uplink.'),
  sources: z.array(source).default([]).describe('Sources.'),
  labels: z.record(z.string(), z.number()).default({}).describe('Labels.'),
  note: z.string().nullable().default(null).describe('Note.'),
});

const MINIMAL = 'gateway: g\npush: { url: "mqtt://b" }\n';

function parse(yaml: string, env: Record<string, string> = {}) {
  return parseConfig(schema, yaml, env, 'EDGETALLY', ['EDGETALLY_CLOUD_', 'EDGETALLY_CONFIG']);
}

function value(yaml: string, env: Record<string, string> = {}) {
  const parsed = parse(yaml, env);
  if (!parsed.ok) throw new Error(formatProblems('x', parsed.problems));
  return parsed.value;
}

function problems(yaml: string, env: Record<string, string> = {}): ConfigProblem[] {
  const parsed = parse(yaml, env);
  return parsed.ok ? [] : parsed.problems;
}

const texts = (yaml: string, env: Record<string, string> = {}) =>
  formatProblems('f.yaml', problems(yaml, env)).split('\n');

t.test('defaults are filled in', async (t) => {
  t.strictSame(value(MINIMAL), {
    version: 1,
    gateway: 'g',
    push: {
      url: 'mqtt://b',
      maxInFlight: 50,
      every: 5000,
      size: 64_000_000,
      protocol: 5,
      live: true,
      mode: 'fast',
    },
    sources: [],
    labels: {},
    note: null,
  });
});

t.test('text stands for numbers and booleans, and bare numbers for text', async (t) => {
  const yaml = `gateway: 007
push: { url: "mqtt://b", maxInFlight: "60", every: 1500, size: 1KiB, protocol: "4", live: "false" }
sources: [{ type: mqtt, url: 1.50, password: 0123 }, { type: broker, port: "8883" }]
`;
  const { gateway, push, sources } = value(yaml);
  t.equal(gateway, '007');
  t.match(push, { maxInFlight: 60, every: 1500, size: 1024, protocol: 4, live: false });
  t.strictSame(sources, [
    { type: 'mqtt', url: '1.50', password: '0123' },
    { type: 'broker', port: 8883 },
  ]);
});

t.test('a section whose keys are all commented out counts as left out', async (t) => {
  t.strictSame(value(`${MINIMAL}sources:\n  # - type: broker\nlabels:\nnote:\n`).sources, []);
  t.equal(value(`${MINIMAL}note: null\n`).note, null);
});

t.test('all problems at once, each with its place', async (t) => {
  const yaml = `gatway: g
push:
  urll: 7
  every: 10x
  maxInFlight: many
  mode: fasst
  protocol: 6
  size: [1]
sources:
  - type: mqt
  - type: mqtt
    ur: 5
    password: [secret-word]
  - type: broker
    port: 99999
labels:
  a: x
`;
  t.strictSame(texts(yaml), [
    'f.yaml:1:1: gatway: got an unknown key, did you mean gateway?',
    'f.yaml:1:1: gateway: got nothing, expected text, this key is required (Its name.)',
    'f.yaml:2:1: push.url: got nothing, expected text, this key is required (The broker.)',
    'f.yaml:3:3: push.urll: got an unknown key, did you mean url?',
    'f.yaml:4:10: push.every: got "10x", expected a duration such as 250ms, 10s, 5m, 1h, at least 1s, at most 1d',
    'f.yaml:5:16: push.maxInFlight: got "many", expected a number',
    'f.yaml:6:9: push.mode: got "fasst", expected one of fast, slow (did you mean fast?)',
    'f.yaml:7:13: push.protocol: got 6, expected one of 4, 5',
    'f.yaml:8:3: push.size: got a list, expected a size such as 512KiB, 64MB, 1GiB',
    'f.yaml:10:11: sources[0].type: got "mqt", expected one of broker, mqtt (did you mean mqtt?)',
    'f.yaml:11:5: sources[1].url: got nothing, expected text, this key is required (Where it is.)',
    'f.yaml:12:5: sources[1].ur: got an unknown key, did you mean url?',
    'f.yaml:13:5: sources[1].password: got a value that is not shown, expected text',
    'f.yaml:15:11: sources[2].port: got 99999, expected at most 65535',
    'f.yaml:17:6: labels.a: got "x", expected a number',
  ]);
});

t.test('a missing section names each key that it needs', async (t) => {
  t.strictSame(
    problems('gateway: g').map(({ key }) => key),
    ['push.url'],
  );
});

t.test('YAML that is not valid, and files that are no configuration', async (t) => {
  for (const [yaml, line, column, got] of [
    ['a: [1, 2\nb: c', 2, 1, 'Flow sequence'],
    ['gateway: g\ngateway: h', 2, 1, 'Map keys must be unique'],
    ['- 1', 1, 1, 'a list'],
    ['just text', 1, 1, 'a single value'],
    ['a: *nowhere', 1, 4, 'Unresolved alias'],
    ['a: 1\n---\nb: 2', 2, 1, 'multiple documents'],
  ] as const) {
    const [problem] = problems(yaml);
    t.match(problem, { line, column, key: '' }, yaml);
    t.ok(problem!.got.includes(got), `${yaml}: ${problem!.got}`);
  }
  const bomb = `${Array.from({ length: 20 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(i && 9)}x]`).join('\n')}\n`;
  t.match(problems(bomb), [{ got: /alias/ }]);
});

t.test('a newer version is all there is to say', async (t) => {
  t.strictSame(texts('version: 2\nwhat: ever'), [
    'f.yaml:1:10: version: got 2, written for a newer Edgetally, expected 1 or less: upgrade this program',
  ]);
  t.strictSame(texts(`version: 0\n${MINIMAL}`), ['f.yaml:1:10: version: got 0, expected at least 1']);
});

t.test('the environment wins over the file', async (t) => {
  const env = {
    EDGETALLY_PUSH_MAX_IN_FLIGHT: '7',
    EDGETALLY_PUSH_EVERY: '2m',
    EDGETALLY_PUSH_LIVE: 'false',
    EDGETALLY_SOURCES_0_PASSWORD: '0123',
    EDGETALLY_SOURCES_1_TYPE: 'broker',
    EDGETALLY_SOURCES_1_PORT: '99',
    EDGETALLY_LABELS: '{ a: 1 }',
    EDGETALLY_PUSH_MODE: '',
    EDGETALLY_GATEWAY: '',
    EDGETALLY_CONFIG: 'not ours',
    EDGETALLY_CLOUD_DATABASE: 'not ours',
    EDGETALLYX: 'not ours',
  };
  const { gateway, push, sources, labels } = value(
    `${MINIMAL}sources: [{ type: mqtt, url: u, password: file }]\n`,
    env,
  );
  t.equal(gateway, 'g', 'an empty variable is not set');
  t.match(push, { maxInFlight: 7, every: 120_000, live: false, mode: 'fast' });
  t.strictSame(sources, [
    { type: 'mqtt', url: 'u', password: '0123' },
    { type: 'broker', port: 99 },
  ]);
  t.strictSame(labels, { a: 1 });
});

t.test('variables are held to the same schema', async (t) => {
  t.strictSame(
    texts(MINIMAL, { EDGETALLY_PUSH_EVERY: '2z', EDGETALLY_PUSH_MAX_IN_FLGHT: '1', EDGETALLY_FOOBAR: '1' }),
    [
      'environment EDGETALLY_FOOBAR: got an unknown variable, expected the name of a key',
      'environment EDGETALLY_PUSH_MAX_IN_FLGHT: got an unknown variable, did you mean EDGETALLY_PUSH_MAX_IN_FLIGHT?',
      'environment EDGETALLY_PUSH_EVERY: push.every: got "2z", expected a duration such as 250ms, 10s, 5m, 1h, at least 1s, at most 1d',
    ],
  );
});

t.test('durations and sizes', async (t) => {
  const durations: [string | number, number | undefined][] = [
    ['250ms', 250],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['1.5s', 1500],
    ['1h30m', 5_400_000],
    ['1 h 30 m', 5_400_000],
    ['60', 60],
    [60, 60],
    ['0', 0],
    ['', undefined],
    ['s', undefined],
    ['-1s', undefined],
    ['1x', undefined],
    ['1e3', undefined],
    [1.5, undefined],
    [-1, undefined],
    [Number.NaN, undefined],
    ['99999999999999999d', undefined],
  ]; // prettier-ignore
  for (const [given, ms] of durations) t.equal(parseDuration(given), ms, String(given));
  const sizes: [string | number, number | undefined][] = [
    ['64MB', 64_000_000],
    ['1GiB', 2 ** 30],
    ['512kB', 512_000],
    ['512 KiB', 524_288],
    ['1.5mib', 1_572_864],
    ['7', 7],
    [7, 7],
    ['7b', 7],
    ['1XB', undefined],
    ['-1', undefined],
    ['constructor', undefined],
    ['1 constructor', undefined],
  ]; // prettier-ignore
  for (const [given, bytes] of sizes) t.equal(parseByteSize(given), bytes, String(given));
  fc.assert(fc.property(fc.nat({ max: 2 ** 45 }), (n) => parseDuration(formatDuration(n)) === n));
  fc.assert(fc.property(fc.nat({ max: 2 ** 45 }), (n) => parseByteSize(formatByteSize(n)) === n));
});

t.test('any text is a value or problems, never a throw', async () => {
  const word = fc.constantFrom(
    'gateway',
    'push',
    'url',
    'a',
    '1',
    ': ',
    '\n',
    '  ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '"',
    '&a ',
    '*a',
    '<<',
    '__proto__',
    '? ',
    '!!x ',
    '|',
    '#',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(word, { maxLength: 40 }).map((words) => words.join('')),
  );
  fc.assert(
    fc.property(text, (yaml) => {
      const parsed = parse(yaml);
      if (parsed.ok) return typeof parsed.value.gateway === 'string';
      const lines = yaml.split('\n').length + 1;
      return (
        parsed.problems.length > 0 &&
        parsed.problems.every(({ line, column }) => line >= 1 && line <= lines && column >= 1)
      );
    }),
    { numRuns: 600 },
  );
  if (({} as { x?: unknown }).x !== undefined) throw new Error('polluted');
});

t.test('the reference says what the schema says', async (t) => {
  const page = configReference(schema, 'Title', 'Intro.');
  for (const part of [
    '# Title\n\nIntro.\n\n| key | type | default | what it does |\n|---|---|---|---|\n| `version` | number | `1` | Version. |',
    '| `gateway` | text | **required** | Its name. |',
    '## `push`\n\nThe uplink.\n\n| key |',
    '| `maxInFlight` | number | `50` | Batches &lt;at one time>. |',
    '| `every` | duration | `5s` | How often. |',
    '| `size` | size | `64MB` | How \\| large. |',
    '| `mode` | `fast` or `slow` | `fast` | Mode. |',
    '## `sources[]` with `type: mqtt`',
    '| `password` | text |  | Secret. |',
    '| `labels` | section | `{}` | Labels. |',
  ]) {
    t.ok(page.includes(part), part);
  }
});
