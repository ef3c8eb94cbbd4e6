/**
 * The agent as a component of AWS IoT Greengrass: configuration from the nucleus, readiness to the nucleus, the database in the
 * working directory that the nucleus gives.
 *
 * Promises: a change of the configuration restarts the agent within this process, with all committed; one that is wrong is said and
 * not taken. Never ends for a fault that may pass (Nucleus Lite starts a component three times an hour); a first configuration that
 * is wrong does end it, so that the deployment fails.
 */
import type { Logger } from 'pino';
import type { Environment } from '../../shared/config-env.js';
import { runAgents } from '../run.js';
import { serviceManager } from '../systemd.js';
import { ComponentConfigs } from './component-configs.js';
import { nucleusAddress } from './nucleus.js';
import { NucleusSession } from './session.js';

/** Returns the exit code. */
export async function runComponent(env: Environment, log: Logger): Promise<number> {
  const configs = new ComponentConfigs(env, log);
  const session = new NucleusSession(nucleusAddress(env), configs, () => performance.now(), log);
  session.start();
  try {
    await configs.first;
    const systemd = serviceManager(env, log); // Nucleus Lite runs a component as a unit of systemd
    const manager = {
      ready: (status: string) => {
        systemd.ready(status);
        session.running();
      },
      stopping: () => systemd.stopping(),
    };
    return await runAgents(configs, manager, log);
  } finally {
    await session.stop();
  }
}
