import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { plainLine, reportTable, Screen, screenLines, type View } from './screen.js';

const VIEW: View = {
  phase: 'the link is cut; sensors go on',
  elapsedMs: 12_345,
  link: 'cut',
  devices: 75,
  sensors: { messages: 5101, late: 700, duplicates: 208, unacknowledged: 12 },
  gateway: {
    ...{ in: 5309, counted: 5101, duplicate: 208, rejected: 0, held: 0 },
    ...{ openWindows: 40, backlogWindows: 130, backlogBytes: 22_400 },
    ...{ uplink: 'down', receipted: 224, sent: 41, sentAgain: 2 },
  },
  cloud: { batches: 39 },
};

t.test('what is known is shown', async (t) => {
  t.same(screenLines(VIEW), [
    ' 12 s  the link is cut; sensors go on',
    '  sensors  5,101 readings of 75 devices, 700 of them late, 208 sent twice, 12 without PUBACK',
    '  gateway  5,309 in = 5,101 counted + 208 duplicate + 0 rejected + 0 held',
    '  backlog  130 windows (22 kB), 40 still open',
    '  link     CUT, the gateway finds it down',
    '  cloud    39 batches committed of 41 sent (2 again), receipts for 224 windows',
  ]);
  t.equal(
    plainLine(VIEW),
    '12 s the link is cut; sensors go on | link cut | sent 5,101 (+208 twice) | gateway in 5,309, counted 5,101, ' +
      'duplicate 208 | backlog 130 | receipts 224 | cloud batches 39',
  );
  const early: View = { phase: 'starting', elapsedMs: 0, link: 'up', devices: 75 };
  t.equal(plainLine(early), '0 s starting | link up');
  t.equal(screenLines(early).length, screenLines(VIEW).length, 'so that redrawing covers all lines');
});

t.test('a terminal is redrawn in place, within its width', async (t) => {
  const written: string[] = [];
  const screen = new Screen({ isTTY: true, columns: 40, write: (text) => written.push(text) }, () => VIEW);
  screen.start();
  screen.stop();
  screen.stop();
  t.equal(written.length, 2);
  t.notMatch(written[0], /\[6A/);
  t.ok(written[1]?.startsWith('\u001b[6A'), 'back to the first line');
  for (const line of written[1]?.split('\n').slice(1, -1) ?? []) t.ok(line.length <= 39 + '\r\u001b[2K'.length);
});

t.test('elsewhere a line is written when there is news', async (t) => {
  const written: string[] = [];
  let view: View = { ...VIEW, elapsedMs: 0 };
  const screen = new Screen({ write: (text) => written.push(text) }, () => view);
  t.teardown(() => screen.stop());
  screen.start();
  await sleep(600);
  t.equal(written.length, 1);
  view = { ...VIEW, elapsedMs: 1000, phase: 'another' };
  await sleep(400);
  t.equal(written.length, 2, 'another phase');
  view = { ...view, elapsedMs: 4100 };
  await sleep(400);
  t.equal(written.length, 3, 'some time later');
});

t.test('the report as a table of one screen', async (t) => {
  const rows = [
    {
      group: 'homes',
      metric: 'voltage',
      count: 6000,
      mean: 229.86123,
      stddev: 2.1825,
      p50: 229.78,
      p95: 234.2,
      max: 234,
    },
    { group: 'p', metric: 'one', count: 1, mean: 1234.5678, stddev: null, p50: -5, p95: 0.00012345678, max: 1e21 },
  ];
  t.equal(
    reportTable(JSON.stringify({ rows }), ['group']),
    [
      'group  metric   count     mean  stddev     p50         p95                            max',
      'homes  voltage  6,000   229.86  2.1825  229.78       234.2                            234',
      'p      one          1  1,234.6              -5  0.00012346  1,000,000,000,000,000,000,000',
    ].join('\n'),
  );
});
