/** By a schedule: see ../recompute.ts. */
import { readVariables } from '../environment.js';
import { functionLog, lambda } from '../function.js';
import { functionMetrics, openTable } from '../open.js';
import { recompute } from '../recompute.js';

export const handler = lambda(() => {
  const env = readVariables(['EDGETALLY_TABLE'], process.env);
  return recompute({
    store: openTable(env.EDGETALLY_TABLE, 0),
    writeMetrics: functionMetrics('roll-up'),
    log: functionLog(),
    now: Date.now,
  });
});
