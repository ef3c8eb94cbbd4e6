/** The function `provisioning-hook`: may this gateway have a certificate? See ../provisioning-hook.ts. */
import { readVariables } from '../environment.js';
import { functionLog, lambda } from '../function.js';
import { functionMetrics } from '../open.js';
import { provisioningHook } from '../provisioning-hook.js';
import { openSerials } from '../serials.js';

export const handler = lambda(() => {
  const { EDGETALLY_SERIALS } = readVariables(['EDGETALLY_SERIALS'], process.env);
  return provisioningHook({
    serials: openSerials(EDGETALLY_SERIALS),
    log: functionLog(),
    now: Date.now,
    count: functionMetrics('provisioning-hook'),
  });
});
