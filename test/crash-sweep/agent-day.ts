/** One day of a gateway: `node agent-day.js <dir>`. Ends with 0, or with 3 and a `stop` line when it gave up in words. */
import { writeSync } from 'node:fs';
import { EdgetallyError } from '../../shared/errors.js';
import { STEPS } from './agent-script.js';
import { Gateway } from './gateway.js';

const say = (line: string) => writeSync(1, `${line}\n`);

try {
  const gateway = new Gateway(process.argv[2]!, say);
  await gateway.open();
  for (const step of STEPS) await gateway.step(step);
  await gateway.settle();
  await gateway.close();
  say('end');
} catch (error) {
  if (!(error instanceof EdgetallyError)) throw error;
  say(`stop ${error.code}: ${error.message}`);
  process.exitCode = 3;
}
