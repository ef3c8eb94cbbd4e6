import fc from 'fast-check';
import t from 'tap';
import { daysFromCivil, parseZone } from './calendar.js';
import { timeFormatProblem } from './time-format.js';
import { compileTime, decimalToUs, type TimeOptions } from './times.js';

const read = (value: unknown, options: Partial<TimeOptions> = {}) =>
  compileTime({ unit: 'auto', ...options }).read(value);

/** 2026-11-21T08:15:04 UTC. */
const AT_S = 1_795_248_904;
const AT_US = AT_S * 1e6;

t.test('ISO 8601', async (t) => {
  for (const [text, us] of [
    ['2026-11-21T08:15:04Z', AT_US],
    ['2026-11-21t08:15:04z', AT_US],
    ['2026-11-21 08:15:04Z', AT_US],
    ['2026-11-21T08:15Z', AT_US - 4e6],
    ['2026-11-21T09:15:04+01:00', AT_US],
    ['2026-11-21T09:15:04+0100', AT_US],
    ['2026-11-21T09:15:04+01', AT_US],
    ['2026-11-21T02:45:04-05:30', AT_US],
    ['2026-11-21T08:15:04.5Z', AT_US + 500_000],
    ['2026-11-21T08:15:04,123456Z', AT_US + 123_456],
    ['2026-11-21T08:15:04.1234564999Z', AT_US + 123_456],
    ['2026-11-21T08:15:04.1234565Z', AT_US + 123_457],
    ['2026-11-21T08:15:04.9999996Z', AT_US + 1_000_000],
    ['2026-12-31T23:59:60Z', Date.UTC(2027, 0, 1) * 1000],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29) * 1000],
    ['1970-01-01T00:00:00Z', 0],
  ] as const) {
    t.equal(read(text), us, text);
    t.equal(read(text, { unit: 'iso' }), us, text);
  }
});

t.test('what is no time', async (t) => {
  const bad = [
    ...['2026-11-21T08:15:04', '2026-11-21', 'yesterday', '', ' ', 'Z', '2026-13-01T00:00:00Z', '2026-02-29T00:00:00Z'],
    ...['2026-00-10T00:00:00Z', '2026-11-21T24:00:00Z', '2026-11-21T08:60:00Z', '2026-11-21T08:15:61Z'],
    ...['2026-11-21T08:15:04.Z', '2026-11-21T08:15:04+25:00', '2026-11-21T08:15:04ZZ', '2026-11-21T08:15:04 Z'],
    ...[
      '2026/11/21T08:15:04Z',
      '1969-12-31T23:59:59Z',
      '2300-01-01T00:00:00Z',
      '0x10',
      '1e999',
      'NaN',
      'Infinity',
      '--1',
    ],
    ...[
      null,
      undefined,
      true,
      {},
      [],
      [1],
      Number.NaN,
      Number.POSITIVE_INFINITY,
      -1,
      -0.1,
      1e300,
      9.1e18,
      '1'.repeat(50),
    ],
  ];
  for (const value of bad) t.ok(Number.isNaN(read(value)), JSON.stringify(value));
  t.ok(Number.isNaN(read(AT_S, { unit: 'iso' })), 'a number is no ISO time');
  t.ok(Number.isNaN(read('2026-11-21T08:15:04Z', { unit: 's' })), 'an ISO time is no number');
});

t.test('a zone for times that carry none', async (t) => {
  t.equal(read('2026-11-21T08:15:04', { zoneMinutes: 0 }), AT_US);
  t.equal(read('2026-11-21T08:15:04', { zoneMinutes: 60 }), AT_US - 3600e6);
  t.equal(read('2026-11-21T08:15:04Z', { zoneMinutes: 60 }), AT_US, 'its own zone wins');
  t.equal(read('2026-11-21', { zoneMinutes: 0 }), Date.UTC(2026, 10, 21) * 1000);
  for (const [text, minutes] of [
    ['utc', 0],
    ['UTC', 0],
    ['Z', 0],
    ['+02:00', 120],
    ['-0530', -330],
    ['Europe/Berlin', undefined],
    ['+15:00', undefined],
    ['2', undefined],
  ] as const) {
    t.equal(parseZone(text), minutes, text);
  }
});

t.test('numbers, by size and by unit', async (t) => {
  t.equal(read(AT_S), AT_US);
  t.equal(read(AT_S * 1000 + 1), AT_US + 1000);
  t.equal(read(AT_US + 1), AT_US + 1);
  t.equal(read(`${AT_S}000000999`), AT_US + 1);
  t.equal(read(`${AT_S}`), AT_US);
  t.equal(read(` ${AT_S}.25 `), AT_US + 250_000);
  t.equal(read(60, { unit: 'ms' }), 60_000);
  t.equal(read(60, { unit: 'us' }), 60);
  t.equal(read(60_500, { unit: 'ns' }), 61);
  t.equal(read('60499', { unit: 'ns' }), 60);
  t.equal(read(1.594e9), 1.594e15);
  t.equal(read('1.594e9'), 1.594e15);
  t.equal(read(0), 0);
  t.equal(read(0.000_000_5), 1);
});

t.test('rounded half up from the decimal, not from the double', async (t) => {
  t.equal(read(1_594_598_424.502_333_6), 1_594_598_424_502_334);
  t.equal(read(5.000_000_5), 5_000_001, 'the double is below the half');
  t.equal(read('1594598424.5023335'), 1_594_598_424_502_334);
  t.equal(read('1594598424.50233349999'), 1_594_598_424_502_333);
  t.equal(read(1_594_598_424_502.3335), 1_594_598_424_502_334);
});

/** The same by a longer way: all digits of the decimal that the number prints as. */
function exactUs(value: number, exponent: number): number {
  const [mantissa, scientific = '0'] = String(value).split('e');
  const [whole, fraction = ''] = mantissa!.split('.');
  const shift = Number(scientific) + exponent + 20 - fraction.length;
  const scaled = BigInt(`${whole}${fraction}`) * 10n ** BigInt(shift);
  const one = 10n ** 20n;
  return Number((2n * scaled + one) / (2n * one));
}

t.test('the fast way and the exact way agree', async () => {
  const unit = fc.constantFrom(['s', 6, 2 ** 32] as const, ['ms', 3, 2 ** 42] as const, ['us', 0, 2 ** 52] as const);
  const digits = fc.nat({ max: 7 });
  fc.assert(
    fc.property(unit, fc.double({ min: 1e-3, max: 1, noNaN: true }), digits, ([name, exponent, top], share, places) => {
      const value = Number((share * top).toFixed(places));
      return read(value, { unit: name }) === exactUs(value, exponent);
    }),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 33 }), fc.nat({ max: 999_999 }), (s, us) => {
      const text = `${s}.${String(us).padStart(6, '0')}`;
      const whole = s * 1e6 + us;
      return decimalToUs(text, 6) === whole && (whole > 2 ** 51 || read(Number(text), { unit: 's' }) === whole);
    }),
  );
});

t.test('the calendar is that of the language', async () => {
  fc.assert(
    fc.property(fc.date({ min: new Date('1970-01-01'), max: new Date('2255-01-01'), noInvalidDate: true }), (date) => {
      const days = daysFromCivil(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate());
      return days === Math.floor(date.getTime() / 86_400_000) && read(date.toISOString()) === date.getTime() * 1000;
    }),
  );
});

t.test('patterns', async (t) => {
  const utc = { zoneMinutes: 0 };
  for (const [format, text, us] of [
    ['dd/MM/yyyy HH:mm:ss', '21/11/2026 08:15:04', AT_US],
    ['M/d/yyyy h:mm:ss a', '11/21/2026 8:15:04 AM', AT_US],
    ['M/d/yyyy h:mm:ss a', '11/21/2026 8:15:04 pm', AT_US + 12 * 3600e6],
    ['yyyyMMddHHmmssS', '202611210815041234567', AT_US + 123_457],
    ["yyyyMMdd'T'HHmmss.SZ", '20261121T091504.25+01:00', AT_US + 250_000],
    ['d.M.yyyy', '21.11.2026', Date.UTC(2026, 10, 21) * 1000],
    ['yyyy-MM-dd HH:mm', ' 2026-11-21 08:15 ', AT_US - 4e6],
    ['dd/MM/yyyy HH:mm:ss', '21/11/2026 08:15', Number.NaN],
    ['dd/MM/yyyy HH:mm:ss', '31/11/2026 08:15:04', Number.NaN],
    ['dd/MM/yyyy HH:mm:ss', '21/11/2026 08:15:04 ', AT_US],
    ['M/d/yyyy h:mm a', '11/21/2026 13:15 AM', Number.NaN],
    ['d.M.yyyy', '21x11x2026', Number.NaN],
  ] as const) {
    t.strictSame(read(text, { format, ...utc }), us, `${format} ${text}`);
  }
  t.ok(Number.isNaN(read('21/11/2026', { format: 'dd/MM/yyyy' })), 'no zone');
  t.ok(Number.isNaN(read(21, { format: 'dd/MM/yyyy' })), 'no text');
  t.equal(timeFormatProblem('dd/MM/yyyy'), undefined);
  for (const format of ['dd/MM', 'dd/MM/yy', 'dd/dd/MM/yyyy', 'EEE dd/MM/yyyy'])
    t.ok(timeFormatProblem(format), format);
});
