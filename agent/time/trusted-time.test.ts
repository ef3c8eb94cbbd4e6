import fc from 'fast-check';
import t from 'tap';
import { RELEASED_MS } from '../../shared/version.js';
import type { Evidence } from './clock-evidence.js';
import { newestTime, observe, type Trust, type TrustRules } from './trusted-time.js';

const MINUTE = 60_000;
const DAY = 86_400_000;
const NOW = RELEASED_MS + 100 * DAY;
const rules: TrustRules = { trust: 'auto', settleMs: MINUTE, releasedMs: RELEASED_MS, newestMs: NOW - DAY };

/** Looks one after the other: [wall, monotonic, evidence]. */
function look(looks: readonly [number, number, Evidence?][], over: Partial<TrustRules> = {}): Trust {
  let trust: Trust | undefined;
  for (const [wallMs, monotonicMs, evidence = 'unknown'] of looks) {
    trust = observe(trust, { wallMs, monotonicMs, evidence: () => evidence }, { ...rules, ...over });
  }
  return trust!;
}

t.test('which clock is believed at the start', async (t) => {
  t.equal(
    look([[NOW, 5]]).doubt,
    undefined,
    'a laptop, a container: nobody can be asked, and nothing speaks against it',
  );
  t.equal(look([[0, 5]]).doubt, 'before-release', '1970');
  t.equal(look([[0, 5, 'synchronized']]).doubt, 'before-release');
  t.equal(look([[NOW - 3 * DAY, 5]]).doubt, 'went-back', 'the machine was switched off, and its clock with it');
  t.equal(look([[NOW - DAY - 1_000, 5]]).doubt, undefined, 'a time service set it back a little');
  t.equal(look([[NOW, 5, 'unsynchronized']]).doubt, 'not-synchronized');
  t.equal(look([[NOW - 3 * DAY, 5, 'synchronized']]).doubt, undefined, 'the newest time was a mistake');
  t.equal(look([[NOW, 5]], { trust: 'synchronized' }).doubt, 'not-synchronized');
  t.equal(look([[NOW, 5, 'synchronized']], { trust: 'synchronized' }).doubt, undefined);
  t.equal(look([[0, 5, 'unsynchronized']], { trust: 'always' }).doubt, undefined);
});

t.test('a clock that is set is believed once it stands, or is said to be right', async (t) => {
  const start: [number, number] = [0, 5];
  t.equal(look([start, [NOW, 1_005]]).doubt, 'just-set');
  t.equal(look([start, [NOW, 1_005], [NOW + MINUTE - 1, 1_005 + MINUTE - 1]]).doubt, 'just-set');
  t.equal(look([start, [NOW, 1_005], [NOW + MINUTE, 1_005 + MINUTE]]).doubt, undefined);
  t.equal(look([start, [NOW, 1_005, 'synchronized']]).doubt, undefined);
  t.equal(look([start, [NOW, 1_005]], { settleMs: 0 }).doubt, undefined);
  const jumped = look([[NOW, 5], [NOW + DAY, 6]]); // biome-ignore format: one line
  t.equal(jumped.doubt, 'just-set', 'also where it was believed before');
  const back = look([[NOW, 5], [NOW + DAY, 6], [NOW + 2, 7], [NOW + 2 + MINUTE, 7 + MINUTE]]); // biome-ignore format: one line
  t.match(back, { doubt: undefined, offsetMs: NOW - 5 });
});

t.test('a clock that is believed stays so, and drift is followed', async (t) => {
  const asked: string[] = [];
  const evidence = () => {
    asked.push('asked');
    return 'unsynchronized' as const;
  };
  let trust = look([[NOW, 0]]);
  for (let i = 1; i <= 1_000; i++) {
    // 500 ppm for nearly three hours
    trust = observe(trust, { wallMs: NOW + i * 10_005, monotonicMs: i * 10_000, evidence }, rules);
    t.ok(Math.abs(trust.offsetMs - (NOW + i * 5)) <= 20);
  }
  t.equal(trust.doubt, undefined);
  t.strictSame(asked, []);
});

t.test('the offset is the one of the clocks wherever they are believed', async () => {
  const move = fc.record({
    passMs: fc.nat(2 * MINUTE),
    // how far the clock is off after it
    errorMs: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fc.integer({ min: -DAY, max: DAY })),
    evidence: fc.constantFrom<Evidence>('unknown', 'unknown', 'synchronized', 'unsynchronized'),
  });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 50 }), (moves) => {
      let trust: Trust | undefined;
      let monotonicMs = 5_000;
      let errorMs = 0;
      for (const each of moves) {
        monotonicMs += each.passMs;
        errorMs = each.errorMs ?? errorMs;
        const wallMs = NOW + monotonicMs + errorMs;
        trust = observe(trust, { wallMs, monotonicMs, evidence: () => each.evidence }, rules);
        if (trust.doubt !== undefined) continue;
        if (Math.abs(trust.offsetMs - (wallMs - monotonicMs)) > 20) return false;
        if (each.evidence === 'unknown' && wallMs < rules.newestMs - MINUTE) return false;
      }
      return true;
    }),
  );
});

t.test(
  'the newest time is taken down of a clock that stands, and only grows unless a time service says otherwise',
  async (t) => {
    const standing = look([[NOW, 0]]);
    t.equal(newestTime(standing, 5 * MINUTE, 1), undefined);
    t.equal(newestTime(standing, 11 * MINUTE, 1), NOW + 11 * MINUTE);
    t.equal(newestTime(standing, 11 * MINUTE, NOW + DAY), NOW + DAY);
    t.equal(newestTime(look([[NOW, 0, 'synchronized']]), 11 * MINUTE, NOW + DAY), NOW + 11 * MINUTE);
    t.equal(newestTime(look([[0, 0]]), 11 * MINUTE, 1), undefined);
  },
);
