/** One day of the cloud: `node cloud-day.js <dir>`. Ends with 0, or with 3 and a `stop` line when it gave up in words. */
import { writeSync } from 'node:fs';
import { EdgetallyError } from '../../shared/errors.js';
import { CLOUD_STEPS } from './cloud-script.js';
import { CloudDay } from './store-day.js';

const say = (line: string) => writeSync(1, `${line}\n`);

try {
  const day = new CloudDay(process.argv[2]!, say);
  await day.open();
  for (const step of CLOUD_STEPS) await day.step(step);
  await day.close();
  say('end');
} catch (error) {
  if (!(error instanceof EdgetallyError)) throw error;
  say(`stop ${error.code}: ${error.message}`);
  process.exitCode = 3;
}
