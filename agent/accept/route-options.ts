/**
 * Options of routes: how topics and payloads of any make become readings. One route names a topic and says where
 * device, time and metrics are; `shape` fills in what is usual for a kind of message.
 */
import { z } from 'zod';
import { byteSizeBetween, duration } from '../../shared/config.js';
import { isName, MAX_NAME_BYTES } from '../../shared/name.js';
import { parseZone } from './calendar.js';
import { fieldProblem } from './field.js';
import { routeProblems } from './route-problems.js';
import { SHAPES } from './route-shapes.js';
import { timeFormatProblem } from './time-format.js';
import { parseTopicFilter } from './topic-filter.js';

const DAY_MS = 86_400_000;

/** Adds the problem that a check of ours found: its text says what was expected. */
function expected<T>(problem: (value: T) => string | undefined) {
  return (value: T, context: z.core.$RefinementCtx) => {
    const message = problem(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  };
}

const topic = z.string().superRefine(
  expected((text: string) => {
    const filter = parseTopicFilter(text);
    return 'expected' in filter ? filter.expected : undefined;
  }),
);

const fieldText = z.string().min(1).superRefine(expected(fieldProblem));

const field = z.union([fieldText, z.array(fieldText).min(1), z.strictObject({ constant: z.string().min(1) })]);

const timezone = z
  .string()
  .superRefine(
    expected((text: string) => (parseZone(text) === undefined ? 'utc or an offset such as +02:00' : undefined)),
  );

const timeObject = z.strictObject({
  from: z
    .union([fieldText, z.array(fieldText).min(1)])
    .optional()
    .describe('Field or template of the observation time; `arrival`: the time it came in.'),
  unit: z
    .enum(['auto', 'iso', 's', 'ms', 'us', 'ns'])
    .default('auto')
    .describe('What the time is written in; auto tells by its form and size.'),
  format: z
    .string()
    .superRefine(expected(timeFormatProblem))
    .optional()
    .describe(
      'Pattern of a time that is none of these: `dd/MM/yyyy HH:mm:ss`, with S for a fraction, a for AM and PM, Z for a zone.',
    ),
  timezone: timezone
    .optional()
    .describe('Zone of times that carry none: utc or a fixed offset. Without it such times are rejected.'),
  missing: z
    .enum(['reject', 'arrival'])
    .optional()
    .describe(
      'What a reading without a time gets: a rejection (unless the shape says otherwise), or the time it came in.',
    ),
});

const metricName = z.string().refine(isName, 'a short name without control characters');

const metricsObject = z.strictObject({
  from: z.string().min(1).optional().describe('Only what is in this object; names are then relative to it.'),
  except: z.array(z.string().min(1)).optional().describe('Fields (with all that is in them) that are no metrics.'),
});

const csv = z.strictObject({
  delimiter: z.string().length(1).default(',').describe('What separates columns; "\\t" is a tab.'),
  quote: z.string().length(1).default('"').describe('What encloses a column that has a delimiter in it.'),
  decimal: z.enum(['.', ',']).default('.').describe('The decimal mark of numbers.'),
  columns: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Names of the columns, for a file that has no header line.'),
  missing: z
    .array(z.string())
    .default(['', 'NA', 'N/A', 'NaN', 'nan', 'null', 'NULL', '?', '-'])
    .describe('Cells that stand for no value.'),
  encoding: z.enum(['utf8', 'latin1']).default('utf8').describe('How characters are written.'),
  skipLines: z.number().int().min(0).max(1000).default(0).describe('Lines before the header.'),
});

export const routeSchema = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe('What messages and `import --route` call it; its topic if not set.'),
    topic: z
      .union([topic, z.array(topic).min(1)])
      .optional()
      .describe(
        'MQTT topics, with + and # and names for levels: `plant/{group}/{device}/telemetry`. None: only for `import`.',
      ),
    shape: z.enum(SHAPES).default('json').describe('What kind of message it is; fills in what is usual for it.'),
    device: field
      .optional()
      .describe(
        'Where the device’s name is: a field (`data.id`), a template (`{SrcIP}:{DstIP}`), a list of which the first that is there counts, or `{ constant: … }`. If not set: the topic’s {device}.',
      ),
    group: field.optional().describe('Where the zone or site is, in the same ways. If not set: the topic’s {group}.'),
    time: z
      .union([fieldText, z.array(fieldText).min(1), timeObject])
      .optional()
      .describe('Where the observation time is; `arrival` (and nothing): the time it came in.'),
    id: field
      .optional()
      .describe('Where the record id is, for devices that number their readings; `content`: a digest of the record.'),
    metrics: z
      .union([
        z.array(z.union([metricName, z.strictObject({ from: z.string().min(1), as: metricName })])).min(1),
        metricsObject,
      ])
      .optional()
      .describe(
        'A list of fields (`temp`, `{ from: data.temp, as: temp }`), or every numeric field but those in `except`.',
      ),
    metric: field.optional().describe('For one metric a message: where its name is.'),
    value: z.string().min(1).optional().describe('For one metric a message: the field of its value.'),
    records: z.string().min(1).optional().describe('The field of a list of records, where a message has several.'),
    words: z.record(z.string(), z.number()).optional().describe('Words that stand for numbers: `{ ON: 1, OFF: 0 }`.'),
    numericStrings: z.boolean().optional().describe('Take numbers written as text ("21.5") for numbers.'),
    window: duration
      .default(60_000)
      .refine(
        (ms) => ms >= 1000 && DAY_MS % ms === 0,
        'a length of 1s or more that divides a day, such as 10s, 1m, 15m, 1h',
      )
      .describe('Length of a window; divides a day.'),
    lateness: duration
      .default(10_000)
      .refine((ms) => ms <= 7 * DAY_MS, 'at most 7d')
      .describe(
        'How long after its end a window waits for late readings before it is first sent. Later ones amend it.',
      ),
    csv: csv.prefault({}).describe('How files for `import` are written.'),
  })
  .superRefine((route, context) => {
    for (const problem of routeProblems(route)) context.addIssue({ code: 'custom', ...problem });
  });

export const limitsSchema = z.strictObject({
  maxPayloadBytes: byteSizeBetween(1, 16 * 1024 * 1024)
    .default(256 * 1024)
    .describe('Largest message.'),
  maxDepth: z.number().int().min(1).max(64).default(16).describe('Deepest nesting of JSON.'),
  maxMetrics: z.number().int().min(1).max(4096).default(256).describe('Most metrics of one reading.'),
  maxNameBytes: z
    .number()
    .int()
    .min(1)
    .max(MAX_NAME_BYTES)
    .default(MAX_NAME_BYTES)
    .describe('Longest name of a group, device, metric or record id.'),
});

export const routesSchema = z
  .array(routeSchema)
  .default([])
  .superRefine((routes, context) => {
    const names = routes.map((route) => route.name);
    for (const [index, name] of names.entries()) {
      if (name === undefined || names.indexOf(name) === index) continue;
      context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name that no other route has' });
    }
  })
  .describe('From topics and payloads to readings. The first route whose topic matches takes the message.');

export type RouteOptions = z.output<typeof routeSchema>;
export type CsvOptions = RouteOptions['csv'];
export type DecodeLimits = z.output<typeof limitsSchema>;
