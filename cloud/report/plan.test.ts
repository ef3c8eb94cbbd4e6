import fc from 'fast-check';
import { test } from 'tap';
import { DAY_MS, floorTo, HOUR_MS } from '../store/store.js';
import { cover, planReport } from './plan.js';
import { BEGINNING_MS, END_MS, type GroupKey, parseQuery, type ReportQuery } from './query.js';
import { cutLocally } from './time-zone.js';

const DAY = Date.UTC(2026, 6, 1);
const iso = (ms: number) => new Date(ms).toISOString();

function query(keys: readonly GroupKey[], more: Partial<ReportQuery> = {}): ReportQuery {
  const span = { fromMs: BEGINNING_MS, toMs: END_MS };
  return { keys, span, where: {}, metrics: 'all', timeZone: 'UTC', ...more };
}

test('a stretch is covered by the coarsest roll-ups that fit, without a gap', (t) => {
  const text = (fromMs: number, toMs: number) =>
    cover({ fromMs: DAY + fromMs, toMs: DAY + toMs })
      .map(({ resolution, fromMs, toMs }) => `${resolution} ${(fromMs - DAY) / 60_000}-${(toMs - DAY) / 60_000}`)
      .join(', ');
  t.equal(text(0, DAY_MS), 'day 0-1440');
  t.equal(text(0, DAY_MS - HOUR_MS), 'hour 0-1380');
  t.equal(text(600_000, 3 * HOUR_MS + 60_000), 'window 10-60, hour 60-180, window 180-181');
  t.equal(text(600_000, 1_200_000), 'window 10-20');
  t.equal(text(600_000, HOUR_MS), 'window 10-60');
  t.equal(text(600_000, HOUR_MS + 60_000), 'window 10-60, window 60-61');
  t.equal(text(HOUR_MS, HOUR_MS + 60_000), 'window 60-61');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: DAY_MS - 1 }), fc.integer({ min: 1, max: DAY_MS }), (a, b) => {
      const [fromMs, toMs] = [DAY + Math.min(a, b), DAY + Math.max(a, b)];
      if (fromMs === toMs) return;
      let at = fromMs;
      for (const part of cover({ fromMs, toMs })) {
        if (part.fromMs !== at || part.toMs <= part.fromMs) throw new Error('a gap or an empty part');
        if (part.resolution === 'hour' && (part.fromMs % HOUR_MS !== 0 || part.toMs % HOUR_MS !== 0))
          throw new Error('cut');
        at = part.toMs;
      }
      if (at !== toMs) throw new Error('short');
    }),
  );
  t.end();
});

test('a year by UTC day is one stretch of days; by Berlin day, of hours', (t) => {
  const days = Array.from({ length: 365 }, (_, i) => Date.UTC(2026, 0, 1) + i * DAY_MS);
  const utc = planReport(query(['day']), days);
  t.equal(utc.stretches.length, 1);
  t.match(utc.stretches[0], { resolution: 'day', fromMs: days[0], toMs: days[364]! + DAY_MS });
  t.equal(utc.buckets.length, 365);
  t.equal(utc.coverage.length, 0);
  t.equal(utc.scope, 'all');
  const berlin = planReport(query(['device', 'day'], { timeZone: 'Europe/Berlin' }), days);
  t.equal(berlin.stretches.length, 1);
  t.match(berlin.stretches[0], { resolution: 'hour' });
  t.equal(berlin.buckets.length, 366, 'the last hour of the UTC year is of the next local one');
  t.equal(berlin.coverage.length, 1);
  t.equal(berlin.scope, 'device');
  const all = planReport(query([], { where: { gateway: 'a' } }), days);
  t.match(all, {
    scope: 'group',
    stretches: [{ resolution: 'month', pieces: { length: 12 } }],
    buckets: [{ day: '' }],
  });
  t.equal(all.coverage.length, 0);
  const span = { fromMs: Date.UTC(2026, 0, 31, 12), toMs: Date.UTC(2026, 3, 2) };
  const some = planReport(query([], { span }), days).stretches;
  t.same(
    some.map(({ resolution, fromMs, toMs }) => `${resolution} ${iso(fromMs).slice(0, 13)} ${iso(toMs).slice(0, 13)}`),
    ['hour 2026-01-31T12 2026-02-01T00', 'month 2026-02-01T00 2026-04-01T00', 'day 2026-04-01T00 2026-04-02T00'],
    'the months that are wanted whole',
  );
  const device = planReport(query(['device', 'day']), days);
  t.match(device.stretches, [{ resolution: 'day', pieces: { length: 365 } }], 'not where days are told apart');
  t.end();
});

test('the ends of a range inside a day are read finer, and the whole day counts for completeness', (t) => {
  const days = [DAY, DAY + DAY_MS, DAY + 2 * DAY_MS];
  const span = { fromMs: DAY + 90 * 60_000, toMs: DAY + 2 * DAY_MS + 1 };
  const plan = planReport(query(['device'], { span }), days);
  const text = plan.stretches.map(({ resolution, fromMs, toMs }) => `${resolution} ${iso(fromMs)} ${iso(toMs)}`);
  t.same(text, [
    'window 2026-07-01T01:30:00.000Z 2026-07-01T02:00:00.000Z',
    'hour 2026-07-01T02:00:00.000Z 2026-07-02T00:00:00.000Z',
    'day 2026-07-02T00:00:00.000Z 2026-07-03T00:00:00.000Z',
    'window 2026-07-03T00:00:00.000Z 2026-07-03T00:00:00.001Z',
  ]);
  t.same(plan.coverage, [
    { fromMs: DAY, toMs: DAY + DAY_MS },
    { fromMs: DAY + 2 * DAY_MS, toMs: DAY + 3 * DAY_MS },
  ]);
  t.same(planReport(query(['device'], { span: { fromMs: 0, toMs: 1 } }), days).stretches, []);
  t.end();
});

test('local days have 23 and 25 hours, and the hour that comes twice is two', (t) => {
  const hours = (fromMs: number, days: number, zone: string) => {
    const lengths = new Map<string, number>();
    for (let day = fromMs; day < fromMs + days * DAY_MS; day += DAY_MS) {
      for (const part of cutLocally({ fromMs: day, toMs: day + DAY_MS }, 'day', zone)) {
        lengths.set(part.day, (lengths.get(part.day) ?? 0) + (part.toMs - part.fromMs) / HOUR_MS);
      }
    }
    return lengths;
  };
  t.equal(hours(Date.UTC(2026, 2, 27), 4, 'Europe/Berlin').get('2026-03-29'), 23);
  t.equal(hours(Date.UTC(2026, 9, 23), 4, 'Europe/Berlin').get('2026-10-25'), 25);
  t.equal(hours(Date.UTC(2026, 9, 23), 4, 'UTC').get('2026-10-25'), 24);
  t.equal(hours(Date.UTC(2026, 3, 3), 4, 'Australia/Lord_Howe').get('2026-04-05'), 24.5);
  const day = Date.UTC(2026, 9, 25);
  const cut = cutLocally({ fromMs: day, toMs: day + 3 * HOUR_MS }, 'hour', 'Europe/Berlin').map(({ hour }) => hour);
  t.same(cut, ['2026-10-25T02:00+02:00', '2026-10-25T02:00+01:00', '2026-10-25T03:00+01:00']);
  const odd = cutLocally({ fromMs: DAY, toMs: DAY + HOUR_MS }, 'hour', 'Asia/Kathmandu');
  t.same(
    odd.map(({ fromMs, hour }) => `${(fromMs - DAY) / 60_000} ${hour}`),
    ['0 2026-07-01T05:00+05:45', '15 2026-07-01T06:00+05:45'],
  );
  t.end();
});

test('cutting by a zone leaves nothing out and nothing twice', (t) => {
  const zones = ['Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Kathmandu', 'UTC'];
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.constantFrom('day' as const, 'hour' as const),
      fc.integer({ min: Date.UTC(1995, 0), max: Date.UTC(2030, 0) }),
      fc.integer({ min: 1, max: DAY_MS }),
      (zone, cut, start, length) => {
        const fromMs = floorTo(start, 60_000);
        const parts = cutLocally({ fromMs, toMs: fromMs + length }, cut, zone);
        let at = fromMs;
        for (const part of parts) {
          if (part.fromMs !== at || part.toMs <= at) throw new Error('a gap or an empty part');
          at = part.toMs;
        }
        if (at !== fromMs + length) throw new Error('short');
        const labels = parts.map(({ day, hour }) => day + hour);
        if (new Set(labels).size !== labels.length) throw new Error('one name for two parts');
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

test('arguments are read', (t) => {
  const now = Date.UTC(2026, 6, 10);
  const span = (from: string, tz = 'UTC') => iso(parseQuery({ from, tz }, now).span.fromMs);
  t.equal(span('2026-07-01'), '2026-07-01T00:00:00.000Z');
  t.equal(span('2026-07-01', 'Europe/Berlin'), '2026-06-30T22:00:00.000Z');
  t.equal(span('2026-07-01T14:30', 'Europe/Berlin'), '2026-07-01T12:30:00.000Z');
  t.equal(span('2026-07-01 14:30:15.5', 'UTC'), '2026-07-01T14:30:15.500Z');
  t.equal(span('2026-10-25T02:30', 'Europe/Berlin'), '2026-10-25T00:30:00.000Z', 'the first of two');
  t.equal(span('2026-07-01T14:30:00Z', 'Europe/Berlin'), '2026-07-01T14:30:00.000Z');
  t.equal(span('2026-07-01T14:30:00-05:00', 'Europe/Berlin'), '2026-07-01T19:30:00.000Z');
  t.equal(span('24h'), '2026-07-09T00:00:00.000Z');
  t.equal(span('7d'), '2026-07-03T00:00:00.000Z');
  t.equal(iso(parseQuery({ to: 'now' }, now).span.toMs), iso(now));
  t.same(parseQuery({}, now), query(['device']));
  t.same(parseQuery({ groupBy: 'day, gateway ,metric' }, now).keys, ['day', 'gateway']);
  t.same(parseQuery({ groupBy: 'all' }, now).keys, []);
  t.same(parseQuery({ metrics: 'a, b', device: 'd' }, now), {
    ...query(['device']),
    metrics: new Set(['a', 'b']),
    where: { device: 'd' },
  });
  t.end();
});

test('a wrong argument is an error that says what, where and what to do', (t) => {
  const refuse = (given: Parameters<typeof parseQuery>[0], message: RegExp, hint: RegExp) =>
    t.throws(() => parseQuery(given, 0), { code: 'usage', message, hint });
  refuse({ from: 'yesterday' }, /--from: "yesterday" is not a time/, /2026-07-01.*24h/s);
  refuse({ to: '2026-02-30' }, /--to: "2026-02-30"/, /date/);
  refuse({ to: '20260701' }, /--to/, /date/);
  refuse({ from: '12' }, /--from/, /date/);
  refuse(
    { from: '2026-07-02', to: '2026-07-02' },
    /--from is not before --to: 2026-07-02T.* to 2026-07-02/,
    /--to 2026-07-02/,
  );
  refuse({ tz: 'Mars/Base' }, /--tz: there is no time zone "Mars\/Base"/, /Europe\/Berlin/);
  refuse({ groupBy: 'device,minute' }, /no key "minute"/, /gateway, group, device, day, hour/);
  refuse({ groupBy: 'all,day' }, /stands alone/, /Leave out/);
  refuse({ metrics: ' ,' }, /--metrics is empty/, /Leave it out/);
  t.end();
});
