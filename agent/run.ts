/**
 * Runs an agent until it is stopped: one after the other on the same data, where the configuration changes, or the database
 * turns out to be damaged. Supervisors do not start a process often, so only what a new process may help with ends this one.
 */
import type { Logger } from 'pino';
import { EdgetallyError } from '../shared/errors.js';
import { VERSION } from '../shared/version.js';
import { Agent, databasePath } from './agent.js';
import type { AgentConfig } from './config.js';
import { keepHeapSmall } from './heap.js';
import type { ServiceManager } from './systemd.js';

/** Where the configuration comes from. */
export interface ConfigSource {
  /** The newest one that is valid. */
  readonly config: AgentConfig;
  /** Resolves when there is another. */
  changed(): Promise<void>;
  /** Resolves where only a new process may help. */
  readonly gaveUp: Promise<void>;
}

/** Of a file: read once. */
export function constantly(config: AgentConfig): ConfigSource {
  const never = new Promise<void>(() => undefined);
  return { config, changed: () => never, gaveUp: never };
}

type End = 'stopped' | 'gave up' | 'damaged' | 'changed';

/** For the supervisor: nothing is wrong with the configuration, start it again (EX_TEMPFAIL of sysexits.h). */
const EXIT_GAVE_UP = 75;

/** Returns the exit code. */
export async function runAgents(source: ConfigSource, manager: ServiceManager, log: Logger): Promise<number> {
  keepHeapSmall();
  const stopped = new Promise<'stopped'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve('stopped'));
  });
  const gaveUp = source.gaveUp.then(() => 'gave up' as const);
  let config = source.config;
  let working: AgentConfig | undefined;
  for (;;) {
    const changed = source.changed().then(() => 'changed' as const);
    try {
      const end = await runOne(config, manager, log, [stopped, gaveUp, changed]);
      if (end === 'stopped') return 0;
      if (end === 'gave up') return EXIT_GAVE_UP;
      working = config;
      config = source.config;
    } catch (error) {
      if (working === undefined || working === config || !(error instanceof EdgetallyError)) throw error;
      log.error({ hint: error.hint }, `${error.message}: going on with the configuration before`);
      config = working;
    }
  }
}

async function runOne(config: AgentConfig, manager: ServiceManager, log: Logger, ends: readonly Promise<End>[]) {
  log.level = config.logLevel;
  const agent = new Agent(config, log, 'run');
  try {
    await agent.start();
    manager.ready(`gateway ${config.gateway}`);
    log.info({ gateway: config.gateway, version: VERSION, database: databasePath(config) }, 'ready');
    const gaveUp = agent.gaveUp.then(() => 'gave up' as const);
    const end = await Promise.race([...ends, gaveUp, agent.damaged.then(() => 'damaged' as const)]);
    log.info({ why: end }, 'stopping');
    if (end === 'stopped' || end === 'gave up') manager.stopping();
    return end;
  } finally {
    await agent.stop();
  }
}
