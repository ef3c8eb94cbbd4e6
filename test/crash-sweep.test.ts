/**
 * Killed, and failed by the disk, at every k-th fsync, write and so on of a scripted day: nothing acknowledged is missing,
 * nothing counts twice, the books balance, a revision is never two things. `npm test` tries every twelfth point of each kind,
 * `npm run torture:sweep` all of them.
 */
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { checkAgent } from './crash-sweep/agent-check.js';
import { checkCloud } from './crash-sweep/cloud-check.js';
import { PRLIMIT, STRACE } from './crash-sweep/faults.js';
import { type Day, sweep, table } from './crash-sweep/sweep.js';
import { needs } from './needs.js';

t.setTimeout(900_000);

const EVERY = process.env.EDGETALLY_SWEEP === 'all' ? 1 : 12;

function program(name: string): string {
  return fileURLToPath(new URL(`./crash-sweep/${name}.js`, import.meta.url));
}

async function sweepDay(t: Test, day: Day): Promise<void> {
  if (!needs(t, STRACE, 'strace') || !needs(t, PRLIMIT, 'prlimit')) return;
  const startMs = performance.now();
  const rows = await sweep(day, EVERY);
  for (const line of table(day, rows)) t.comment(line);
  t.comment(`${Math.round((performance.now() - startMs) / 1000)} s`);
  for (const { kind, points, wrong } of rows) t.strictSame(wrong.slice(0, 10), [], `${kind}: ${points} points`);
}

t.test('a day of the gateway', { timeout: 600_000 }, (t) =>
  sweepDay(t, { name: 'gateway', program: program('agent-day'), check: checkAgent }),
);

t.test('a day of the cloud', { timeout: 600_000 }, (t) =>
  sweepDay(t, { name: 'cloud', program: program('cloud-day'), check: checkCloud }),
);
