/** Conformance: windows, their roll-ups, snapshots. */
import { type ConformanceCases, collect, DAY, recomputeAll, total, WHOLE_DAY } from './conformance-tools.js';
import { gather, recompute } from './gather.js';
import { batchOf, EPOCH_B, NOON, windowsOf } from './samples.js';
import { DAY_MS, type DueQuery, HOUR_MS, LEVELS, type Level, type Scope } from './store.js';

export const WINDOW_CASES: ConformanceCases = {
  'the highest revision wins, in any order, and an equal one changes nothing': async (t, { store }) => {
    const at = (revision: number, value: number) =>
      batchOf(windowsOf([{ timeMs: NOON, values: { c: value } }], 60_000, revision));
    t.same(await store.commit([at(2, 20)]), [{ windows: 1 }]);
    t.same(await store.commit([at(1, 10)]), [{ windows: 0 }]);
    t.same(await store.commit([at(2, 99)]), [{ windows: 0 }]);
    t.match(await store.read((snapshot) => total(snapshot, 'windows')), /"sum":20/);
    t.same(await store.commit([at(3, 30), at(2, 20), at(4, 40)]), [{ windows: 1 }, { windows: 0 }, { windows: 1 }]);
    t.match(await store.read((snapshot) => total(snapshot, 'windows')), /"readings":1.*"sum":40/);
  },

  'of one revision the one with more readings wins, in any order': async (t, { store }) => {
    const of = (count: number, revision: number) => {
      const readings = Array.from({ length: count }, (_, i) => ({ timeMs: NOON + i, values: { c: 1 } }));
      return batchOf(windowsOf(readings, 60_000, revision));
    };
    t.same(
      await store.commit([of(2, 5), of(3, 5), of(2, 5), of(9, 4)]),
      [1, 1, 0, 0].map((windows) => ({ windows })),
    );
    t.match(await store.read((snapshot) => total(snapshot, 'windows')), /"readings":3/);
  },

  'windows of other gateways, epochs, groups, devices, lengths and parts are other windows': async (t, { store }) => {
    const [window] = windowsOf([{ timeMs: NOON, values: { c: 1 } }]);
    const windows = [
      window!,
      { ...window!, group: 'hall' },
      { ...window!, device: 'd2' },
      { ...window!, lengthMs: 3_600_000 },
      { ...window!, part: 1 },
    ];
    const batches = [batchOf(windows), batchOf(windows, { epoch: EPOCH_B }), batchOf(windows, { gateway: 'gw2' })];
    t.same(await store.commit(batches), [{ windows: 5 }, { windows: 5 }, { windows: 5 }]);
    t.match(await store.read((snapshot) => total(snapshot, 'windows')), /"readings":15.*"count":15/);
    const devices = await store.read((snapshot) => snapshot.devices());
    t.equal(new Set(devices.map((device) => JSON.stringify(device))).size, 6);
    const hall = await store.read((snapshot) => total(snapshot, 'windows', { group: 'hall' }));
    t.match(hall, /"readings":3/);
    t.match(
      await store.read((snapshot) => total(snapshot, 'windows', { device: 'd1', gateway: 'gw2' })),
      /"readings":4/,
    );
    t.match(await store.read((snapshot) => total(snapshot, 'windows', { device: 'nobody' })), /"readings":0/);
  },

  'summaries come back bit-equal, and only the metrics asked for': async (t, { store }) => {
    const values = [0.1, -3e-5, 1 / 3, 12345.678, -0, 1e100];
    const windows = windowsOf(values.map((value, i) => ({ timeMs: NOON + i, values: { c: value, rh: 1, 'é"\n': 2 } })));
    await store.commit([batchOf(windows)]);
    await recomputeAll(store);
    await store.read(async (snapshot) => {
      const query = { span: WHOLE_DAY, where: {} };
      const all = await collect(snapshot.windows({ ...query, metrics: 'all' }));
      t.same(all[0]!.metrics, windows[0]!.metrics);
      const some = await collect(snapshot.rollUps(LEVELS[0], { ...query, metrics: new Set(['rh']) }));
      t.same([...some[0]!.metrics.keys()], ['rh']);
      const none = await collect(snapshot.rollUps(LEVELS[5], { ...query, metrics: 'none' }));
      t.equal(none[0]!.metrics.size, 0);
      t.equal(none[0]!.readings, 6);
    });
  },

  'a span holds what starts in it': async (t, { store }) => {
    const times = [NOON - 1, NOON, NOON + HOUR_MS - 1, NOON + HOUR_MS];
    await store.commit([batchOf(windowsOf(times.map((timeMs) => ({ timeMs, values: { c: 1 } }))))]);
    const span = { fromMs: NOON, toMs: NOON + HOUR_MS };
    const found = await store.read((s) => collect(s.windows({ span, where: {}, metrics: 'none' })));
    t.same(
      found.map(({ startMs }) => startMs - NOON),
      [0, HOUR_MS - 60_000],
    );
    const before = { timeMs: -1, values: { c: 1 } };
    await store.commit([batchOf(windowsOf([before]))]);
    const days = await store.read((snapshot) => snapshot.days({ fromMs: -8.64e15, toMs: 8.64e15 }));
    t.same(days, [-DAY_MS, DAY], 'days that have windows, before 1970 too');
    t.same(await store.read((snapshot) => snapshot.days({ fromMs: DAY, toMs: DAY + 1 })), [DAY]);
  },

  'every level says the same before, amid and after the roll-ups are computed': async (t, { store }) => {
    const readings = Array.from({ length: 60 }, (_, i) => ({
      timeMs: DAY + i * 1_400_000,
      device: `d${i % 3}`,
      group: i % 2 === 0 ? 'hall' : '',
      values: { c: i / 10, rh: -i },
    }));
    const commit = (part: typeof readings, gateway: string) => store.commit([batchOf(windowsOf(part), { gateway })]);
    await commit(readings.slice(0, 20), 'gw');
    await commit(readings.slice(20), 'gw2');
    const truth = await store.read((snapshot) => total(snapshot, 'windows'));
    const check = (when: string) =>
      store.read(async (snapshot) => {
        for (const level of LEVELS) {
          t.equal(await total(snapshot, level), truth, `${when}: ${level.scope} by ${level.resolution}`);
        }
      });
    await check('before');
    await recomputeAll(store);
    t.equal((await store.read((snapshot) => snapshot.books())).dirty, 0);
    await check('after');
    const [late] = windowsOf([{ timeMs: DAY + 5, device: 'd0', group: 'hall', values: { c: 7 } }]);
    await store.commit([batchOf([{ ...late!, revision: 9 }])]);
    const amended = await store.read((snapshot) => total(snapshot, 'windows'));
    t.not(amended, truth);
    await store.read(async (snapshot) => {
      for (const level of LEVELS)
        t.equal(await total(snapshot, level), amended, `amid: ${level.scope} ${level.resolution}`);
      for (const level of LEVELS) {
        const stale = await snapshot.dirty(level, WHOLE_DAY, {});
        t.equal(stale.length, 1, 'one change makes one roll-up of each level stale');
        t.equal(stale[0]!.startMs, DAY);
      }
    });
    const hall = await store.read((snapshot) => total(snapshot, LEVELS[2], { gateway: 'gw2', group: 'hall' }));
    t.equal(hall, await store.read((snapshot) => total(snapshot, 'windows', { gateway: 'gw2', group: 'hall' })));
  },

  'months: all their days, whatever is stale, with the longest window': async (t, { store }) => {
    const at = (day: number, lengthMs: number) =>
      windowsOf([{ timeMs: DAY + day * DAY_MS, group: 'hall', values: { c: day } }], lengthMs);
    await store.commit([
      batchOf([...at(-1, 60_000), ...at(0, 60_000), ...at(30, 900_000), ...at(31, DAY_MS)], {
        ledger: [{ group: 'hall', device: 'd1', dayMs: DAY + 3 * DAY_MS, readings: 7 }],
      }),
    ]);
    const july = { fromMs: DAY, toMs: DAY + 31 * DAY_MS };
    const where = { gateway: 'gw', group: 'hall' };
    const read = (scope: Scope) =>
      store.read(async (snapshot) => {
        const asked = { span: july, where: scope === 'all' ? {} : where, metrics: 'all' } as const;
        const portions = await collect(gather(snapshot, { scope, resolution: 'month' }, asked));
        return {
          readings: portions.reduce((sum, { readings }) => sum + readings, 0),
          counted: portions.reduce((sum, { counted }) => sum + counted, 0),
          longestMs: Math.max(...portions.map(({ longestMs }) => longestMs)),
          sum: portions.reduce((sum, { metrics }) => sum + Number(metrics.get('c')?.sums.sum ?? 0n), 0),
        };
      });
    const truth = { readings: 2, counted: 7, longestMs: 900_000, sum: 30 };
    for (const scope of ['device', 'group', 'all'] as const) t.same(await read(scope), truth, `${scope}, stale`);
    await recomputeAll(store);
    for (const scope of ['device', 'group', 'all'] as const) t.same(await read(scope), truth, `${scope}, computed`);
    await store.commit([batchOf(at(5, DAY_MS))]);
    const amended = { readings: 3, counted: 7, longestMs: DAY_MS, sum: 35 };
    for (const scope of ['device', 'group', 'all'] as const) t.same(await read(scope), amended, `${scope}, amended`);
  },

  'a change amid a recomputation leaves the roll-up stale': async (t, { store }) => {
    const put = (revision: number, value: number) =>
      store.commit([batchOf(windowsOf([{ timeMs: NOON, values: { c: value } }], 60_000, revision))]);
    await put(1, 1);
    const [stale] = await store.read((snapshot) => snapshot.due(LEVELS[0], { staleSinceMs: NOON, limit: 1 }));
    const early = await store.read((snapshot) => recompute(snapshot, stale!));
    await put(2, 2);
    await store.putRollUps([early]);
    t.equal((await store.read((snapshot) => snapshot.dirty(LEVELS[0], WHOLE_DAY, {}))).length, 1);
    t.match(await store.read((snapshot) => total(snapshot, LEVELS[0])), /"sum":2/);
    await recomputeAll(store);
    await store.putRollUps([early]);
    t.match(await store.read((snapshot) => total(snapshot, LEVELS[0])), /"sum":2/, 'an older one comes too late');
  },

  'what is due: out of date for long enough, and over or not': async (t, { store }) => {
    const change = (hour: number, part: number, receivedMs: number) => {
      const windows = windowsOf([{ timeMs: DAY + hour * HOUR_MS, values: { c: 1 } }], 60_000, 1, part);
      return store.commit([batchOf(windows, { receivedMs })]);
    };
    const due = async (level: Level, query: DueQuery) => {
      const stale = await store.read((snapshot) => snapshot.due(level, query));
      return stale.map(({ startMs }) => (startMs - DAY) / HOUR_MS).join(' ');
    };
    for (const [i, hour] of [3, 1, 2].entries()) await change(hour, 0, 100 + i);
    await change(3, 1, 200);
    const hours = LEVELS[0];
    const long = { staleSinceMs: 1000, limit: 100 };
    t.equal(
      await due(hours, long),
      '3 1 2',
      'the one that is stale for longest first; a further change does not matter',
    );
    t.equal(await due(hours, { ...long, limit: 2 }), '3 1');
    t.equal(await due(hours, { ...long, staleSinceMs: 101 }), '3 1');
    t.equal(await due(hours, { ...long, overByMs: DAY + 3 * HOUR_MS }), '1 2', 'those that are over, in their order');
    t.equal(await due(LEVELS[1], { ...long, overByMs: DAY + 3 * HOUR_MS }), '', 'the day is not over');
    t.equal(await due(LEVELS[1], long), '0');
    await recomputeAll(store);
    await change(3, 2, 300);
    t.equal(await due(hours, { ...long, staleSinceMs: 299 }), '', 'a change after it was computed begins anew');
    t.equal(await due(hours, { ...long, staleSinceMs: 300 }), '3');
  },

  'roll-ups of a few subjects are found among many': async (t, { store }) => {
    const readings = [];
    for (let d = 0; d < 40; d++) {
      for (let hour = d % 5; hour < 24; hour += 1 + (d % 7)) {
        readings.push({ device: `d${d}`, timeMs: DAY + hour * HOUR_MS, values: { c: d + hour / 100 } });
      }
    }
    await store.commit([batchOf(windowsOf(readings))]);
    await recomputeAll(store);
    for (const device of ['d0', 'd13', 'd35', 'd36', 'd37', 'd38', 'd39']) {
      const where = { gateway: 'gw', group: '', device };
      const truth = await store.read((snapshot) => total(snapshot, 'windows', where));
      t.equal(await store.read((snapshot) => total(snapshot, { scope: 'device', resolution: 'hour' }, where)), truth);
      t.equal(await store.read((snapshot) => total(snapshot, { scope: 'device', resolution: 'day' }, where)), truth);
    }
  },

  'a snapshot does not see what comes after it began, or at least nothing twice': async (t, { store, isIsolated }) => {
    await store.commit([batchOf(windowsOf([{ timeMs: NOON, values: { c: 1 } }]))]);
    await recomputeAll(store);
    await store.read(async (snapshot) => {
      const before = await total(snapshot, LEVELS[5]);
      const amended = windowsOf([{ timeMs: NOON, values: { c: 5 } }], 60_000, 2);
      await store.commit([batchOf(amended), batchOf(windowsOf([{ timeMs: NOON, device: 'd2', values: { new: 1 } }]))]);
      const during = await total(snapshot, LEVELS[5]);
      if (isIsolated) t.equal(during, before);
      else t.match(during, /"readings":[12],.*"count":1,"sum":[15]/);
    });
    t.match(await store.read((snapshot) => total(snapshot, LEVELS[5])), /"readings":2/);
  },
};
