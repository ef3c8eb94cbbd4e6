import fc from 'fast-check';
import t from 'tap';
import { FLEETS, fleetNamed } from './fleets.js';
import { randomOf } from './random.js';
import { messageAt, type SchedulePlan, schedule } from './schedule.js';

const NOON_MS = Date.UTC(2026, 10, 21, 12);

function planWith(changes: Partial<SchedulePlan> = {}): SchedulePlan {
  return {
    seed: 7,
    fleets: FLEETS,
    devices: 8,
    count: 2000,
    startMs: NOON_MS,
    stepMs: 500,
    lateShare: 0.2,
    latePlaces: 300,
    duplicateShare: 0.1,
    ...changes,
  };
}

t.test('every message is in the list, whatever the disorder', async (t) => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const plans = fc.record({
    seed: fc.integer(),
    count: fc.integer({ min: 0, max: 300 }),
    latePlaces: fc.integer({ min: 0, max: 400 }),
    lateShare: share,
    duplicateShare: share,
  });
  fc.assert(
    fc.property(plans, (changes) => {
      const plan = planWith(changes);
      const list = [...schedule(plan)];
      const distinct = list.filter((outgoing) => outgoing.kind !== 'duplicate');
      const indexes = distinct.map((outgoing) => outgoing.index).sort((a, b) => a - b);
      const places = list.map((outgoing) => outgoing.place);
      for (const outgoing of list) {
        const { topic, payload } = messageAt(plan, outgoing.index);
        if (outgoing.topic !== topic || outgoing.payload !== payload) return false;
        if (outgoing.place - outgoing.index > 2 * Math.max(plan.latePlaces, 500)) return false;
      }
      const repeated = new Set(list.filter((each) => each.kind === 'duplicate').map((each) => each.index));
      return (
        indexes.length === plan.count &&
        indexes.every((index, position) => index === position) &&
        places.every((place, position) => position === 0 || place >= (places[position - 1] ?? 0)) &&
        list.every((outgoing) => outgoing.isRepeated === repeated.has(outgoing.index))
      );
    }),
  );
  t.pass('held');
});

t.test('shares are about what was asked, and none is none', async (t) => {
  const list = [...schedule(planWith())];
  const late = list.filter((outgoing) => outgoing.kind === 'late').length;
  const duplicates = list.filter((outgoing) => outgoing.kind === 'duplicate').length;
  t.ok(late > 320 && late < 480, `${late} of 2000 late`);
  t.ok(duplicates > 150 && duplicates < 250, `${duplicates} of 2000 twice`);
  const orderly = [...schedule(planWith({ lateShare: 0, duplicateShare: 0 }))];
  t.equal(orderly.length, 2000);
  t.ok(orderly.every((outgoing, position) => outgoing.index === position));
});

t.test('the same seed gives the same bytes, another seed others', async (t) => {
  const bytes = (seed: number): string => JSON.stringify([...schedule(planWith({ seed, count: 200 }))]);
  t.equal(bytes(1), bytes(1));
  t.not(bytes(1), bytes(2));
});

t.test('an endless schedule is lazy', async (t) => {
  const endless = schedule(planWith({ count: Number.POSITIVE_INFINITY }));
  for (let taken = 0; taken < 1000; taken++) t.equal(endless.next().done, false);
});

t.test('messages have the shape of their sensors', async (t) => {
  const plan = planWith({ stepMs: 100 });
  const [traffic, energy, flow] = [0, 1, 2].map((index) => messageAt(plan, index));
  t.match(traffic?.topic, /^traffic\/downtown\/S-001$/);
  t.match(
    traffic?.payload,
    /^\{"sensor_id":"S-001","zone_id":"downtown","timestamp":"2026-11-21T12:00:00.000Z","vehicle_count":\d+,"avg_speed":\d+\.\d,"congestion_index":\d+\.\d\}$/,
  );
  t.match(
    energy?.payload,
    /^\{"device_id":"apt001","energy_consumption":-?\d\.\d{3},"voltage":2\d\d\.\d,"timestamp":1795262400\}$/,
  );
  t.match(flow?.topic, /^flows\/probe-core$/);
  const parsed = JSON.parse(flow?.payload ?? '') as Record<string, unknown>;
  t.match(parsed, { record_id: /^probe-core-0-00000$/, SrcIP: /^10\./, DstIP: /^192\.168\./, 'Flow Duration': Number });
});

t.test('no two readings of a device share an identity', async (t) => {
  for (const stepMs of [0.5, 41.7, 42, 600]) {
    const plan = planWith({ stepMs, count: 3000 });
    const identities = new Set<string>();
    for (let index = 0; index < plan.count; index++) {
      const { topic, payload } = messageAt(plan, index);
      const body = JSON.parse(payload) as Record<string, unknown>;
      identities.add(`${topic} ${body.record_id ?? body.timestamp}`);
    }
    t.equal(identities.size, plan.count, `step ${stepMs}`);
  }
});

t.test('values follow the day, and panels feed in at noon', async (t) => {
  const meanAt = (fleet: string, field: string, hour: number, devices: readonly number[]): number => {
    let sum = 0;
    for (let round = 0; round < 200; round++) {
      const timeMs = Date.UTC(2026, 10, 21, hour);
      const device = devices[round % devices.length] ?? 0;
      const sensor = fleetNamed(fleet);
      const { payload } = sensor!.message({ seed: 3, device, round, timeMs, subSecond: false });
      sum += (JSON.parse(payload) as Record<string, number>)[field] ?? Number.NaN;
    }
    return sum / 200;
  };
  t.ok(meanAt('traffic', 'vehicle_count', 8, [0, 1]) > 5 * meanAt('traffic', 'vehicle_count', 2, [0, 1]));
  t.ok(meanAt('traffic', 'avg_speed', 8, [0, 1]) < meanAt('traffic', 'avg_speed', 2, [0, 1]));
  t.ok(meanAt('energy', 'energy_consumption', 12, [3]) < 0, 'a home with panels');
  t.ok(meanAt('energy', 'energy_consumption', 12, [0]) > 0, 'a home without');
});

t.test('random numbers depend on their path alone', async (t) => {
  const first = randomOf(1, 2, 3);
  const second = randomOf(1, 2, 3);
  t.same([first(), first()], [second(), second()]);
  const heads = new Set(Array.from({ length: 1000 }, (_, index) => randomOf(1, index)()));
  t.ok(heads.size > 990, 'neighbouring paths differ');
  const values = Array.from({ length: 10_000 }, (_, index) => randomOf(9, index)());
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  t.ok(Math.abs(mean - 0.5) < 0.02, `mean ${mean}`);
  t.ok(values.every((value) => value >= 0 && value < 1));
});
