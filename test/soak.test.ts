/**
 * The soak in half a minute: real processes, killed and cut off and starved while sensors publish, and a balance sheet at the
 * end that agrees with a batch computation. `npm run torture -- --minutes 30` is the long form.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import { setting } from './dice.js';
import { MOSQUITTO } from './mosquitto.js';
import { planOf } from './soak/plan.js';
import { soak } from './soak/soak.js';
import { Stage } from './soak/stage.js';

t.test('everything at once, and the books balance', { timeout: 300_000 }, async (t) => {
  const seed = setting('TORTURE_SEED', Math.floor(Math.random() * 2 ** 31));
  t.comment(`TORTURE_SEED=${seed} plays it again`);
  const stage = await Stage.make(
    planOf({ seed, minutes: 0.3, rate: 600, devices: 60, clock: false }, existsSync(MOSQUITTO)),
  );
  t.teardown(() => stage.stop());
  const { lines, wrong } = await soak(stage, () => undefined);
  for (const line of lines) t.comment(line);
  t.strictSame(wrong.slice(0, 10), []);
});
