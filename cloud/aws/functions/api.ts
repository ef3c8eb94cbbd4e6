/** Behind a function URL or an HTTP API, which let nobody through whom they do not know: see ../http.ts. */
import { readVariables } from '../environment.js';
import { functionLog, lambda } from '../function.js';
import { http } from '../http.js';
import { openTable } from '../open.js';

export const handler = lambda(() => {
  const env = readVariables(['EDGETALLY_TABLE'], process.env);
  return http({ store: openTable(env.EDGETALLY_TABLE, 0), log: functionLog(), now: Date.now });
});
