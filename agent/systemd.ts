/**
 * Tells systemd how the service is (sd_notify(3)): ready, stopping, alive. Node has no datagram sockets of the local kind, so
 * systemd's own tool speaks; without NOTIFY_SOCKET in the environment nothing is said at all.
 *
 * Alive means that the event loop turns and work on the buffer does not hang: a service that is neither is killed and started
 * again (WatchdogSec), and goes on from its database.
 */
import { execFile } from 'node:child_process';
import type { Logger } from 'pino';

export interface ServiceManager {
  ready(status: string): void;
  stopping(): void;
}

const SILENT: ServiceManager = { ready: () => undefined, stopping: () => undefined };

export function serviceManager(env: Readonly<Record<string, string | undefined>>, log: Logger): ServiceManager {
  if (env.NOTIFY_SOCKET === undefined) return SILENT;
  const say = (...words: string[]): void => {
    execFile('systemd-notify', words, { timeout: 10_000 }, (error) => {
      if (error) log.warn({ error: error.message }, 'systemd was not told');
    });
  };
  const watchdogMs = watchdogIntervalMs(env);
  let alive: NodeJS.Timeout | undefined;
  return {
    ready: (status) => {
      say('--ready', `--status=${status}`);
      clearInterval(alive);
      if (watchdogMs !== undefined) alive = setInterval(() => say('WATCHDOG=1'), watchdogMs);
    },
    stopping: () => {
      clearInterval(alive);
      say('--stopping');
    },
  };
}

/** How often to say so: three times as often as is asked for. Undefined where it is not asked of this process. */
function watchdogIntervalMs({ WATCHDOG_USEC, WATCHDOG_PID }: Readonly<Record<string, string | undefined>>) {
  const us = Number(WATCHDOG_USEC);
  const isMeant = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
  return isMeant && us > 0 ? us / 3000 : undefined;
}
