import t from 'tap';
import { balanceOf, type Heard, tallyOf } from './upstream.js';

const heard = (counts: Record<string, number>, again = 0): Heard => ({ counts, again, bytes: 0 });
const NOTHING = { made: {}, heard: heard({}) };

t.test('what peers tell is counted by device', async (t) => {
  const told = (...[upstream, ...messages]: [Parameters<typeof tallyOf>[0], ...[string, string][]]) => {
    const tally = tallyOf(upstream);
    for (const [topic, payload] of messages) tally.take(topic, Buffer.from(payload));
    return tally.told();
  };
  const raw = 'plant/z/s1/telemetry';
  t.strictSame(told('raw', [raw, '{"ts":1}'], [raw, '{"ts":2}'], [raw, '{"ts":2}']), { counts: { s1: 3 }, again: 1 });
  const nodeRed = '{"device":"s1","start":0,"temperature":{"n":60}}';
  t.strictSame(told('summary', ['summary/s1', nodeRed], ['summary/s1', nodeRed]).counts, { s1: 120 });
  const num = 'summary/s1/aggregation-room-num/gauge-co2';
  const average = 'summary/s1/aggregation-room-average/gauge-co2';
  t.strictSame(told('collectd', [num, '1.5:60\0'], [average, '1.5:620\0']).counts, { s1: 12 });
  const metric = '{"tags":{"device":"s1"},"fields":{"temperature_count":60,"co2_count":60}}';
  t.strictSame(told('telegraf', ['summary', metric], ['summary', `{"metrics":[${metric}]}`]).counts, { s1: 120 });
  const row = '{"device":"s1","n":60}';
  t.strictSame(told('ekuiper', ['summary', row], ['summary', `[${row}]`]).counts, { s1: 120 });
});

t.test('missing and doubled are told apart by device, since the last look', async (t) => {
  const first = { made: { a: 10, b: 10 }, heard: heard({ a: 8, b: 11 }) };
  t.strictSame(balanceOf(NOTHING, first), { made: 20, missing: 2, doubled: 1 });
  const second = { made: { a: 20, b: 20 }, heard: heard({ a: 18, b: 21 }) };
  t.strictSame(balanceOf(first, second), { made: 20, missing: 0, doubled: 0 });
  const hidden = { made: { a: 10 }, heard: heard({ a: 10 }, 3) };
  t.strictSame(balanceOf(NOTHING, hidden), { made: 10, missing: 3, doubled: 3 }, 'three came twice, three never');
});
