import fc from 'fast-check';
import t from 'tap';
import { Oracle, type OracleRow } from './oracle.js';
import { compare } from './oracle-compare.js';
import { parseDecimal, quotient, squareRoot } from './oracle-decimal.js';

function energy(device: string, timestamp: string, consumption: string, voltage = '230.0'): string {
  const payload = `{"device_id":"${device}","energy_consumption":${consumption},"voltage":${voltage},"timestamp":${timestamp}}`;
  return JSON.stringify({ topic: `energy/${device}`, payload });
}

function oracleOf(...lines: string[]): Oracle {
  const oracle = new Oracle();
  for (const line of lines) oracle.add(line);
  return oracle;
}

function rowOf(oracle: Oracle, metric: string): OracleRow | undefined {
  return oracle.rows(['device']).find((row) => row.metric === metric);
}

t.test('quotients and roots are the nearest doubles', async (t) => {
  t.equal(quotient(1n, 3n, 0), 1 / 3);
  t.equal(quotient(-2n, 3n, 0), -2 / 3);
  t.equal(quotient(0n, 3n, 5), 0);
  t.equal(quotient(1n, 1n, 400), 0);
  t.equal(quotient(9007199254740993n, 1n, 0), 9007199254740992, 'a tie goes to the even one');
  t.equal(quotient(9007199254740993n * 10n ** 80n + 1n, 10n ** 80n, 0), 9007199254740994, 'just above it does not');
  t.equal(squareRoot(2n, 1n, 0), Math.SQRT2);
  t.equal(squareRoot(1n, 4n, 0), 0.5);
  t.equal(squareRoot(0n, 7n, 0), 0);
  const whole = fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n });
  const above = fc.bigInt({ min: 1n, max: 2n ** 53n });
  // Both sides are exact doubles, so IEEE division is correctly rounded and must agree.
  fc.assert(fc.property(whole, above, (a, b) => quotient(a, b, 0) === Number(a) / Number(b) + 0));
  fc.assert(fc.property(above, (a) => squareRoot(a, 1n, 0) === Math.sqrt(Number(a))));
  fc.assert(fc.property(above, (a) => squareRoot(a * a, 1n, 0) === Number(a)));
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const { digits, scale } = parseDecimal(String(value));
      return quotient(digits, 1n, scale) === value + 0;
    }),
  );
});

t.test('statistics of a few values, worked out by hand', async (t) => {
  const values = ['2.0', '4.50', '-1', '4.5', '1e1'];
  const oracle = oracleOf(...values.map((value, index) => energy('a', `170000000${index}.250`, value)));
  t.same(rowOf(oracle, 'energy_consumption'), {
    device: 'a',
    metric: 'energy_consumption',
    count: 5,
    sum: 20,
    mean: 4,
    stddev: 4.046603514059662, // √16.375
    min: -1,
    max: 10,
    p50: 4.5,
    p95: 4.5, // rank ⌊0.95 · 4⌋ = 3
    p99: 4.5,
    first: 2,
    first_time: '2023-11-14T22:13:20.250Z',
    last: 10,
    last_time: '2023-11-14T22:13:24.250Z',
  });
  t.equal(rowOf(oracle, 'voltage')?.stddev, 0);
  t.equal(rowOf(oracleOf(energy('a', '1', '1')), 'voltage')?.stddev, null);
});

t.test('a sum that doubles get wrong', async (t) => {
  const oracle = oracleOf(
    ...['0.1', '0.2', '10000000000000000', '-10000000000000000'].map((v, i) => energy('a', `${i}`, v)),
  );
  t.equal(rowOf(oracle, 'energy_consumption')?.sum, 0.3);
});

t.test('repeated readings count once, by their identity', async (t) => {
  const flow = (id: string, time: number, duration: number): string =>
    JSON.stringify({
      topic: 'flows/p1',
      payload: `{"record_id":"${id}","SrcIP":"10.0.0.1","DstIP":"10.0.0.2","Timestamp":${time},"Flow Duration":${duration},"Tot Fwd Pkts":1,"Tot Bwd Pkts":2,"Flow Byts/s":0.1}`,
    });
  const traffic = (time: string): string =>
    JSON.stringify({
      topic: 'traffic/z/S-1',
      payload: `{"sensor_id":"S-1","zone_id":"z","timestamp":"${time}","vehicle_count":3,"avg_speed":30.0,"congestion_index":1.5}`,
    });
  const oracle = oracleOf(
    ...[flow('a', 5, 10), flow('b', 5, 20), flow('a', 5, 10)],
    ...[energy('h', '7', '1'), energy('h', '8', '1'), energy('h', '7', '1')],
    ...[traffic('2026-01-01T00:00:00.000Z'), traffic('2026-01-01T00:00:00.000Z')],
  );
  t.equal(oracle.messages, 8);
  const counts = Object.fromEntries(
    oracle.rows(['group', 'device']).map((row) => [`${row.group}/${row.device}/${row.metric}`, row.count]),
  );
  t.match(counts, {
    'p1/10.0.0.1:10.0.0.2/Flow Duration': 2,
    'homes/h/voltage': 2,
    'z/S-1/avg_speed': 1,
  });
  t.equal(oracle.rows([]).length, 9, 'without keys, one row a metric');
  t.throws(() => oracle.add(JSON.stringify({ topic: 'elsewhere', payload: '{}' })), { message: /elsewhere/ });
});

t.test('a changed digit is found, wherever it is', async (t) => {
  const lines = Array.from({ length: 200 }, (_, i) =>
    energy(`h${i % 3}`, `${i}`, ((i * 37) % 101).toFixed(3), `23${i % 10}.${i % 7}`),
  );
  const rows = oracleOf(...lines).rows(['device']);
  const reportOf = (changed: readonly object[]): string => JSON.stringify({ rows: changed });
  t.same(compare(reportOf(rows), rows, ['device']), { compared: rows.length * 13, differences: [] });

  for (const column of [
    'count',
    'sum',
    'mean',
    'stddev',
    'min',
    'max',
    'first',
    'last',
    'first_time',
    'last_time',
  ] as const) {
    const changed = rows.map((row, i) => (i === 4 ? { ...row, [column]: lastDigitChanged(row[column]) } : row));
    const { differences } = compare(reportOf(changed), rows, ['device']);
    t.equal(differences.length, 1, column);
    t.match(differences[0], new RegExp(`^h\\d / \\w+: ${column} is .*, a batch computation says `));
  }
  for (const column of ['p50', 'p95', 'p99'] as const) {
    const withFactor = (factor: number): string =>
      reportOf(rows.map((row, i) => (i === 2 ? { ...row, [column]: row[column] * factor } : row)));
    t.equal(compare(withFactor(1.0099), rows, ['device']).differences.length, 0);
    t.equal(compare(withFactor(1.0101), rows, ['device']).differences.length, 1);
    t.equal(
      compare(reportOf(rows.map((row) => ({ ...row, [column]: null }))), rows, ['device']).differences.length,
      rows.length,
    );
  }
});

t.test('rows that are missing, too many or doubled are found', async (t) => {
  const rows = oracleOf(energy('a', '1', '1'), energy('b', '1', '1')).rows(['device']);
  const differences = (given: readonly object[]): readonly string[] =>
    compare(JSON.stringify({ rows: given }), rows, ['device']).differences;
  t.match(differences(rows.slice(1)), [/not in the report/]);
  t.match(differences([...rows, { ...rows[0], device: 'c' }]), [/^c .*in no raw message/]);
  t.match(differences([...rows, rows[0]!]), [/twice/]);
  t.equal(differences([]).length, rows.length);
});

/** The double next to it, or the text with another last digit. */
function lastDigitChanged(value: number | string | null): number | string {
  if (typeof value === 'string') return value.replace(/\dZ$/, (end) => (end === '0Z' ? '1Z' : '0Z'));
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value ?? 0);
  bits.setBigUint64(0, bits.getBigUint64(0) + 1n);
  return bits.getFloat64(0);
}
