import t from 'tap';
import { bootTimes, dated } from './dating.js';

const shape = { windowMs: 60_000, latenessMs: 0, metrics: [1], lane: '', undated: true };

t.test('readings of the boot that runs get the very time at which they came', async (t) => {
  const times = bootTimes([{ bootId: 'b', lastUs: 9 }], 'b', 1_000_000);
  t.strictSame([...times], [['b', { offsetMs: 1_000_000, isEstimate: false }]]);
  const reading = { device: 1, shape, timeUs: 1_234, recordId: undefined, values: [1] };
  t.equal(dated(reading, 1_000_000).timeUs, 1_000_001_234);
});

t.test('boots that ended before are dated backwards, each as ending when the next one began', async (t) => {
  const boots = [
    { bootId: 'a', lastUs: 3_000_000 },
    { bootId: 'b', lastUs: 5_000_000 },
    { bootId: 'c', lastUs: 7_000_000 },
  ];
  t.strictSame(Object.fromEntries(bootTimes(boots, 'c', 100_000)), {
    c: { offsetMs: 100_000, isEstimate: false },
    b: { offsetMs: 95_000, isEstimate: true },
    a: { offsetMs: 92_000, isEstimate: true },
  });
  t.strictSame(bootTimes(boots.slice(0, 1), 'z', 100_000).get('a'), { offsetMs: 97_000, isEstimate: true });
});
